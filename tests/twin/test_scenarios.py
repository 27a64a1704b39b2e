"""Every scenario ends as it must, on the real Karpenter and the real scheduler."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.scenarios.run import SCENARIOS, run_scenario


@pytest.mark.parametrize("name", [name for name, each in SCENARIOS.items() if each.stack == "local"])
def test_scenario(name: str, twin: TwinState, bring_up: Callable[..., TwinPlan], plan: TwinPlan) -> None:
    story: list[str] = []
    outcome = run_scenario(name, twin, story.append)
    if SCENARIOS[name].spoils:
        bring_up(twin, plan)
    assert outcome.passed, "\n".join([outcome.problem, *story])
