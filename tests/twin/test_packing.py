"""Pods of one slot each need ceil(pods / slots) nodes and never one more, however the slots are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.scenarios.packing import pack
from twin.scenarios.play import playing

ROOT = Path(__file__).parents[2]
#: Slots of every node in the stack.
SLOTS = 4


@pytest.fixture(scope="module")
def packing(tmp_path_factory: pytest.TempPathFactory, bring_up: Callable[..., TwinPlan]) -> Iterator[TwinState]:
    """A twin with time-slicing, MPS, a renamed resource and MIG."""
    project = tmp_path_factory.mktemp("packing")
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    described |= {"main": str(ROOT), "stackConfigDir": str(Path(__file__).parent / "stacks")}
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    state = TwinState(project / ".twin", "packing")
    plan = make_plan(project, "packing")
    assert {(pool.name, pool.resource, pool.slots_per_node()) for pool in plan.gpu_pools} == {
        ("time-slicing", "nvidia.com/gpu", SLOTS),
        ("mps", "nvidia.com/gpu", SLOTS),
        ("renamed", "nvidia.com/gpu.shared", SLOTS),
        ("mig", "nvidia.com/mig-1g.20gb", SLOTS),
    }
    try:
        bring_up(state, plan)
        yield state
    finally:
        launch.stop(state)


@pytest.mark.parametrize("sizes", [(200,), (1, SLOTS, SLOTS + 1, 30)], ids=["at once", "one after another"])
def test_as_few_nodes_as_can_be(packing: TwinState, sizes: tuple[int, ...]) -> None:
    """The second run grows: free slots are filled before another node is bought."""
    story: list[str] = []
    with playing(packing, story.append) as play:
        for pods in sizes:
            pack(play, pods)
    assert len(play.checks) == 3 * len(sizes) * len(play.plan.gpu_pools)
    assert all(check.passed for check in play.checks), "\n".join(story)
