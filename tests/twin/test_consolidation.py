"""Who is moved to save money: by Karpenter itself, on nodes that are half empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from gpu.contract import DO_NOT_DISRUPT_ANNOTATION
from gpu.importance import Placing
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.scenarios.lifecycle import keep_only, one_on
from twin.scenarios.play import Play, playing

ROOT = Path(__file__).parents[2]
#: Slots of every node in the stack.
SLOTS = 4


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, bring_up: Callable[..., TwinPlan]) -> Iterator[TwinState]:
    """A twin of stack consolidation."""
    project = tmp_path_factory.mktemp("consolidation")
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    described |= {"main": str(ROOT), "stackConfigDir": str(Path(__file__).parent / "stacks")}
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    state = TwinState(project / ".twin", "consolidation")
    try:
        bring_up(state, make_plan(project, "consolidation"))
        yield state
    finally:
        launch.stop(state)


def test_half_empty_nodes_merge_where_the_pool_is_balanced(twin: TwinState) -> None:
    """Of four nodes with a pod each two stay: those whose pods must not be disturbed. WhenEmpty keeps both of two."""
    story: list[str] = []
    with playing(twin, story.append) as play:
        resource = play.plan.gpu_pools[0].resource
        placed = Placing(annotations={DO_NOT_DISRUPT_ANNOTATION: "true"})
        work = {"cheap": "balanced", "kept": "balanced", "resident": "when-empty"}
        # One after the other, so that no node has pods of both kinds.
        for name, pool in work.items():
            play.deploy(name, pool, resource, 2 * SLOTS, placing=placed if name == "kept" else None)
            play.wait(lambda name=name: len(play.nodes_of(name)) == 2, 150, f"nodes for {name}")
        play.wait(lambda: all(play.running(name) == 2 * SLOTS for name in work), 150, "running pods")
        for name in work:
            keep_only(play, name, {one_on(play, name, node) for node in play.nodes_of(name)})
        before = {name: _uids(play, name) for name in work}
        kept, resident = play.nodes_of("kept"), play.nodes_of("resident")
        play.wait(lambda: {node.name for node in play.view.pool("balanced")} == kept, 150, "the merged nodes")
        play.wait(lambda: play.running("cheap") == 2, 30, "the moved pods")
        assert play.nodes_of("cheap") <= kept
        assert not before["cheap"] & _uids(play, "cheap"), "they were evicted, and others came in their place"
        assert _uids(play, "kept") == before["kept"]
        assert _uids(play, "resident") == before["resident"]
        assert {node.name for node in play.view.pool("when-empty")} == resident
        assert len(play.claims_of("balanced")) == 4, "no node was bought for it"


def _uids(play: Play, name: str) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in play.pods(name)}
