"""What a newcomer sees when the dates in the repository have passed: plans, or words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import versions
from plan.errors import InputError
from plan.make import make_plan
from plan.project import find_project
from tests.day import TODAY, fixed

ROOT = Path(__file__).parents[3]
LATER = TODAY.replace(year=TODAY.year + 1)
#: Stacks whose justification of on-demand GPUs expires, as it must.
JUSTIFIED = {"prod"}
OUTDATED = "is out of standard support since"


@pytest.fixture(autouse=True)
def _a_year_on() -> Iterator[None]:
    with fixed(LATER):
        yield


@pytest.mark.parametrize("stack", sorted(set(find_project(ROOT).stacks) - JUSTIFIED))
def test_a_stack_is_planned(stack: str) -> None:
    plan = make_plan(ROOT, stack)
    assert any(OUTDATED in note and "update gpu-slices" in note for note in plan.notes)
    assert {verdict.rule for verdict in plan.verdicts if verdict.mandatory} == {"eks-supported-version"}
    assert {verdict.message.partition(": ")[2] for verdict in plan.verdicts} == {
        f"so did {versions.EKS_DEFAULT_VERSION}, the newest that this project knows; update it."
    }


@pytest.mark.parametrize("stack", sorted(JUSTIFIED))
def test_a_justification_that_is_past_is_said_to_be(stack: str) -> None:
    with pytest.raises(InputError) as refused:
        make_plan(ROOT, stack)
    (problem,) = [line for line in str(refused.value).splitlines() if "gpu-slices:" in line]
    assert f"(Pulumi.{stack}.yaml:" in problem
    latest = LATER + timedelta(days=180)
    assert f"is past: justify the pool anew with a date up to {latest}, or use Spot" in str(refused.value)


def test_the_last_day_of_support_is_none_of_these() -> None:
    with fixed(max(versions.EKS_STANDARD_SUPPORT_ENDS.values())):
        assert not any(OUTDATED in note for note in make_plan(ROOT, "dev").notes)
