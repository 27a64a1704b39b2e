"""Inputs made to hold the pack up, or to break it: each is judged in a moment, and nothing is raised."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from policy.analyzer import judge
from tests.day import TODAY
from tests.policy.support import recorded

CUSTOM = "kubernetes:example.com/v1:Thing"
COMMAND = "command:local:Command"
STACK = "aws:cloudformation/stack:Stack"
YAML = "kubernetes:yaml/v2:ConfigGroup"
POOL = "kubernetes:karpenter.sh/v1:NodePool"
_GPUS: Mapping[str, Any] = {
    "template": {
        "spec": {"requirements": [{"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5"]}]}
    }
}


def _nested(wrap: Callable[[Any], Any], levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = wrap(found)
    return found


_MAPS = _nested(lambda inner: {"a": inner}, 10_000)
_LISTS = _nested(lambda inner: [inner], 400)
_FUNCTIONS = _nested(lambda inner: {"Fn::Sub": inner}, 600)


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        (CUSTOM, {"spec": _MAPS}),
        (CUSTOM, {"spec": _LISTS}),
        (YAML, {"objs": [_MAPS]}),
        (YAML, {"yaml": "apiVersion: v1\nkind: " + "{a: " * 900 + "}" * 900}),
        (STACK, {"templateBody": {"Resources": {"A": {"Type": "AWS::EC2::Instance", "Properties": _FUNCTIONS}}}}),
        (STACK, {"templateBody": "Resources: {A: {Type: X, Properties: {B: C}}}", "tags": "a"}),
        (COMMAND, {"create": "apiVersion kind " + "{{ " * 300_000}),
        (COMMAND, {"create": "apiVersion kind\n" + "- {{ x \n" * 100_000}),
        (COMMAND, {"create": "kubectl apply -f - <<EOF\n" * 50_000}),
        (POOL, {"metadata": {"name": "\ud800"}, "spec": {"limits": {"nvidia.com/gpu": 10**5000}, **_GPUS}}),
    ],
)
def test_nothing_is_raised_and_nothing_takes_long(type_: str, inputs: dict[str, Any]) -> None:
    began = time.process_time()
    judge([recorded(type_, inputs)], today=TODAY)
    assert time.process_time() - began < 2


def test_folders_that_name_each_other_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ways = [f"../fan/.{'/.' * index}" for index in range(30)]
    Path("fan").mkdir()
    Path("fan/kustomization.yaml").write_text(f"resources: [{', '.join(ways)}]\n", encoding="utf-8")
    began = time.process_time()
    judge([recorded("kubernetes:kustomize/v2:Directory", {"directory": "fan"})], today=TODAY)
    assert time.process_time() - began < 2
