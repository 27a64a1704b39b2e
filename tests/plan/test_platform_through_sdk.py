"""The policy SDK's own analyzer, as the engine talks to it, says of every platform mutant what our analyzer says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policy.analyzer import judge
from policy.framework import ResourceRule, Rule, on_day
from tests.day import TODAY
from tests.plan.mutants_platform import MUTANTS
from tests.plan.mutation import Mutant, Stack
from tests.plan.test_platform_mutants import CONFIG, PLATFORM
from tests.policy.sdk import Analyzer, Said

pytestmark = pytest.mark.parts

RESOURCE_RULES = tuple(rule for rule in PLATFORM if isinstance(rule, ResourceRule))
STACK_RULES = tuple(rule for rule in PLATFORM if rule not in RESOURCE_RULES)
#: A rule that looks at nothing here, so that the engine has whom to show inputs to at little cost.
IDLE = next(rule for rule in RESOURCE_RULES if rule.name == "ecr-immutable-scanned")


def ours(resources: Stack, rules: tuple[Rule, ...]) -> list[Said]:
    config = {rule.name: CONFIG[rule.name] for rule in rules if rule.name in CONFIG}
    verdicts = judge(resources, config, today=TODAY, rules=rules)
    return [Said(v.rule, v.urn or "", v.level.value, v.message) for v in verdicts]


@pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if m.stack == "dev"], ids=lambda mutant: f"{mutant.rule}: {mutant.what}"
)
def test_the_sdk_says_the_same(mutant: Mutant, planned: Callable[[str], Stack]) -> None:
    before = planned(mutant.stack)
    after = mutant.mutation(before)
    unchanged = {resource.urn: resource.inputs for resource in before}
    bent = [resource for resource in after if resource.inputs != unchanged.get(resource.urn)]
    with on_day(TODAY):
        expected = Analyzer(RESOURCE_RULES, CONFIG).register(*bent)
        whole = Analyzer((IDLE, *STACK_RULES), CONFIG)
        whole.register(*after)
        expected += whole.finish(after)
        assert ours(bent, RESOURCE_RULES) + ours(after, STACK_RULES) == expected
    assert expected
