"""Twins for tests: built once, started once per worker, in a folder of the test's own.

`make test-twin` runs these; they take minutes and need the programs that Go builds. Where that is impossible they are
skipped and say why; with REQUIRE_TWIN=1 they fail instead, so that CI cannot lose them without notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.built import mark_all_below, twin_programs
from twin.errors import TwinError
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.up import Up

ROOT = Path(__file__).parents[2]
#: The stack with a pool whose pods claim memory.
MEMORY = "memory"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is a twin's test."""
    mark_all_below(Path(__file__).parent, "twin", items)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The twin's programs."""
    return twin_programs("TWIN")


@pytest.fixture(scope="session")
def plan() -> TwinPlan:
    """The plan of stack local."""
    return make_plan(ROOT, "local")


@pytest.fixture(scope="session")
def bring_up(programs: Path) -> Callable[..., TwinPlan]:
    """Starts a twin, or brings it up to date."""

    def up(state: TwinState, plan: TwinPlan, *, ready_seconds: float = 120.0) -> TwinPlan:
        with state.lock():
            try:
                return Up(state, programs, lambda _: None, ready_seconds=ready_seconds).run(lambda: plan)
            except TwinError as error:
                # The twin is gone when somebody reads of it.
                for name in ("karpenter", "aws"):
                    error.add_note(f"{name}, its last words:\n{launch.tail(state, name)}")
                raise

    return up


@pytest.fixture(scope="session")
def twin(
    tmp_path_factory: pytest.TempPathFactory, bring_up: Callable[..., TwinPlan], plan: TwinPlan
) -> Iterator[TwinState]:
    """A running twin of stack local; tests leave it as they found it."""
    state = TwinState(tmp_path_factory.mktemp("twin") / ".twin", "local")
    try:
        bring_up(state, plan)
        yield state
    finally:
        launch.stop(state)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory, bring_up: Callable[..., TwinPlan]) -> Iterator[TwinState]:
    """A twin with a pool whose pods claim memory beside one with slots; each GPU has one owner."""
    plan = make_plan(ROOT, MEMORY)
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
    state = TwinState(tmp_path_factory.mktemp("claims") / ".twin", MEMORY)
    try:
        bring_up(state, plan)
        yield state
    finally:
        launch.stop(state)
