"""`model.sh`, run by bash against a server that plays Ollama, and against a real one where it has been built."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import components.serving
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.parts

SCRIPT = Path(components.serving.__path__[0]) / "model.sh"

#: Plays `ollama serve`: what it answers stands in $PLAY; every request is written to $SEEN, and a letter to $SEEN.looks
#: for each question of what is loaded. A load waits for the file `gate`, where one is named, and then shows `loaded`.
SERVER = """
import http.server, json, os, pathlib, time
play = json.loads(os.environ["PLAY"])
def show(path, models):
    pathlib.Path(path + ".new").write_text(json.dumps({"models": models}))
    os.replace(path + ".new", path)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/ps":
            with open(os.environ["SEEN"] + ".looks", "a") as looks:
                looks.write("x")
        shown = play.get("ps", {"models": []})
        if "ps_path" in play:
            shown = json.loads(pathlib.Path(play["ps_path"]).read_text())
        self.answer(200, shown if self.path == "/api/ps" else {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(json.dumps([self.path, body]) + "\\n")
        if "gate" in play:
            while not pathlib.Path(play["gate"]).exists():
                time.sleep(0.02)
            if "loaded" in play:
                show(play["ps_path"], play["loaded"])
        if self.path == "/api/pull":
            for path in play.get("pulled", []):
                pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
                pathlib.Path(path).write_text("manifest")
        self.answer(*play.get(self.path, (play.get("status", 200), play.get("answer", {"done": True}))))
    def answer(self, status, body):
        text = json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["OLLAMA_PORT"])), Handler).serve_forever()
"""


def running(name: str, size: int, vram: int) -> dict[str, Any]:
    """One model as /api/ps shows it."""
    details = {"format": "gguf", "families": ["llama"], "quantization_level": "Q4_K_M"}
    shown = {"name": name, "model": name, "size": size, "digest": "d" * 64, "details": details}
    return {**shown, "expires_at": "2318-01-01T00:00:00Z", "size_vram": vram, "context_length": 4096}


class Pod:
    """A scratch folder that stands for a container, with a free port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.seen = folder / "seen"
        self.weights = folder / "models"
        binaries = folder / "bin"
        binaries.mkdir()
        self.weights.mkdir()
        (folder / "server.py").write_text(SERVER)
        fake = binaries / "ollama"
        fake.write_text(f'#!/bin/bash\nexec {sys.executable} {folder}/server.py "$@"\n')
        fake.chmod(0o755)
        self.environment = {
            "PATH": f"{binaries}:/usr/bin:/bin",
            "HOME": str(folder),
            "OLLAMA_PORT": str(port),
            "OLLAMA_MODELS": str(self.weights),
            "SEEN": str(self.seen),
            "MODELS": "mistral:7b",
            "CACHE": "127.0.0.1",
        }

    def weigh(self, name: str = "mistral", tag: str = "7b", text: str = "manifest") -> Path:
        """Put a model's manifest where Ollama has it."""
        path = self.weights / "manifests/registry.ollama.ai/library" / name / tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, command: str, play: Any = None, **more: str) -> subprocess.Popen[str]:
        """Run the script in the background."""
        environment = {**self.environment, "PLAY": json.dumps(play or {}), **more}
        return subprocess.Popen(
            ["/bin/bash", str(SCRIPT), command],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, play: Any = None, **more: str) -> tuple[int, str]:
        """Run the script to its end: exit status, and what it said."""
        process = self.start(command, play, **more)
        try:
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            end(process)
        return process.returncode, said

    def requests(self) -> list[Any]:
        """What the server was asked to do."""
        return [json.loads(line) for line in self.seen.read_text().splitlines()]

    def becomes_ready(self, process: subprocess.Popen[str], **more: str) -> bool:
        """Whether the probe succeeds before the script ends."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if self.run("ready", **more)[0] == 0:
                return True
        return False

    def looked(self, times: int = 3) -> None:
        """Wait until it was asked so many times again what is loaded."""
        looks = self.seen.with_name("seen.looks")
        before = looks.stat().st_size
        until(lambda: looks.stat().st_size >= before + times, "further looks at what is loaded")


def show(path: Path, *models: Any) -> None:
    """Say what is loaded from now on."""
    new = path.with_name("new.json")
    new.write_text(json.dumps({"models": models}))
    new.replace(path)


def end(process: subprocess.Popen[str]) -> None:
    """End a script and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    if not Path("/bin/bash").exists():
        pytest.skip("no /bin/bash")
    return Pod(tmp_path)


def test_a_model_that_is_wholly_on_the_gpu_becomes_ready_and_ends_when_asked(pod: Pod) -> None:
    pod.weigh()
    process = pod.start("serve", {"ps": {"models": [running("mistral:7b", 5_000, 5_000)]}})
    try:
        assert pod.becomes_ready(process)
        assert pod.requests() == [
            [
                "/api/generate",
                {"model": "mistral:7b", "stream": False, "options": {"num_gpu": 999, "num_batch": 512}},
            ]
        ]
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        assert pod.run("ready")[0] != 0
    finally:
        end(process)


@pytest.mark.parametrize(
    "after",
    [
        [],  # keep_alive: 0
        [running("mistral:7b", 5_000, 0)],  # num_gpu: 0
        [{**running("mistral:7b", 4_000, 4_000), "context_length": 512}],  # num_ctx: 512
        [running("other:1b", 1_000, 1_000)],
    ],
)
def test_what_a_request_unloads_or_changes_is_loaded_again(pod: Pod, tmp_path: Path, after: list[Any]) -> None:
    pod.weigh()
    shown, gate = tmp_path / "ps.json", tmp_path / "gate"
    good = running("mistral:7b", 5_000, 5_000)
    show(shown, good)
    gate.touch()
    process = pod.start("serve", {"ps_path": str(shown), "gate": str(gate), "loaded": [good]})
    try:
        assert pod.becomes_ready(process)
        pod.looked()
        assert len(pod.requests()) == 1, "what is as it should be is left alone"
        gate.unlink()
        show(shown, *after)
        assert pod.run("ready")[0] != 0
        until(lambda: len(pod.requests()) > 1, "a second load")
        assert pod.requests()[1] == pod.requests()[0]
        gate.touch()
        assert pod.becomes_ready(process)
        pod.looked()
        assert len(pod.requests()) == 2
        assert process.poll() is None
    finally:
        end(process)


def test_what_cannot_be_loaded_again_ends_the_pod(pod: Pod, tmp_path: Path) -> None:
    pod.weigh()
    shown, gate = tmp_path / "ps.json", tmp_path / "gate"
    show(shown, running("mistral:7b", 5_000, 5_000))
    gate.touch()
    process = pod.start("serve", {"ps_path": str(shown), "gate": str(gate)})
    try:
        assert pod.becomes_ready(process)
        gate.unlink()
        show(shown, running("mistral:7b", 5_000, 3_000))
        assert (pod.run("ready")[0], pod.run("alive")) == (1, (0, ""))
        gate.touch()
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        assert "mistral:7b: cannot be loaded as before" in said.splitlines()[-1], "the message of the container's end"
        assert "only 3000 of its 5000 bytes" in said
        assert len(pod.requests()) == 4
        assert pod.run("alive")[0] != 0
    finally:
        end(process)


MIB = 1024 * 1024


def test_what_takes_more_than_is_promised_ends_the_pod_at_once_and_says_so_last(pod: Pod, tmp_path: Path) -> None:
    """A client's context: Ollama would load it as before only when that client has its answer."""
    pod.weigh()
    shown = tmp_path / "ps.json"
    good = running("mistral:7b", 5_000 * MIB, 5_000 * MIB)
    show(shown, good)
    process = pod.start("serve", {"ps_path": str(shown)}, PROMISED_MIB="5000")
    try:
        assert pod.becomes_ready(process, PROMISED_MIB="5000")
        pod.looked()
        assert process.poll() is None, "all that is promised may be taken"
        show(shown, {**good, "size": 9_000 * MIB, "size_vram": 9_000 * MIB, "context_length": 32768})
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, "0 would leave the container's end without a message"
        words = "mistral:7b with context 32768: 9000 MiB of the GPU, of which 5000 are promised to this pod"
        assert words in said.splitlines()[-1]
        assert "loading as before" not in said
        assert len(pod.requests()) == 1
    finally:
        end(process)


def test_the_probe_says_that_more_is_taken_than_is_promised(pod: Pod) -> None:
    """The kubelet's event has it then."""
    grown = {**running("mistral:7b", 9_000 * MIB, 9_000 * MIB), "context_length": 32768}
    process = pod.start("serve", {"ps": {"models": [grown]}}, MODELS="")  # one that ends nothing
    try:
        assert pod.becomes_ready(process)
        status, said = pod.run("ready", PROMISED_MIB="5000")
        assert status != 0
        assert "mistral:7b with context 32768: 9000 MiB of the GPU, of which 5000 are promised to this pod" in said
    finally:
        end(process)


def test_a_model_that_is_too_large_from_the_start_never_becomes_ready(pod: Pod) -> None:
    pod.weigh()
    pod.weigh("llama3.2", "3b")
    both = [running("llama3.2:3b", 3_000 * MIB, 3_000 * MIB), running("mistral:7b", 5_000 * MIB, 5_000 * MIB)]
    status, said = pod.run("serve", {"ps": {"models": both}}, MODELS="mistral:7b llama3.2:3b", PROMISED_MIB="7999")
    assert status == 1
    assert "llama3.2:3b with context 4096, mistral:7b with context 4096: 8000 MiB of the GPU, of which 7999" in said
    assert "all of it on the GPU" not in said


def test_last_words_are_of_this_start(pod: Pod) -> None:
    """The scratch folder outlives the container."""
    pod.weigh()
    (pod.weights.parent / "last-words").write_text("of the container before")
    process = pod.start("serve", {"ps": {"models": [running("mistral:7b", 1, 1)]}})
    try:
        assert pod.becomes_ready(process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert "of the container before" not in said
    finally:
        end(process)


def test_a_model_for_embeddings_is_loaded_by_an_embedding(pod: Pod) -> None:
    pod.weigh("bge-m3", "567m")
    play = {
        "ps": {"models": [running("bge-m3:567m", 5_000, 5_000)]},
        "/api/generate": (400, {"error": '"bge-m3:567m" does not support generate'}),
    }
    process = pod.start("serve", play, MODELS="bge-m3:567m")
    try:
        assert pod.becomes_ready(process, MODELS="bge-m3:567m")
        path, body = pod.requests()[1]
        # As requests without options are: another batch or context would load it again.
        assert (path, body) == ("/api/embed", {"model": "bge-m3:567m", "input": "", "options": {"num_gpu": 999}})
    finally:
        end(process)


@pytest.mark.parametrize("vram", [4_999, 0])
def test_a_spill_to_the_cpu_ends_the_pod_and_says_so(pod: Pod, vram: int) -> None:
    pod.weigh()
    status, said = pod.run("serve", {"ps": {"models": [running("mistral:7b", 5_000, vram)]}})
    assert status == 1
    assert f"mistral:7b has only {vram} of its 5000 bytes on the GPU; the rest would be computed by the CPU" in said


def test_of_several_models_each_must_be_on_the_gpu(pod: Pod) -> None:
    pod.weigh()
    pod.weigh("llama3.2", "3b")
    both = [running("llama3.2:3b", 3_000, 2_000), running("mistral:7b", 5_000, 5_000)]
    status, said = pod.run("serve", {"ps": {"models": both}}, MODELS="mistral:7b llama3.2:3b")
    assert status == 1
    assert "llama3.2:3b has only 2000 of its 3000 bytes" in said
    status, said = pod.run("serve", {"ps": {"models": both[1:]}}, MODELS="mistral:7b llama3.2:3b")
    assert status == 1
    assert "llama3.2:3b is not loaded" in said


def test_what_cannot_be_loaded_ends_the_pod_with_ollamas_reason(pod: Pod) -> None:
    pod.weigh()
    play = {"status": 500, "answer": {"error": "llama-server process has terminated: CUDA error: out of memory"}}
    status, said = pod.run("serve", play)
    assert status == 1
    assert "mistral:7b cannot be loaded" in said
    assert "out of memory" in said


def test_missing_or_other_weights_end_the_pod_before_a_server_starts(pod: Pod) -> None:
    status, said = pod.run("serve")
    assert (status, pod.seen.exists()) == (1, False)
    assert "mistral:7b is not there" in said
    pod.weigh()
    status, said = pod.run("serve", DIGESTS="0" * 64)
    assert (status, pod.seen.exists()) == (1, False)
    digest = hashlib.sha256(b"manifest").hexdigest()
    assert f"mistral:7b has digest {digest}, but {'0' * 64} is wanted" in said


def test_right_digests_pass(pod: Pod) -> None:
    pod.weigh()
    pod.weigh("llama3.2", "3b")
    digests = f"- {hashlib.sha256(b'manifest').hexdigest()}"
    play = {"ps": {"models": [running("llama3.2:3b", 1, 1), running("mistral:7b", 1, 1)]}}
    process = pod.start("serve", play, MODELS="mistral:7b llama3.2:3b", DIGESTS=digests)
    try:
        assert pod.becomes_ready(process, MODELS="mistral:7b llama3.2:3b")
    finally:
        end(process)


def test_weights_come_through_the_nodes_cache_which_is_asked_ever_less_often(pod: Pod, tmp_path: Path) -> None:
    path = pod.weights / "manifests/registry.ollama.ai/library/mistral/7b"
    pauses = tmp_path / "pauses"
    (tmp_path / "quick").mkdir()
    sleep = tmp_path / "quick" / "sleep"
    sleep.write_text(f'#!/bin/bash\necho "$1" >>{pauses}\nexec /bin/sleep 0.05\n')
    sleep.chmod(0o755)
    fetching = pod.start("fetch", PATH=f"{sleep.parent}:{pod.environment['PATH']}")
    until(lambda: pauses.exists() and len(pauses.read_text().split()) > 6, "six questions in vain")
    cache = pod.start("serve", {"pulled": [str(path)], "ps": {"models": []}}, MODELS="")
    try:
        _, said = fetching.communicate(timeout=PATIENCE)
        assert fetching.returncode == 0, said
        assert pauses.read_text().split()[:6] == ["1", "2", "4", "8", "10", "10"]
        assert said.count("waiting for mistral:7b from 127.0.0.1") == len(pauses.read_text().split())
        assert pod.requests() == [["/api/pull", {"model": "mistral:7b", "stream": False}]]
        assert pod.run("fetch", CACHE="192.0.2.1")[0] == 0, "what is there is not fetched again"
    finally:
        end(fetching)
        end(cache)


def test_another_digest_or_a_newer_ollama_refresh_the_cache(pod: Pod) -> None:
    path = pod.weigh(text="old")
    wanted = hashlib.sha256(b"manifest").hexdigest()
    cache = pod.start("serve", {"pulled": [str(path)], "ps": {"models": []}}, MODELS="")
    pull, copy = ["/api/pull", {"model": "mistral:7b", "stream": False}], "/api/copy"
    try:
        assert pod.run("fetch", DIGESTS="-")[0] == 0, "any digest will do"
        status, said = pod.run("fetch", DIGESTS=wanted)
        assert (status, path.read_text()) == (0, "manifest"), said
        assert pod.requests() == [pull]
        # No mark of this version: pulled again, and marked.
        assert pod.run("fetch", DIGESTS=wanted, PULLED_BY="0.32.15")[0] == 0
        assert pod.requests()[1:] == [
            pull,
            [copy, {"source": "mistral:7b", "destination": "pulled-by-0-32-15/mistral:7b"}],
        ]
        pod.weigh("../pulled-by-0-32-15/mistral", "7b")
        assert pod.run("fetch", DIGESTS=wanted, PULLED_BY="0.32.15")[0] == 0
        assert len(pod.requests()) == 3
        # What the registry has now is not what is wanted: that is said, not tried for ever.
        status, said = pod.run("fetch", DIGESTS="0" * 64)
        assert (status, f"but {'0' * 64} is wanted" in said) == (1, True)
    finally:
        end(cache)
    # Without the cache, what is there serves on.
    status, said = pod.run("fetch", DIGESTS=wanted, PULLED_BY="0.33.0", CACHE="127.0.0.2")
    assert (status, "cannot be refreshed" in said) == (0, True), said


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mistral:7b", "registry.ollama.ai/library/mistral/7b"),
        ("acme/mistral:v1", "registry.ollama.ai/acme/mistral/v1"),
        ("hf.co/acme/model:Q4_K_M", "hf.co/acme/model/Q4_K_M"),
    ],
)
def test_names_lead_to_ollamas_manifests(pod: Pod, name: str, path: str) -> None:
    _, said = pod.run("serve", MODELS=name)
    assert f"{pod.weights}/manifests/{path} is missing" in said


def test_nothing_is_ready_without_a_server(pod: Pod) -> None:
    assert pod.run("ready") == (1, "")


def test_the_script_is_plain(pod: Pod) -> None:
    assert subprocess.run(["/bin/bash", "-n", str(SCRIPT)], check=False).returncode == 0
    words = {"curl", "wget", "jq", "python", "nc"} & set(SCRIPT.read_text().split())
    assert not words, textwrap.shorten(f"Ollama's image does not have {words}", 80)
    assert shutil.which("bash")
