"""`model.sh` keeps a real Ollama's models as they were loaded, whatever clients ask for; embeddings; OpenAI's words.

On a server without a GPU: between the script and Ollama stands a relay that says of every model that it is wholly on
the GPU, and changes nothing else. So `keep_alive`, `num_ctx` and other models are played out in full; what `num_gpu`
does to the memory of a GPU is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import components.serving
from tests.apps.ollama_server import ModelServer, free_port
from tests.patience import PATIENCE

SCRIPT = Path(components.serving.__path__[0]) / "model.sh"
MODEL, OTHER, EMBEDDING = "tiny-a:latest", "tiny-b:latest", "tiny-embed:latest"
CONTEXT = 512


class Served:
    """The script, the server that it started, and what clients do to it."""

    def __init__(self, models: ModelServer, folder: Path, served: str, **more: str) -> None:
        self.port, self._hidden = free_port(), free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self._hidden}", timeout=PATIENCE)
        self.said = folder / "said"
        self.loads = threading.Event()
        """Whether the script's loads go through; they wait where it is cleared."""
        self.loads.set()
        (folder / "bin").mkdir()
        start = folder / "bin" / "ollama"
        start.write_text(f'#!/bin/bash\nOLLAMA_HOST=127.0.0.1:{self._hidden} exec {models._binary} "$@"\n')
        start.chmod(0o755)
        self._environment = {
            "PATH": f"{start.parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "OLLAMA_PORT": str(self.port),
            "OLLAMA_MODELS": str(models.folder / "models"),
            "OLLAMA_CONTEXT_LENGTH": str(CONTEXT),
            "OLLAMA_KEEP_ALIVE": "-1",
            "OLLAMA_MAX_LOADED_MODELS": "1",
            "OLLAMA_NUM_PARALLEL": "2",
            "OLLAMA_NOPRUNE": "1",
            "OLLAMA_NO_CLOUD": "1",
            "LLAMA_ARG_FIT": "off",
            "MODELS": served,
            **more,
        }
        self._relay = ThreadingHTTPServer(("127.0.0.1", self.port), _relay(self._hidden, self.loads))
        threading.Thread(target=self._relay.serve_forever, daemon=True).start()
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                ["/bin/bash", str(SCRIPT), "serve"],
                env=self._environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def probe(self, name: str) -> bool:
        """What the kubelet asks."""
        command = ["/bin/bash", str(SCRIPT), name]
        return subprocess.run(command, env=self._environment, capture_output=True, check=False).returncode == 0

    def loaded(self) -> dict[str, int]:
        """Ollama's own word on what is loaded, and with which context."""
        shown = self.client.get("/api/ps").json()["models"]
        return {each["name"]: each["context_length"] for each in shown}

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """What a client asks, as JSON."""
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def until(self, question: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        end = time.monotonic() + PATIENCE
        while not question():
            assert self.process.poll() is None, self.said.read_text()[-2000:]
            assert time.monotonic() < end, f"{what}; {self.said.read_text()[-2000:]}"
            time.sleep(0.1)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._relay.shutdown()
        self._relay.server_close()
        self.client.close()


def _relay(port: int, loads: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes | None) -> None:
            url = f"http://127.0.0.1:{port}{self.path}"
            if body is not None:
                loads.wait(PATIENCE)
            try:
                answer = httpx.request(self.command, url, content=body, timeout=PATIENCE)
            except httpx.TransportError:
                self.send_error(502)
                return
            content = answer.content
            if self.path == "/api/ps":
                shown = json.loads(content)
                for model in shown["models"]:
                    model["size_vram"] = model["size"]
                content = json.dumps(shown, separators=(",", ":")).encode()
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Relay


@pytest.fixture
def served(models: ModelServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    if models.why_double:
        pytest.skip(models.why_double)
    pod = Served(models, tmp_path, getattr(request, "param", MODEL))
    try:
        pod.until(lambda: pod.probe("ready"), "it never became ready")
        yield pod
    finally:
        pod.close()


def test_no_client_can_unload_or_change_a_model_for_the_others(served: Served) -> None:
    assert served.loaded() == {MODEL: CONTEXT}
    spoilt: list[tuple[str, dict[str, Any], dict[str, int]]] = [
        ("keep_alive", {"model": MODEL, "keep_alive": 0}, {}),
        ("num_ctx", {"model": MODEL, "prompt": "a", "options": {"num_ctx": 1024, "num_predict": 1}}, {MODEL: 1024}),
        ("another model", {"model": OTHER, "prompt": "a", "options": {"num_predict": 1}}, {OTHER: CONTEXT}),
    ]
    for what, body, after in spoilt:
        served.loads.clear()
        served.ask("/api/generate", stream=False, **body)
        served.until(lambda after=after: served.loaded() == after, f"{what} did nothing")  # type: ignore[misc]
        served.loads.set()
        served.until(lambda: served.loaded() == {MODEL: CONTEXT}, f"{what} was not mended")
        served.until(lambda: served.probe("ready"), f"not ready after {what}")
        assert served.probe("alive")
        answer = served.ask("/api/generate", model=MODEL, prompt="a", stream=False, options={"num_predict": 4})
        assert answer["eval_count"] == 4
    said = served.said.read_text()
    assert said.count(f"a request unloaded or changed {MODEL}: loading as before") >= len(spoilt)


def test_a_context_beyond_what_is_promised_ends_the_pod_and_says_so_last(models: ModelServer, tmp_path: Path) -> None:
    """Ollama's own count: 0.6 MiB with a context of 512, 4.4 MiB with 8192. A smaller one is mended as ever."""
    if models.why_double:
        pytest.skip(models.why_double)
    pod = Served(models, tmp_path, MODEL, PROMISED_MIB="2")
    try:
        pod.until(lambda: pod.probe("ready"), "it never became ready")
        pod.ask("/api/generate", model=MODEL, prompt="a", stream=False, options={"num_ctx": 1024, "num_predict": 1})
        pod.until(lambda: pod.loaded() == {MODEL: CONTEXT} and pod.probe("ready"), "a context of 1024 was not mended")
        mended = pod.said.read_text().count("loading as before")
        pod.ask("/api/generate", model=MODEL, prompt="a", stream=False, options={"num_ctx": 8192, "num_predict": 1})
        assert pod.process.wait(PATIENCE) == 1
        said = pod.said.read_text()
        words = f"gpu-slices: {MODEL} with context 8192: 5 MiB of the GPU, of which 2 are promised to this pod"
        assert said.splitlines()[-1].startswith(words), said[-2000:]
        assert mended >= 1
        assert said.count("loading as before") == mended, "what takes too much is not loaded again"
        assert not pod.probe("alive")
    finally:
        pod.close()


def test_what_is_as_it_should_be_is_left_alone(served: Served) -> None:
    """An ordinary request, and OpenAI's, load nothing anew."""
    question = [{"role": "user", "content": "abc"}]
    served.ask("/api/chat", model=MODEL, messages=question, stream=False, options={"num_predict": 3, "temperature": 1})
    answer = served.ask("/v1/chat/completions", model=MODEL, messages=question, max_tokens=3)
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 3
    for _ in range(20):
        assert served.loaded() == {MODEL: CONTEXT}
        time.sleep(0.1)
    assert "loading as before" not in served.said.read_text()


@pytest.fixture(scope="module")
def embedding(models: ModelServer) -> str:
    if not models.why_double:
        models.create("tiny-embed", 7, {EMBEDDING: "{{ .Prompt }}"}, pooling=True)
    return EMBEDDING


@pytest.mark.usefixtures("embedding")
@pytest.mark.parametrize("served", [EMBEDDING], indirect=True)
def test_a_model_for_embeddings_is_loaded_kept_and_answers(served: Served) -> None:
    refused = served.client.post("/api/generate", json={"model": EMBEDDING, "prompt": "a", "stream": False})
    assert "does not support generate" in refused.json()["error"], "the words that model.sh looks for"
    before = served.loaded()
    assert list(before) == [EMBEDDING]
    (vector,) = served.ask("/api/embed", model=EMBEDDING, input="abc")["embeddings"]
    other = served.ask("/v1/embeddings", model=EMBEDDING, input="abc")["data"][0]["embedding"]
    assert len(vector) == 64
    assert other == pytest.approx(vector, abs=1e-4)
    assert served.loaded() == before, "requests without options do not load it anew"
    served.ask("/api/embed", model=EMBEDDING, input="abc", keep_alive=0)
    served.until(lambda: served.loaded() == before and served.probe("ready"), "it was not loaded again")


def test_the_mark_of_a_version_lies_where_the_script_looks_for_it(models: ModelServer, tmp_path: Path) -> None:
    """`fetch` copies what it pulled under a name with Ollama's version; without a registry it says so and goes on."""
    if models.why_double:
        pytest.skip(models.why_double)
    with httpx.Client(base_url=models.url, timeout=PATIENCE) as client:
        copied = {"source": MODEL, "destination": f"pulled-by-0-32-15/{MODEL}"}
        assert client.post("/api/copy", json=copied).status_code == 200
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "OLLAMA_PORT": str(models.port),
            "OLLAMA_MODELS": str(models.folder / "models"),
            "CACHE": "127.0.0.1",
            "MODELS": MODEL,
            "DIGESTS": "-",
        }

        def fetch(version: str) -> tuple[int, str]:
            command = ["/bin/bash", str(SCRIPT), "fetch"]
            done = subprocess.run(
                command, env={**environment, "PULLED_BY": version}, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stderr

        assert fetch("0.32.15") == (0, ""), "it is marked: nothing is asked of the cache"
        status, said = fetch("0.33.0")
        assert (status, f"{MODEL} is there, but cannot be refreshed: " in said) == (0, True), said
        assert client.request("DELETE", "/api/delete", json={"model": copied["destination"]}).status_code == 200
        status, said = fetch("0.32.15")
        assert (status, "cannot be refreshed" in said) == (0, True), said
