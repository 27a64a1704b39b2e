"""`model.sh fetch` against a real Ollama that pulls: a new node, another digest, a newer version.

The cache's Ollama reaches its registry through a proxy, which here is the registry itself, with a certificate of the
test's own authority. What it serves, another real Ollama has made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.apps.ollama_server import TEMPLATE, ModelServer
from tests.apps.test_real_healing import SCRIPT
from tests.patience import PATIENCE

REGISTRY = "registry.ollama.ai"
#: To which the registry sends for contents.
STORE = "contents.example"
MODEL = "tiny-r:latest"
MANIFEST = f"manifests/{REGISTRY}/library/tiny-r/latest"


class Registry:
    """Ollama's registry with what is in a server's folder of models."""

    def __init__(self, models: Path, folder: Path) -> None:
        self.asked: list[str] = []
        self.authority = folder / "cert.pem"
        key = folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={REGISTRY}"]
        files = ["-keyout", str(key), "-out", str(self.authority)]
        subprocess.run(
            [*command, "-addext", f"subjectAltName=DNS:{REGISTRY},DNS:{STORE}", *files], check=True, capture_output=True
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(models, context, self.asked))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()


def _handler(models: Path, context: ssl.SSLContext, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            assert self.path in (f"{REGISTRY}:443", f"{STORE}:443")
            self.send_response(200)
            self.end_headers()
            self.rfile.close()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            _, _, *name, kind, last = self.path.split("/")
            if kind == "blobs" and self.command == "GET" and self.headers["Host"] == REGISTRY:
                self.send_response(307)
                self.send_header("Location", f"https://{STORE}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
                return
            asked.append(f"{self.command} {kind} {last[:12]}")
            path = models / "blobs" / last.replace(":", "-")
            if kind == "manifests":
                path = models / "manifests" / REGISTRY / "/".join(name) / last
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            first, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            content = content[int(first) : int(end) + 1 if end else None]
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def registry(models: ModelServer, tmp_path: Path) -> Iterator[Registry]:
    if models.why_double:
        pytest.skip(models.why_double)
    if not shutil.which("openssl"):
        pytest.skip("no `openssl` here, which makes the registry's certificate")
    registry = Registry(models.folder / "models", tmp_path)
    yield registry
    registry.close()


@pytest.fixture
def cache(registry: Registry, tmp_path: Path) -> Iterator[ModelServer]:
    """The node's cache: an Ollama without a model."""
    server = ModelServer(tmp_path)
    server.start({"HTTPS_PROXY": registry.url, "SSL_CERT_FILE": str(registry.authority)})
    yield server
    server.kill()


def test_another_digest_or_a_newer_ollama_refresh_the_cache(
    models: ModelServer, registry: Registry, cache: ModelServer, tmp_path: Path
) -> None:
    weights = cache.folder / "models"

    def publish(template: str) -> str:
        models.create("tiny-r", 5, {MODEL: template})
        path = models.folder / "models" / MANIFEST
        manifest = json.loads(path.read_text())
        for layer in manifest["layers"]:
            layer.pop("from", None)  # where it came from on this machine: what is pushed has no such thing
        path.write_text(json.dumps(manifest, separators=(",", ":")))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def fetch(digest: str, version: str) -> tuple[int, list[str], str]:
        """Exit status, what the registry was asked for, and what was said."""
        registry.asked.clear()
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "OLLAMA_PORT": str(cache.port),
            "OLLAMA_MODELS": str(weights),
            "CACHE": "127.0.0.1",
            "MODELS": MODEL,
            "DIGESTS": digest,
            "PULLED_BY": version,
        }
        command = ["/bin/bash", str(SCRIPT), "fetch"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.returncode, list(registry.asked), done.stderr

    def kept() -> str:
        return hashlib.sha256((weights / MANIFEST).read_bytes()).hexdigest()

    first = publish(TEMPLATE)
    status, asked, said = fetch("-", "1.0.0")
    assert (status, kept()) == (0, first), said
    assert [each for each in asked if each.startswith("GET blobs")]
    assert fetch(first, "1.0.0")[:2] == (0, []), "what is there is not asked for again"

    second = publish(TEMPLATE + " ")
    assert fetch("-", "1.0.0")[:2] == (0, []), "any digest will do"
    status, asked, said = fetch(second, "1.0.0")
    assert (status, kept()) == (0, second), said
    model = next(each for each in (weights / "blobs").iterdir() if each.stat().st_size > 100_000)
    assert f"GET blobs {model.name.replace('-', ':')[:12]}" not in asked, "only what differs is downloaded"

    status, asked, said = fetch(second, "1.1.0")
    assert (status, [each.split()[1] for each in asked]) == (0, ["manifests"]), "a newer Ollama looks, and has it all"
    assert fetch(second, "1.1.0")[:2] == (0, [])

    status, asked, said = fetch("0" * 64, "1.1.0")
    assert (status, f"{MODEL} has digest {second}, but {'0' * 64} is wanted" in said) == (1, True), said
