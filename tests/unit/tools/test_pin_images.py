"""Digests of images, asked of a registry that wants a token: one of ours, on this machine."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

import versions
from tools import pin_images
from tools.pin_images import FILES, ROOT, PinError, digest_of, main, parse, pinned_images, rewritten

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """A registry: what it holds by `repository:tag`, and how it misbehaves."""

    url: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    media_type: str = INDEX
    says: str | None = None
    """Digest that it claims, whatever it sends."""
    asked: list[str] = field(default_factory=list)

    def digest(self, name: str) -> str:
        return f"sha256:{hashlib.sha256(self.content[name]).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if self.path.startswith("/token"):
                assert "scope=repository" in self.path
                return self.answer(200, json.dumps({"token": "t"}).encode(), "application/json")
            if self.headers["Authorization"] != "Bearer t":
                challenge = f'Bearer realm="{state.url}/token",service="ours",scope="repository:x:pull"'
                return self.answer(401, b"", "application/json", {"WWW-Authenticate": challenge})
            repository, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
            body = state.content.get(f"{repository}:{tag}")
            if body is None or INDEX not in self.headers["Accept"]:
                return self.answer(404, b"", "application/json")
            digest = state.says or f"sha256:{hashlib.sha256(body).hexdigest()}"
            return self.answer(200, body, state.media_type, {"Docker-Content-Digest": digest})

        def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that name images."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def hold_all(registry: Registry) -> dict[str, str]:
    """The registry gets every pinned image, under other digests than ours; the endpoints that lead to it."""
    images = pinned_images()
    registry.content = {f"{image.repository}:{image.tag}": image.name.encode() for image in images}
    return {image.registry: registry.url for image in images}


def test_every_image_is_asked_for() -> None:
    names = {image.name for image in pinned_images()}
    assert parse(versions.OLLAMA_IMAGE).name in names
    assert any("/python:" in name for name in names)
    single = [name for name in vars(versions) if name.endswith("_IMAGE")]
    assert len(names) == len(single) + len(versions.PROMETHEUS_IMAGES) + 1


def test_the_digest_is_that_of_what_was_sent(registry: Registry) -> None:
    registry.content["a/b:1"] = b"{}"
    with httpx.Client() as client:
        found = digest_of(client, parse("docker.io/a/b:1"), {"docker.io": registry.url})
    assert found == registry.digest("a/b:1")
    assert [path.partition("?")[0] for path in registry.asked] == [
        "/v2/a/b/manifests/1",
        "/token",
        "/v2/a/b/manifests/1",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"content": {}}, "docker.io did not answer: .*404"),
        ({"says": f"sha256:{'0' * 64}"}, "docker.io says sha256:000.*and what it sent has sha256:"),
        ({"media_type": MANIFEST}, "is an image of one platform"),
        ({"url": "http://127.0.0.1:9"}, "docker.io did not answer"),
    ],
)
def test_an_answer_that_proves_nothing_is_refused(changes: dict[str, object], message: str, registry: Registry) -> None:
    registry.content["a/b:1"] = b"{}"
    for key, value in changes.items():
        setattr(registry, key, value)
    with httpx.Client() as client, pytest.raises(PinError, match=message):
        digest_of(client, parse("docker.io/a/b:1"), {"docker.io": registry.url})


@pytest.mark.parametrize("reference", ["ollama", "docker.io/ollama/ollama", "docker.io/ollama/ollama@sha256:0"])
def test_a_reference_without_registry_or_tag_is_refused(reference: str) -> None:
    with pytest.raises(PinError, match="must be REGISTRY/REPOSITORY:TAG"):
        parse(reference)


def test_what_differs_is_said_and_left_alone(
    registry: Registry, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], checkout, hold_all(registry)) == 1
    assert f"pinned is {parse(versions.PAUSE_IMAGE).digest}" in capsys.readouterr().out
    assert all((checkout / name).read_text() == (ROOT / name).read_text() for name in FILES)


def test_new_digests_are_written_everywhere(
    registry: Registry, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints = hold_all(registry)
    assert main(["--write"], checkout, endpoints) == 0
    assert "take it out of versions.TAG_NOT_DIGEST" in capsys.readouterr().out
    module = runpy.run_path(str(checkout / "versions.py"))
    for name, value in module.items():
        if name.endswith("_IMAGE"):
            image = parse(str(value))
            assert image.digest == registry.digest(f"{image.repository}:{image.tag}"), name
    assert max(map(len, (checkout / "versions.py").read_text().splitlines())) <= 120
    ollama = parse(str(module["OLLAMA_IMAGE"]))
    assert f"FROM ollama/ollama:{ollama.tag}@{ollama.digest} AS pull" in (checkout / "docs/serving.md").read_text()
    dockerfile = (checkout / "apps/dialogue/Dockerfile").read_text()
    [base] = [image for image in pinned_images(checkout) if image.repository == "library/python"]
    assert f"ARG PYTHON={base.name}@{registry.digest(f'library/python:{base.tag}')}\n" in dockerfile


def test_a_registry_that_is_silent_changes_nothing_and_says_so(
    registry: Registry, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints = hold_all(registry)
    registry.content = {}
    assert main(["--write"], checkout, endpoints) == 2
    assert capsys.readouterr().err.count("error: ") == len(pinned_images())
    assert all((checkout / name).read_text() == (ROOT / name).read_text() for name in FILES)


def test_an_image_without_a_digest_gets_one_in_a_dockerfile_too() -> None:
    image = parse("docker.io/library/python:3")
    assert rewritten("ARG PYTHON=docker.io/library/python:3\n", image, "sha256:1").endswith("python:3@sha256:1\n")
    assert pin_images.ENDPOINTS["docker.io"] == "https://registry-1.docker.io"
