"""`slices open dialogue`, with a kubectl and an aws that the test plays, and a browser that notes what it opens."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import open as opening
from components.serving.dialogue import INTERNAL_HOST
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.parts

ROOT = Path(__file__).parents[3]
SLICES = (sys.executable, "-m", "cli")

#: A program that notes its arguments and standard input, and does what the file `NAME.json` beside it says.
_PLAYED = """#!{python}
import json, os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
name = pathlib.Path(__file__).name
plan = json.loads((here / (name + ".json")).read_text())
words = sys.argv[1:]
given = "" if "port-forward" in words else sys.stdin.read()
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([name, words, given]) + "\\n")
for key, (status, out, err) in plan.items():
    if key in words:
        sys.stdout.write(out)
        sys.stdout.flush()
        sys.stderr.write(err)
        if "port-forward" in words and not status:
            (here / "pid").write_text(str(os.getpid()))
            signal.pause()
        sys.exit(status)
"""


class Service(http.server.ThreadingHTTPServer):
    """The dialogue behind Kourier: it is asked for by its name, and asleep at first."""

    daemon_threads = True
    key = ""
    asleep = 1

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hosts: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        service: Any = self.server
        service.hosts.append(self.headers["host"])
        status = 200 if self.headers["host"] == INTERNAL_HOST else 404
        if service.asleep:
            service.asleep -= 1
            status = 503
        if self.path == "/api/session" and self.headers.get("authorization") != f"Bearer {service.key}":
            status = 401
        body = f"{self.path} {self.headers.get('connection')}".encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Machine:
    """A project, and programs on the path."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.project.mkdir()
        for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
            shutil.copy(ROOT / name, self.project)
        stack = self.project / "Pulumi.dev.yaml"
        stack.write_text(stack.read_text().replace("    # image: build", "    image: build"))
        self.play("aws", **{"update-kubeconfig": (0, "", "")})

    def play(self, name: str, **plan: tuple[int, str, str]) -> None:
        program = self.bin / name
        program.write_text(_PLAYED.format(python=sys.executable))
        program.chmod(0o755)
        (self.bin / f"{name}.json").write_text(json.dumps(plan))

    def secret(self, text: str | None, **metadata: Any) -> tuple[int, str, str]:
        if text is None:
            return (1, "", 'Error from server (NotFound): secrets "dialogue-keys" not found\n')
        data = {"keys": base64.b64encode(text.encode()).decode()}
        document = {"metadata": {"name": "dialogue-keys", "resourceVersion": "7", **metadata}, "data": data}
        return (0, json.dumps(document), "")

    @property
    def environment(self) -> dict[str, str]:
        browser = self.bin / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" > {self.bin}/opened\n')
        browser.chmod(0o755)
        path = f"{self.bin}:/nowhere"
        return {
            **os.environ,
            "PATH": path,
            "BROWSER": str(browser),
            "USER": "ada",
            "LOGNAME": "ada",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str, what: str = "dialogue") -> subprocess.Popen[str]:
        command = (*SLICES, "open", what, *arguments, "-C", str(self.project))
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.bin
        )

    def run(self, *arguments: str, what: str = "dialogue") -> tuple[int, str, str]:
        process = self.start(*arguments, what=what)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    @property
    def calls(self) -> list[Any]:
        return [json.loads(line) for line in (self.bin / "calls").read_text().splitlines()]

    @property
    def written(self) -> dict[str, Any]:
        (given,) = [given for _, words, given in self.calls if "-f" in words]
        document: dict[str, Any] = json.loads(given)
        return document


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def forwarding(service: Service) -> tuple[int, str, str]:
    return (0, f"Forwarding from 127.0.0.1:{service.server_address[1]} -> 8081\n", "")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_opened_at_a_name_that_works_and_all_ends_with_it(
    machine: Machine, service: Service, number: signal.Signals
) -> None:
    key = "0123456789abcdef0123"
    service.key = key
    machine.play(
        "kubectl",
        secret=machine.secret(f"# ours\nbob:{'b' * 20}\nada: {key}\n"),
        **{"port-forward": forwarding(service)},
    )
    process = machine.start()
    until((machine.bin / "opened").exists)
    until((machine.bin / "opened").read_text)
    url = (machine.bin / "opened").read_text().strip()
    assert url.startswith("http://localhost:")
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /page/app.js HTTP/1.1\r\nHost: localhost:1\r\nConnection: keep-alive\r\nX: y\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"/page/app.js close")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 421")
    kubectl = int((machine.bin / "pid").read_text())
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [
        "Asking AWS for cluster gpu-slices-dev in us-east-1",
        "Looking for the key of ada in Secret dialogue/dialogue-keys",
        "Forwarding a port to the cluster",
        "Waiting until the dialogue wakes: a CPU node may have to start first",
        f"The dialogue: {url}",
        f"The page asks for a key. That of ada: {key}",
        "Ctrl-C ends the way there.",
    ]
    assert set(service.hosts) == {INTERNAL_HOST}
    until(lambda: not alive(kubectl), "the end of kubectl")
    config = next(words[words.index("--kubeconfig") + 1] for name, words, _ in machine.calls if name == "kubectl")
    assert not Path(config).exists()


@pytest.mark.parametrize("before", [None, "", f"bob:{'b' * 20}"])
def test_a_key_is_made_where_there_is_none_of_that_name(machine: Machine, before: str | None) -> None:
    machine.play(
        "kubectl",
        secret=machine.secret(before),
        **{
            "create": (0, "", ""),
            "replace": (0, "", ""),
            "port-forward": (1, "", "error: unable to forward port because pod is not running\n"),
        },
    )
    status, out, err = machine.run("--stack", "dev")
    assert status == 1
    assert "Making a key for ada" in out
    assert err == "error: no port can be forwarded: error: unable to forward port because pod is not running\n"
    text = base64.b64decode(machine.written["data"]["keys"]).decode()
    *others, own = text.splitlines()
    assert others == ([before] if before else [])
    name, _, key = own.partition(":")
    assert (name, len(key)) == ("ada", 32)
    assert machine.written["metadata"].get("resourceVersion") == (None if before is None else "7")
    assert not any(key in json.dumps(words) for _, words, _ in machine.calls), "arguments are seen by everybody"
    assert machine.calls[-2][1][2] == ("create" if before is None else "replace")


def test_a_secret_that_an_operator_writes_is_left_alone(machine: Machine) -> None:
    owners = [{"kind": "ExternalSecret", "name": "keys"}]
    machine.play("kubectl", secret=machine.secret(f"bob:{'b' * 20}", ownerReferences=owners))
    status, _, err = machine.run("dev")
    assert status == 1
    assert err.startswith(
        "error: Secret dialogue-keys has no key of ada, and ExternalSecret keys writes it: add a line"
    )
    assert "Making" not in err


@pytest.mark.parametrize("missing", ["kubectl", "aws"])
def test_a_program_that_is_missing_is_named_with_its_way(machine: Machine, missing: str) -> None:
    machine.play("kubectl")
    (machine.bin / missing).unlink()
    status, out, err = machine.run()
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {missing} is not installed, and leads to the cluster: https://")


def test_a_cluster_that_is_not_there_is_said_in_one_line(machine: Machine) -> None:
    machine.play("kubectl")
    machine.play("aws", **{"update-kubeconfig": (255, "", "\nAn error occurred (X): No cluster found for name: n.\n")})
    status, _, err = machine.run()
    assert status == 1
    (line,) = err.splitlines()
    assert line.startswith("error: cluster gpu-slices-dev cannot be found: An error occurred (X): No cluster found")
    assert "`pulumi up` builds it" in line


def test_a_cluster_that_does_not_answer_is_said_in_one_line(machine: Machine) -> None:
    machine.play("kubectl", secret=(1, "", "E1 noise\nUnable to connect to the server: dial tcp: i/o timeout\n"))
    _, _, err = machine.run()
    assert err == "error: the cluster does not answer: Unable to connect to the server: dial tcp: i/o timeout\n"


def test_a_stack_without_a_page_is_told_what_makes_one(machine: Machine) -> None:
    shutil.copy(ROOT / "Pulumi.local.yaml", machine.project)
    status, _, err = machine.run("local")
    assert status == 2
    assert err == (
        "error: stack local has no dialogue to open: write `image: build` under gpu-slices:dialogue in "
        "Pulumi.local.yaml, then `pulumi up`\n"
    )


def test_a_twin_has_no_page(machine: Machine) -> None:
    (machine.project / ".twin" / "dev").mkdir(parents=True)
    status, _, err = machine.run("dev")
    assert status == 2
    assert err.startswith("error: the twin of dev plays its pods, so no page runs: `python -m dialogue serve`")


def test_two_stacks_are_too_many(machine: Machine) -> None:
    status, _, err = machine.run("dev", "--stack", "prod")
    assert status == 2
    assert "two stacks are named: dev and prod" in err


def test_a_wrong_stack_file_is_told_as_everywhere(machine: Machine) -> None:
    stack = machine.project / "Pulumi.dev.yaml"
    stack.write_text(stack.read_text().replace("image: build", "image: true"))
    status, _, err = machine.run()
    assert status == 2
    assert "gpu-slices:dialogue.image" in err


@pytest.mark.parametrize(
    ("user", "name"), [("ada", "ada"), ("CORP\\Ada L.", "CORP-Ada-L."), ("ünï", "-n-"), ("", "somebody")]
)
def test_the_name_of_a_key_is_one_that_the_file_takes(user: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)
    assert opening._own_name() == name


# --- Grafana ----------------------------------------------------------------------------------------------------------


def watched(machine: Machine) -> None:
    """The project's stack with Prometheus, on as many system nodes as that takes."""
    stack = machine.project / "Pulumi.dev.yaml"
    text = stack.read_text().replace("config:\n", "config:\n  gpu-slices:monitoring: {backend: prometheus}\n", 1)
    stack.write_text(
        text.replace("  gpu-slices:cluster:\n", "  gpu-slices:cluster:\n    systemNodes: {desired: 3}\n", 1)
    )


def test_grafana_is_opened_with_its_password(machine: Machine) -> None:
    watched(machine)
    data = {"admin-user": "YWRtaW4=", "admin-password": base64.b64encode(b"pass-word").decode()}
    forwarded = (0, "Forwarding from 127.0.0.1:34567 -> 3000\n", "")
    machine.play("kubectl", secret=(0, json.dumps({"data": data}), ""), **{"port-forward": forwarded})
    process = machine.start("dev", what="monitoring")
    until((machine.bin / "opened").exists)
    until((machine.bin / "opened").read_text)
    kubectl = int((machine.bin / "pid").read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [
        "Asking AWS for cluster gpu-slices-dev in us-east-1",
        "Looking for the password in Secret monitoring/monitoring-grafana",
        "Forwarding a port to the cluster",
        "Grafana: http://localhost:34567/d/gpu-slices",
        "It asks who you are: admin, with the password pass-word",
        "Ctrl-C ends the way there.",
    ]
    until(lambda: not alive(kubectl), "the end of kubectl")
    (words,) = [words for _, words, _ in machine.calls if "port-forward" in words]
    assert words[-2:] == ["service/monitoring-grafana", ":80"]


def test_without_grafana_it_is_said_what_makes_it(machine: Machine) -> None:
    status, _, err = machine.run("dev", what="monitoring")
    assert status == 2
    assert err.startswith("error: stack dev has no Grafana to open: write `backend: prometheus` under")
    watched(machine)
    machine.play("kubectl", secret=(1, "", 'Error from server (NotFound): secrets "monitoring-grafana" not found\n'))
    status, _, err = machine.run("dev", what="monitoring")
    assert status == 1
    assert err == (
        "error: Secret monitoring/monitoring-grafana is not there: `pulumi up` installs Grafana, and it makes it\n"
    )
    (machine.project / ".twin" / "dev").mkdir(parents=True)
    status, _, err = machine.run("dev", what="monitoring")
    assert status == 2
    assert err == "error: the twin of dev plays its pods, so no Grafana runs (docs/twin.md)\n"
