"""Scenarios of claimed GPU memory end as they must, on the real Karpenter, scheduler and claim controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweep import EVERYTHING
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.scenarios.run import SCENARIOS, run_scenario

ROOT = Path(__file__).parents[2]
STACK = "memory"
#: Minutes each, of which unit tests and the other scenarios hold the parts: with SWEEP=everything.
LONG = {"claims-lost", "driver-never", "driver-wrong", "mixed"}
#: Fewer than by default: the machine of a test is slow, and `bench.claims` has the figures of many.
PODS = {"mixed": 20}

SCENARIOS_OF_CLAIMS = [
    name for name, each in SCENARIOS.items() if each.stack == STACK and (EVERYTHING or name not in LONG)
]


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory, bring_up: Callable[..., TwinPlan]) -> Iterator[TwinState]:
    """A twin with a pool whose pods claim memory beside one with slots; each GPU has one owner."""
    plan = make_plan(ROOT, STACK)
    assert [pool.name for pool in plan.claim_pools] == ["memory"]
    assert [pool.name for pool in plan.slot_pools] == ["slots"]
    (driver,) = plan.drivers
    assert (driver.consumable_shares, driver.problem) == ("memory", "")
    labels = {name: plan.node_pool(name)["spec"]["template"]["metadata"]["labels"] for name in ("memory", "slots")}
    assert {name: driver.runs_on(found) for name, found in labels.items()} == {"memory": True, "slots": False}
    assert {name: any(p.runs_on(found) for p in plan.plugins) for name, found in labels.items()} == {
        "memory": False,
        "slots": True,
    }
    assert all(model.claim_mib and not model.slot for model in plan.models if model.wants_gpu)
    state = TwinState(tmp_path_factory.mktemp("claims") / ".twin", STACK)
    try:
        bring_up(state, plan)
        yield state
    finally:
        launch.stop(state)


@pytest.mark.parametrize("name", SCENARIOS_OF_CLAIMS)
def test_scenario_of_claims(name: str, memory: TwinState) -> None:
    story: list[str] = []
    outcome = run_scenario(name, memory, story.append, PODS.get(name))
    assert outcome.passed, "\n".join([outcome.problem, *story])


def test_models_of_the_plan_share_a_gpu_from_zero(memory: TwinState) -> None:
    """Their claims are given by the plan's own admission policy: Knative's API knows none."""
    story: list[str] = []
    outcome = run_scenario("from-zero", memory, story.append)
    assert outcome.passed, "\n".join([outcome.problem, *story])
