"""Every scenario ends as it must, on the real Karpenter and the real scheduler."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.scenarios.run import SCENARIOS, run_scenario

#: The longest first: begun last, the others' workers would wait for it.
NAMES = sorted(
    (name for name, each in SCENARIOS.items() if each.stack == "local"), key=lambda name: -SCENARIOS[name].seconds
)


@pytest.mark.parametrize("name", NAMES)
def test_scenario(name: str, twin: TwinState, bring_up: Callable[..., TwinPlan], plan: TwinPlan) -> None:
    story: list[str] = []
    outcome = run_scenario(name, twin, story.append)
    if SCENARIOS[name].spoils:
        bring_up(twin, plan)
    assert outcome.passed, "\n".join([outcome.problem, *story])
