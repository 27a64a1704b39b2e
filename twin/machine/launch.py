"""Starts a twin, finds out whether one runs, and ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from twin.errors import TwinError
from twin.kube.client import ApiError, Kube, wait_until_ready
from twin.machine.credentials import write_common_kubeconfig, write_credentials, write_kubeconfig
from twin.machine.parts import PORTS
from twin.machine.ports import free_ports, is_free
from twin.machine.processes import SUPERVISOR, find, kill_all
from twin.machine.state import Run, TwinState, load_run, new_token, read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
#: Seconds in which the API server of a running twin must answer; one that died is back after three or four.
_ANSWER = 6.0


def kube_of(state: TwinState, run: Run) -> Kube:
    """A client of the twin's cluster."""
    return Kube(run.server, run.token, str(state.pki / "ca.crt"))


def connect(state: TwinState) -> Kube:
    """A client of a twin that runs and answers. Raises TwinError where none does."""
    stack, run = state.stack, load_run(state)
    if run is None or not supervised(state):
        raise TwinError(f"there is no twin of {stack}: `slices up {stack}` starts one")
    kube = kube_of(state, run)
    if not wait_until_ready(kube, _ANSWER):
        try:
            kube.request("GET", "/readyz", timeout=1.0)
        except ApiError as error:
            raise TwinError(
                f"the twin of {stack} runs, but {error}: `slices status {stack}` says more, `slices up {stack}` brings "
                "it back"
            ) from error
    return kube


def unfinished(state: TwinState) -> str:
    """Why a twin is not whole, and what to do; empty where it is."""
    if state.finished.exists():
        return ""
    if state.busy():
        return f"the twin of {state.stack} is not whole yet: `slices up {state.stack}` is still at work, wait for it"
    return f"the twin of {state.stack} is not whole: `slices up {state.stack}` was not finished, run it again"


def prepare(state: TwinState) -> Run:
    """Ports, keys and kubeconfig. A twin that was there before keeps its own, unless its ports are taken now."""
    state.make()
    run = load_run(state)
    if run is None or set(run.ports) != set(PORTS):
        run = Run(ports=free_ports(PORTS), token=run.token if run else new_token(), started=time.time())
    elif not supervised(state):
        kill_all(state)  # left over where children outlive their supervisor
        if not _free_soon(run):
            run = Run(ports=free_ports(PORTS), token=run.token, started=run.started)
    write_json(state.run, {"ports": run.ports, "token": run.token, "started": run.started})
    write_credentials(state, run.token)
    write_kubeconfig(state, run)
    return run


def _free_soon(run: Run) -> bool:
    """Whether a twin's ports are free, or get free: processes that were just killed hold theirs for a moment."""
    deadline = time.monotonic() + 3
    while not all(map(is_free, run.ports.values())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def supervised(state: TwinState) -> bool:
    """Whether the twin's supervisor runs."""
    try:
        with state.supervisor_lock.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may ask at the same time
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def start(state: TwinState, seconds: float = 10.0) -> None:
    """Start the supervisor, unless it runs. Raises TwinError when it does not come up."""
    if supervised(state):
        wake(state)
        return
    state.status.unlink(missing_ok=True)  # a dead one's
    with (state.logs / "supervisor.log").open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", SUPERVISOR, str(state.folder), "--detach"],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    deadline = time.monotonic() + seconds
    while not supervised(state):
        if time.monotonic() > deadline:
            raise TwinError(f"the twin's supervisor did not start:\n{tail(state, 'supervisor')}")
        time.sleep(0.02)


#: What would lead the twin's processes to somebody's account, cluster or proxy, or set up etcd otherwise.
_FOREIGN = re.compile(r"AWS_|KUBE|MOTO_|ETCD_|\w+_PROXY$", re.IGNORECASE)


def _environment() -> dict[str, str]:
    """What the twin's processes get of the caller's environment."""
    kept = {name: text for name, text in os.environ.items() if not _FOREIGN.match(name)}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **nothing, "PYTHONPATH": str(ROOT)}


def wake(state: TwinState) -> None:
    """Make the supervisor look at once."""
    with contextlib.suppress(ProcessLookupError, TypeError):
        os.kill(status(state)["supervisor"], signal.SIGHUP)


def signal_process(state: TwinState, name: str) -> None:
    """Kill one of the twin's processes (SIGKILL), as a crash would; nothing where it does not run."""
    with contextlib.suppress(ProcessLookupError, TypeError):
        os.kill(status(state)["processes"][name]["pid"], signal.SIGKILL)


def status(state: TwinState) -> dict[str, Any]:
    """What the supervisor says that it runs; its own id is None where there is none.

    Raises TwinError where that cannot be read.
    """
    try:
        found = read_json(state.status)
    except FileNotFoundError:
        found = {"supervisor": None, "processes": {}}
    if not supervised(state):
        found["supervisor"] = None
    return found


def stop(state: TwinState) -> list[str]:
    """End every process of the twin and remove its files; names of the processes. Works from any state.

    Raises TwinError where a process does not end, or a file cannot be removed.
    """
    ended = kill_all(state)
    state.remove()
    with contextlib.suppress(FileNotFoundError):
        write_common_kubeconfig(state.root)
    with contextlib.suppress(OSError):  # another twin is there
        state.root.rmdir()
    return ended


def leftovers(state: TwinState) -> dict[int, str]:
    """Processes of a twin that run although it has no supervisor."""
    return {} if supervised(state) else find(state)


def tail(state: TwinState, name: str, lines: int = 15) -> str:
    """The last lines of a process's log."""
    try:
        text = (state.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def answers(url: str) -> bool:
    """Whether a server of the twin answers, with whatever status below 500."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=3):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
