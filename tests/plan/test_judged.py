"""`slices judge` comes to the verdicts of `slices plan`, on every stack, from what other tools write of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plan.record import Recording
from policy.analyzer import Recorded, judge, read_config
from policy.sources.read import parse, read
from tests.plan.conftest import ROOT, STACKS
from tools.terraform import write_terraform

CONFIG = read_config(ROOT / "policy" / "config.json")


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_is_read_as_it_was_registered(stack: str, planned: Callable[[str], list[Recorded]]) -> None:
    registered = planned(stack)
    steps = [
        {
            "op": "create",
            "urn": resource.urn,
            "newState": {
                "urn": resource.urn,
                "type": resource.type,
                "inputs": resource.inputs,
                "parent": resource.parent,
                "dependencies": resource.dependencies,
            },
        }
        for resource in registered
    ]
    program = parse(json.dumps({"steps": steps}), "preview.json")
    assert program is not None
    assert program.unseen == []
    assert program.resources == registered


@pytest.mark.parametrize("stack", STACKS)
def test_the_same_stack_in_terraform_and_yaml_is_sound_too(
    stack: str, recorded: Callable[[str], Recording], tmp_path: Path
) -> None:
    """Its expressions are values that are not known: nothing that must be known is one of them."""
    write_terraform(recorded(stack), tmp_path / "exported")
    program = read([str(tmp_path)])
    assert program.unseen == []
    assert len(program.resources) > 100
    assert {resource.type.partition(":")[0] for resource in program.resources} == {"aws", "kubernetes", "pulumi"}
    # What Checkov reads has no Helm releases, which tell into how many slots a GPU is cut: slots would count as GPUs.
    config = {**CONFIG, "gpu-ceiling-per-stack": "disabled"}
    assert [(verdict.rule, verdict.message) for verdict in judge(program.resources, config)] == []
