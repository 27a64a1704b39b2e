"""The platform's rules on our own stacks: each mutant is noticed by its rule alone, and no shape breaks one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from plan.record import Recording
from policy.analyzer import UNKNOWN, judge, read_config
from policy.framework import matches
from policy.iam_documents import DOCUMENT_TYPES
from policy.pack import RULES
from policy.rules.iam_no_wildcards import RULE as NO_WILDCARDS
from tests.day import TODAY
from tests.plan.conftest import ROOT, STACKS, as_judged
from tests.plan.mutants_platform import MUTANTS
from tests.plan.mutation import Mutant, Stack
from tests.sweep import tried

CONFIG = read_config(ROOT / "policy" / "config.json")
PLATFORM = tuple(rule for rule in RULES if rule.name.partition("-")[0] not in ("gpu", "ollama"))


def some() -> Iterator[Mutant]:
    """One mutant of each rule, and some of the others."""
    seen: set[str] = set()
    for mutant in MUTANTS:
        if mutant.rule not in seen or tried(f"{mutant.rule} {mutant.what} {mutant.stack}", 4):
            seen.add(mutant.rule)
            yield mutant


@pytest.mark.parametrize("mutant", list(some()), ids=lambda mutant: f"{mutant.rule}: {mutant.what} in {mutant.stack}")
def test_each_mutant_is_noticed_by_its_rule_alone(mutant: Mutant, planned: Callable[[str], Stack]) -> None:
    verdicts = judge(mutant.mutation(planned(mutant.stack)), CONFIG, today=TODAY)
    assert {verdict.rule for verdict in verdicts} == {mutant.rule}


@pytest.mark.parametrize("stack", STACKS)
def test_policies_that_name_other_resources_hold_once_those_are_known(
    stack: str, recorded: Callable[[str], Recording]
) -> None:
    """In preview their documents are unknown, and the rule leaves them to the update; the recording has the text."""
    resources = [as_judged(found, found.inputs) for found in recorded(stack).resources if found.type in DOCUMENT_TYPES]
    assert any("<" in found.inputs.get("policy", "") for found in resources)
    assert judge(resources, rules=[NO_WILDCARDS], today=TODAY) == []


JUNK: tuple[Any, ...] = (None, True, 1.5, "", "x", [], ["x"], [None], [[1.5]], {}, {"x": None}, [{"x": 1}], UNKNOWN)


def bent(value: Any) -> Iterator[Any]:
    """`value` with one part replaced by junk, for every part and every junk."""
    yield from JUNK
    if isinstance(value, dict):
        yield from ({**value, key: other} for key, item in value.items() for other in bent(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in bent(item))


def test_no_shape_breaks_a_platform_rule(planned: Callable[[str], Stack]) -> None:
    """One resource of each type that a rule reads, as it is but for one part: an exception would stop an update."""
    samples = {
        found.type: found for found in planned("prod") if any(matches(rule.types, found.type) for rule in PLATFORM)
    }
    assert len(samples) >= 20
    count = 0
    for sample in samples.values():
        for number, inputs in enumerate(bent(dict(sample.inputs))):
            if isinstance(inputs, dict) and tried(f"{sample.type} {number}", 8):
                judge([replace(sample, inputs=inputs)], today=TODAY, rules=PLATFORM)
                count += 1
    assert count > 500
