"""Who is moved to save money: by Karpenter itself, on nodes that are half empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from gpu.contract import DO_NOT_DISRUPT_ANNOTATION
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
    """Of three nodes with a pod each two stay: those whose pods must not be disturbed. WhenEmpty keeps both of two."""
    story: list[str] = []
    with playing(twin, story.append) as play:
        work = {"balanced": 3, "when-empty": 2}
        for pool, nodes in work.items():
            play.deploy(pool, pool, play.plan.gpu_pools[0].resource, nodes * SLOTS)
        play.wait(lambda: all(play.running(pool) == n * SLOTS for pool, n in work.items()), 150, "running pods")
        assert {pool: len(play.nodes_of(pool)) for pool in work} == work
        _, *kept = sorted(play.nodes_of("balanced"))
        for pod in play.pods("balanced"):
            if pod["spec"]["nodeName"] in kept:
                play.kube.patch({**pod, "apiVersion": "v1", "kind": "Pod"}, _MUST_NOT_BE_DISTURBED)
        for pool in work:
            keep_only(play, pool, {one_on(play, pool, node) for node in play.nodes_of(pool)})
        before, resident = {pool: _uids(play, pool) for pool in work}, play.nodes_of("when-empty")
        play.wait(lambda: _nodes(play, "balanced") == set(kept), 240, "two nodes")
        play.wait(lambda: play.running("balanced") == 3, 150, "the pod that was moved")
        assert play.stays(lambda: _nodes(play, "balanced") == set(kept), 30), "and these two nodes do not merge"
        assert play.nodes_of("balanced") == set(kept)
        assert len(before["balanced"] & _uids(play, "balanced")) == 2, "one was evicted, and another came in its place"
        assert _uids(play, "when-empty") == before["when-empty"]
        assert _nodes(play, "when-empty") == resident
        assert len(play.claims_of("balanced")) == 3, "no node was bought for it"


_MUST_NOT_BE_DISTURBED = {"metadata": {"annotations": {DO_NOT_DISRUPT_ANNOTATION: "true"}}}


def _uids(play: Play, name: str) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in play.pods(name)}


def _nodes(play: Play, pool: str) -> set[str]:
    return {node.name for node in play.view.pool(pool)}
