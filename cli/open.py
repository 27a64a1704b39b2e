"""`slices open dialogue`: the page in the browser, from a stack that stands, without a step in between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import getpass
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import click

from cli.errors import say
from cli.relay import Relay
from cli.twin import twin_of
from components.serving.dialogue import INTERNAL_HOST, KEYS_FILE, NAMESPACE
from components.serving.knative_config import NAMESPACE as KNATIVE
from config.errors import PROJECT, ConfigError
from config.schema import StackConfig
from plan.errors import InputError
from plan.make import stack_config
from plan.project import find_project, load_stack
from stacks.ways_in import dialogue_url, service_of

_INSTALL: Mapping[str, str] = {
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
}
#: Seconds: until a CPU node has started and the image is there; until the kubelet has shown a pod a changed Secret.
_WAKE_SECONDS = 900
_KEY_SECONDS = 240
_PAUSE = 2.0
#: Seconds after which a wait is named again.
_AGAIN = 30.0


class StopError(Exception):
    """What keeps the page from being opened, and what to do."""


def open_dialogue(directory: Path, stack: str) -> int:
    """Open the page of a stack's dialogue and hold the way to it open until Ctrl-C; gives the exit status.

    Raises InputError where the stack file is wrong, or has no such service.
    """
    config = opened_config(
        directory,
        stack,
        "the twin of {stack} plays its pods, so no page runs: `python -m dialogue serve` shows it with an Ollama "
        "of your own (docs/dialogue.md)",
    )
    if service_of(config) is None:
        raise InputError(
            f"stack {stack} has no dialogue to open: write `image: build` under gpu-slices:dialogue in "
            f"Pulumi.{stack}.yaml, then `pulumi up`"
        )
    return hold_open(lambda kubeconfig: _Opening(config, kubeconfig).run())


def hold_open(way: Callable[[Path], Coroutine[Any, Any, None]]) -> int:
    """Follow a way until Ctrl-C; gives the exit status. way: what a file for a kubeconfig of its own is handed to."""
    for program, where in _INSTALL.items():
        if not shutil.which(program):
            say(f"error: {program} is not installed, and leads to the cluster: {where}")
            return 1
    with tempfile.TemporaryDirectory(prefix="slices-open-") as folder:
        try:
            asyncio.run(_until_told(way(Path(folder) / "kubeconfig")))
        except StopError as error:
            say(f"error: {error}")
            return 1
    return 0


def opened_config(directory: Path, stack: str, of_a_twin: str) -> StackConfig:
    """The stack's configuration. Raises InputError where it is wrong, or the stack has a twin: of_a_twin says why."""
    twin = twin_of(directory, stack)
    project = find_project(directory.resolve())
    if project.name != PROJECT:
        raise InputError(f"slices open knows stacks of {PROJECT}; this project is {project.name}")
    try:
        config = stack_config(load_stack(project, stack))
    except ConfigError as error:
        raise InputError(str(error)) from error
    if twin.exists:
        raise InputError(of_a_twin.format(stack=stack))
    return config


async def _until_told(opening: Any) -> None:
    """Run until the end, or until Ctrl-C or a signal, which is the end that is meant."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(opening)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Way:
    """A way into a stack's cluster by kubectl."""

    def __init__(self, config: StackConfig, kubeconfig: Path) -> None:
        self._config = config
        self._kubeconfig = kubeconfig

    async def find_cluster(self) -> None:
        """Ask AWS for the way to the cluster. Raises StopError where there is none."""
        name, region = self._config.cluster_name, self._config.region
        click.echo(f"Asking AWS for cluster {name} in {region}")
        found = await _run(
            "aws", "eks", "update-kubeconfig", "--region", region, "--name", name, "--kubeconfig", str(self._kubeconfig)
        )
        if found.status:
            raise StopError(
                f"cluster {name} cannot be found: {found.words}; `pulumi up` builds it, and `slices check "
                f"{self._config.stack}` says what the account lacks"
            )

    async def kubectl(self, *arguments: str, given: str = "") -> Ran:
        """Run kubectl in the cluster."""
        return await _run("kubectl", "--kubeconfig", str(self._kubeconfig), *arguments, given=given)

    @contextlib.asynccontextmanager
    async def forwarded(self, namespace: str, service: str, port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
        """A port of this machine that leads to a Service, and the event that it does no more."""
        click.echo("Forwarding a port to the cluster")
        arguments = ("-n", namespace, "port-forward", "--address", "127.0.0.1", f"service/{service}", f":{port}")
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *("--kubeconfig", str(self._kubeconfig)),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        assert process.stdout
        assert process.stderr
        ended = asyncio.Event()
        watching: list[asyncio.Task[Any]] = []
        try:
            line = (await process.stdout.readline()).decode(errors="replace")
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not found:
                words = (await process.stderr.read()).decode(errors="replace")
                raise StopError(f"no port can be forwarded: {_last(words) or 'kubectl says nothing'}")
            # Both are read to their ends, or kubectl would wait for us.
            watching = [asyncio.create_task(stream.read()) for stream in (process.stdout, process.stderr)]
            watching.append(asyncio.create_task(process.wait()))
            watching[-1].add_done_callback(lambda _: ended.set())
            yield int(found[1]), ended
        finally:
            _kill(process)
            await asyncio.gather(process.wait(), *watching, return_exceptions=True)


class _Opening(Way):
    def __init__(self, config: StackConfig, kubeconfig: Path) -> None:
        super().__init__(config, kubeconfig)
        self._service = service_of(config)

    async def run(self) -> None:
        """All steps; the last one lasts until the task is cancelled."""
        await self.find_cluster()
        name, key = await self._key()
        url = dialogue_url(self._config)
        reached: bool = bool(self._config.serving.door) and url is not None and await asyncio.to_thread(_answers, url)
        if reached and url:
            _show(url, name, key)
            return
        async with self.forwarded(KNATIVE, "kourier-internal", 80) as (port, ended):
            await self._wait(
                "the dialogue wakes: a CPU node may have to start first",
                lambda: _status(port, "/healthz") == http.client.OK,
                _WAKE_SECONDS,
                f"kubectl -n {NAMESPACE} get ksvc,pods",
            )
            await self._wait(
                "the service sees the key: Kubernetes shows pods a changed Secret after a minute or two",
                lambda: _status(port, "/api/session", key) == http.client.OK,
                _KEY_SECONDS,
                f"kubectl -n {NAMESPACE} logs -l serving.knative.dev/service=dialogue -c dialogue",
            )
            async with Relay(port, INTERNAL_HOST) as relay:
                _show(f"http://localhost:{relay.port}/", name, key)
                click.echo("Ctrl-C ends the way there.")
                await ended.wait()
        raise StopError("kubectl ended, and with it the way to the cluster; call the command again")

    async def _key(self) -> tuple[str, str]:
        """Name and key of who calls, from the Secret; made where there is none of that name."""
        assert self._service
        secret, name = self._service.keys_secret, _own_name()
        click.echo(f"Looking for the key of {name} in Secret {NAMESPACE}/{secret}")
        found = await self.kubectl("-n", NAMESPACE, "get", "secret", secret, "-o", "json")
        if found.status and "NotFound" not in found.words:
            raise StopError(f"the cluster does not answer: {found.words}")
        document = json.loads(found.out) if not found.status else {}
        text = base64.b64decode(document.get("data", {}).get(KEYS_FILE, "")).decode()
        if key := _key_of(name, text):
            return name, key
        owner = next(iter(document.get("metadata", {}).get("ownerReferences", ())), None)
        if owner:
            raise StopError(
                f"Secret {secret} has no key of {name}, and {owner.get('kind')} {owner.get('name')} writes it: add a "
                f"line {name}:KEY there, with a key of `openssl rand -hex 16`"
            )
        key = secrets.token_hex(16)
        click.echo(f"Making a key for {name}")
        # On standard input: arguments can be seen by everybody on this machine.
        data = {KEYS_FILE: base64.b64encode(f"{text.rstrip()}\n{name}:{key}\n".lstrip().encode()).decode()}
        written = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret,
                "namespace": NAMESPACE,
                # Refused if somebody else has written meanwhile.
                **({"resourceVersion": document["metadata"]["resourceVersion"]} if document else {}),
            },
            "type": document.get("type", "Opaque"),
            "data": {**document.get("data", {}), **data},
        }
        made = await self.kubectl("replace" if document else "create", "-f", "-", given=json.dumps(written))
        if made.status:
            raise StopError(f"the key cannot be written: {made.words}")
        return name, key

    async def _wait(self, what: str, done: Callable[[], bool], seconds: float, look: str) -> None:
        began = told = time.monotonic()
        while not await asyncio.to_thread(done):
            now = time.monotonic()
            if now - began > seconds:
                raise StopError(f"given up after {seconds / 60:.0f} minutes of waiting until {what}: {look}")
            if told == began or now - told > _AGAIN:
                click.echo(f"Waiting until {what}" + (f" ({now - began:.0f} s)" if now - began > 1 else ""))
                told = now
            await asyncio.sleep(_PAUSE)


def _show(url: str, name: str, key: str) -> None:
    click.echo(f"The dialogue: {url}\nThe page asks for a key. That of {name}: {key}")
    webbrowser.open(url)


def _own_name() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return re.sub(r"[^\w.-]", "-", user, flags=re.ASCII) or "somebody"


def _key_of(name: str, text: str) -> str | None:
    pairs = [line.partition(":") for line in text.splitlines() if not line.lstrip().startswith("#")]
    return next((key.strip() for found, _, key in pairs if found.strip() == name), None)


def _status(port: int, path: str, key: str = "") -> int:
    """What the service answers through the forwarded port; 0 for nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Host": INTERNAL_HOST, **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _answers(url: str) -> bool:
    """Whether the door can be reached from here, as from a VPN."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            return bool(response.status == http.client.OK)
    except (OSError, ValueError, http.client.HTTPException, urllib.error.URLError):
        return False


class Ran:
    """What a program ended with: its status, its output, and what it said last."""

    def __init__(self, status: int, out: str, words: str) -> None:
        self.status = status
        self.out = out
        self.words = words


async def _run(*command: str, given: str = "") -> Ran:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate(given.encode())
    finally:
        _kill(process)
        await process.wait()
    return Ran(process.returncode or 0, out.decode(errors="replace"), _last(err.decode(errors="replace")))


def _kill(process: asyncio.subprocess.Process) -> None:
    # Not by its own method, which would also take note of its end, and so from whoever waits for that.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _last(text: str) -> str:
    """What a program said last, which is why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
