"""Pools that merge, that stand and that end with a block, on the real engine: what of them may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.engine.engine import Workspace
from tests.engine.test_lifecycle import wait_for_nodes
from tests.plan.test_capacity_blocks import POOL as BLOCK
from tests.plan.variants import POOL
from twin.destroy import instances
from twin.machine.launch import connect
from twin.machine.state import TwinState

MERGING: Mapping[str, Any] = {**POOL, "name": "merging", "maxGpus": 2, "consolidationPolicy": "Balanced"}
EMPTY: Mapping[str, Any] = {**POOL, "name": "empty", "maxGpus": 2}
STANDING: Mapping[str, Any] = {**POOL, "name": "standing", "maxGpus": 3, "static": {"replicas": 2}}
#: As docs/sharing.md has it, for those who search for it.
REFUSAL = "Cannot transition NodePool between static (replicas set) and dynamic (replicas unset) provisioning modes"


def test_pools_merge_stand_and_keep_their_kind(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState]
) -> None:
    made = workspace("dev")
    budget = {"monthlyUsd": 4000, "emails": ["platform@gpu-slices.dev"]}
    values = {"models": [], "dialogue": {}, "examples": False, "budget": budget}
    made.configure({**values, "pools": [MERGING, EMPTY, STANDING]})
    kube = connect(ground(made))
    made.up(expect=0)
    wait_for_nodes(kube, {"standing": 2})
    assert made.preview("--expect-no-changes").steps() == {}

    one = {**STANDING, "static": {"replicas": 1}}
    pools = (MERGING, {**EMPTY, "consolidationPolicy": "Balanced"}, one)
    made.configure({"pools": list(pools)})
    assert _steps(made) == {"gpu-empty-pool": "update", "gpu-standing-pool": "update"}
    made.up(expect=0)
    wait_for_nodes(kube, {"standing": 1})
    assert made.preview("--expect-no-changes").steps() == {}

    _kind_stays(made, *pools)
    made.destroy(expect=0)
    assert made.state() == []
    assert instances(kube) == []


def _kind_stays(made: Workspace, merging: object, empty: object, standing: Mapping[str, Any]) -> None:
    """The preview says it, before anything is changed; under another name it is a pool more, and one less."""
    moving = {key: value for key, value in standing.items() if key != "static"}
    made.configure({"pools": [merging, empty, moving]})
    refused = made.preview()
    assert refused.code != 0
    assert REFUSAL in refused.text
    # The twin's EC2 knows no reservations, without which Karpenter's class of a block is never ready: it is not made.
    made.configure({"pools": [merging, empty, {**moving, "name": "moving"}, {**BLOCK, "maxGpus": 8}]})
    steps = _steps(made)
    assert [steps[f"gpu-{name}-pool"] for name in ("moving", "standing", "block")] == ["create", "delete", "create"]
    assert "update" not in {how for name, how in steps.items() if name.startswith("gpu-")}


def _steps(made: Workspace) -> dict[str, str]:
    steps = made.preview(expect=0).steps()
    return {urn.rpartition("::")[2]: how for urn, how in steps.items() if "::pulumi:pulumi:Stack::" not in urn}
