"""Pools that merge, that stand and that end with a block, on the real engine: what of them may change, and what not."""

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

MERGING: Mapping[str, Any] = {**POOL, "name": "merging", "consolidationPolicy": "Balanced"}
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
    pools = [MERGING, {**EMPTY, "consolidationPolicy": "Balanced"}, one]
    made.configure({"pools": pools})
    assert _steps(made) == {"gpu-empty-pool": "update", "gpu-standing-pool": "update"}
    made.up(expect=0)
    wait_for_nodes(kube, {"standing": 1})
    assert made.preview("--expect-no-changes").steps() == {}

    _kinds_stay(made, pools)
    # The twin's EC2 knows no reservations, by which Karpenter's class of them never is ready: asked, and not made.
    made.configure({"pools": [*pools, {**BLOCK, "maxGpus": 8}]})
    assert set(_steps(made).values()) == {"create"}

    made.destroy(expect=0)
    assert made.state() == []
    assert instances(kube) == []


def _kinds_stay(made: Workspace, pools: list[Mapping[str, Any]]) -> None:
    """The preview says it, before anything is changed; under another name it is a pool more, and one less."""
    merging, empty, standing = pools
    moving = {key: value for key, value in standing.items() if key != "static"}
    for other in ([merging, empty, moving], [merging, {**EMPTY, "maxGpus": 3, "static": {"replicas": 2}}, standing]):
        made.configure({"pools": other})
        refused = made.preview()
        assert refused.code != 0
        assert REFUSAL in refused.text
    made.configure({"pools": [merging, empty, {**moving, "name": "moving"}]})
    steps = _steps(made)
    assert (steps["gpu-moving-pool"], steps["gpu-standing-pool"]) == ("create", "delete")


def _steps(made: Workspace) -> dict[str, str]:
    steps = made.preview(expect=0).steps()
    return {urn.rpartition("::")[2]: how for urn, how in steps.items() if "::pulumi:pulumi:Stack::" not in urn}
