"""A model server as a process that tests may kill and start again: a real Ollama, or its double."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.apps import ollama_build, tiny_model
from tests.apps.ollama_double import CLOSED, MODELS
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
#: Marks who speaks, and leaves an answer open that was begun.
TEMPLATE = (
    "{{ range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    "[{{ .Role }}] {{ .Content }}"
    '{{ if and $last (ne .Role "assistant") }}\n[assistant] {{ else if not $last }}\n{{ end }}{{ end }}'
)
#: Always a new answer, whatever the last message is.
CLOSED_TEMPLATE = "{{ range .Messages }}[{{ .Role }}] {{ .Content }}\n{{ end }}[assistant] "
#: One thread: several of them wait for each other in a loop, which is slow on a busy machine.
PARAMETERS = {"temperature": 0, "repeat_penalty": 1.3, "repeat_last_n": 16, "num_thread": 1}
CONTEXT = 2048


class ModelServer:
    """One server on a port of its own. `why_double` says why it is no real one, or nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.why_double = ""
        if os.environ.get("DIALOGUE_TEST_SERVER") == "double":
            self.why_double = "DIALOGUE_TEST_SERVER asks for the double"
            return
        try:
            self._binary = ollama_build.server()
        except ollama_build.UnavailableError as reason:
            if os.environ.get("REQUIRE_OLLAMA"):
                raise
            self.why_double = f"no real Ollama: {reason}"

    def start(self, more: Mapping[str, str] | None = None) -> None:
        """Start the server and wait until it answers. more: variables for a real one."""
        if self.why_double:
            command = [sys.executable, "-m", "tests.apps.ollama_double", str(self.port)]
            environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'apps'}"}
        else:
            command = [str(self._binary), "serve"]
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "OLLAMA_HOST": f"127.0.0.1:{self.port}",
                "OLLAMA_MODELS": str(self.folder / "models"),
                "OLLAMA_CONTEXT_LENGTH": str(CONTEXT),
                "OLLAMA_NO_CLOUD": "1",
                "OLLAMA_NOPRUNE": "1",
                "OLLAMA_NUM_PARALLEL": "2",
                "OLLAMA_KEEP_ALIVE": "-1",
                **(more or {}),
            }
        with (self.folder / "server.log").open("ab") as log:
            # A session of its own: the runners that the server starts end with it.
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"{self.url}/api/version").raise_for_status()
                return
            except httpx.TransportError:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.kill()
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """End the server and its runners at once, as when their machine is taken away."""
        process, self._process = self._process, None
        if process:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself, with all its runners
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def create_models(self) -> None:
        """Write the models and make them known to a real server."""
        if self.why_double:
            return
        for seed, name in enumerate(MODELS):
            self.create(name, seed, {name: TEMPLATE, f"{name}{CLOSED}": CLOSED_TEMPLATE})

    def create(self, name: str, seed: int, templates: Mapping[str, str], *, pooling: bool = False) -> None:
        """Write a model and make it known to a real server, under each of the names with its template."""
        path = self.folder / f"{name}.gguf"
        tiny_model.write(path, seed, pooling=pooling)
        content = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with httpx.Client(base_url=self.url, timeout=PATIENCE) as client:
            client.post(f"/api/blobs/{digest}", content=content).raise_for_status()
            for model, template in templates.items():
                model_file = {"model": model, "files": {path.name: digest}, "parameters": PARAMETERS}
                body = {**model_file, "template": template, "stream": False}
                client.post("/api/create", json=body).raise_for_status()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
