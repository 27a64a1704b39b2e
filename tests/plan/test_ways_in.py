"""What a stack hands out so that people get at its models, and what a door without TLS says of itself."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tests.plan.variants import MODEL, POOL, changed_dev, varied

pytestmark = pytest.mark.parts

CERTIFICATE = "arn:aws:acm:us-east-1:101010101010:certificate/01234567-89ab-cdef-0123-456789abcdef"
REASON = "the VPN encrypts all of the way"
TALK = {"speakers": ["a", "b"], "image": "build"}
MODELS = [{**MODEL, "name": "a"}, {**MODEL, "name": "b"}]


def outputs(door: dict[str, Any] | None, **values: Any) -> Any:
    serving = {"serving": {"door": {"domain": "chat.example.com", **door}}} if door else {}
    return changed_dev({"pools": [POOL], "models": MODELS, "dialogue": TALK, **serving, **values})


@pytest.mark.parametrize(
    ("door", "url"),
    [
        (None, "http://dialogue.dialogue.svc.cluster.local"),
        ({"certificateArn": CERTIFICATE}, "https://dialogue.chat.example.com"),
        ({"plainHttp": REASON}, "http://dialogue.chat.example.com"),
    ],
)
def test_the_page_is_where_people_reach_it(door: dict[str, Any] | None, url: str) -> None:
    recording = outputs(door)
    assert recording.outputs["dialogueUrl"] == url
    said = [text for severity, text in recording.messages if severity == "warning" and "plain HTTP" in text]
    wanted = (
        [f"the door speaks plain HTTP, keys and all, inside the VPC: {REASON}"] if door == {"plainHttp": REASON} else []
    )
    assert said == wanted


def test_models_of_one_server_have_one_address() -> None:
    found = varied("everything").outputs["modelUrls"]
    assert found["a"] == found["b"] == "http://both.models.svc.cluster.local"
    assert found["c"] == "http://c.models.svc.cluster.local"


def test_the_next_steps_are_commands_that_can_be_pasted() -> None:
    steps = outputs(None).outputs["nextSteps"]
    assert steps[0].startswith("aws eks update-kubeconfig --region us-east-1 --name gpu-slices-dev ")
    assert steps[-1] == ".venv/bin/slices open dialogue dev"
    assert {shlex.split(step)[0] for step in steps} == {"aws", "kubectl", ".venv/bin/slices"}
    assert all(step.isprintable() for step in steps)
    without = outputs(None, dialogue={"speakers": TALK["speakers"]}, examples=False).outputs["nextSteps"]
    assert not any("open dialogue" in step or "examples" in step for step in without)


def test_settings_of_the_stack_file_reach_the_service() -> None:
    recording = outputs(
        None,
        dialogue={**TALK, "settings": {"title": "Ours", "speakers": {"a": {"name": "Ada", "persona": "Dry."}}}},
    )
    (data,) = [
        each.inputs["data"]["dialogue.json"]
        for each in recording.of_type("kubernetes:core/v1:ConfigMap")
        if "dialogue.json" in each.inputs["data"]
    ]
    assert '"title": "Ours"' in data
    assert '"name": "Ada"' in data
    assert '"name": "b"' in data
