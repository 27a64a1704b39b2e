from __future__ import annotations

from typing import Any

import pytest

from policy.ollama import Image
from policy.rules.ollama_version import RULE
from tests.policy.platform import KNATIVE, RELEASE, container, deployment
from tests.policy.support import UNKNOWN, judged, recorded

DIGEST = "@sha256:" + "0" * 64


def said(image: Any, type_: str = KNATIVE, **options: Any) -> list[str]:
    return [
        verdict.message for verdict in judged(RULE, deployment({"name": "m", "image": image}, type_=type_), **options)
    ]


@pytest.mark.parametrize(
    "image",
    [
        "ollama/ollama:0.17.1",
        "docker.io/ollama/ollama:0.32.0-rocm",
        f"registry.example:5000/mirror/ollama:v1.0.0{DIGEST}",
        "registry.example/models/ollama-mistral:0.17.10",
        "registry.example/app:latest",
        "registry.example/ollamas/web:latest",
    ],
)
def test_fixed_versions_and_other_images_pass(image: str) -> None:
    assert said(image) == []


@pytest.mark.parametrize("image", ["ollama/ollama:0.17.0", "ollama/ollama:0.9.12", f"ollama/ollama:0.1.99{DIGEST}"])
def test_vulnerable_versions_fail(image: str) -> None:
    assert "is older than 0.17.1" in said(image)[0]


@pytest.mark.parametrize(
    "image",
    [
        "ollama/ollama",
        "ollama/ollama:latest",
        "ollama/ollama:0.17",
        "registry.example:5000/ollama",
        f"ollama/ollama{DIGEST}",
        "ollama/ollama:0.17.1.2",
        "ollama/ollama:${TAG}",
    ],
)
def test_images_that_do_not_tell_fail(image: str) -> None:
    assert "does not tell its version" in said(image)[0]


def test_a_server_is_known_by_its_command_too() -> None:
    hidden = {"name": "m", "image": "registry.example/llm:9", "command": ["/bin/ollama", "serve"]}
    assert judged(RULE, deployment(hidden))
    script = {"name": "m", "image": "registry.example/llm:9", "command": ["sh", "-c"], "args": ["ollama serve & wait"]}
    assert judged(RULE, deployment(script))


def test_init_containers_count() -> None:
    pull = {"name": "pull", "image": "ollama/ollama:0.3.0"}
    assert judged(RULE, deployment(container(), spec={"initContainers": [pull]}))


def test_an_unknown_image_of_a_server_fails() -> None:
    known = {"name": "m", "image": UNKNOWN, "args": ["ollama", "serve"]}
    assert "must be a literal" in judged(RULE, deployment(known))[0].message
    assert judged(RULE, deployment({"name": "m", "image": UNKNOWN})) == []  # nothing says that it is Ollama


def test_the_version_can_be_raised() -> None:
    assert said("ollama/ollama:0.17.1", minVersion="0.32.0")
    assert said("ollama/ollama:0.33.0", minVersion="0.32.0") == []
    assert "is no version" in said("ollama/ollama:0.33.0", minVersion="new")[0]


@pytest.mark.parametrize(("tag", "fails"), [("0.17.4", False), ("0.16.0", True), (None, True), (UNKNOWN, True)])
def test_the_community_chart(tag: str | None, fails: bool) -> None:
    values = {"image": {"tag": tag}} if tag else {}
    release = recorded(RELEASE, {"chart": "ollama", "values": values})
    assert bool(judged(RULE, release)) is fails


def test_references_are_taken_apart() -> None:
    assert Image.of("host:5000/a/ollama") == Image("host:5000/a/ollama", "", digest=False)
    assert Image.of(f"ollama/ollama:1.2.3{DIGEST}") == Image("ollama/ollama", "1.2.3", digest=True)
