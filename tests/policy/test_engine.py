"""Stack rules judge inputs, whatever outputs the engine gives them, in every order in which it comes by."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policy.analyzer import Recorded, judge
from policy.engine import Inputs
from policy.framework import UNSEEN, EnforcementLevel, Finding, ResourceRule, Settings, Severity, Stack, StackRule
from policy.pack import RULES
from policy.reading import get
from policy.rules.gpu_ceiling import RULE as CEILING
from tests.day import TODAY
from tests.policy.platform import CLASS, GPU, pool
from tests.policy.sdk import Analyzer
from tests.policy.support import UNKNOWN, recorded

RESOURCE_RULES = tuple(rule for rule in RULES if isinstance(rule, ResourceRule))
POOL = pool(limits={GPU: "500"})
TOO_MANY = [(CEILING.name, "can have 500 GPUs (500 of NodePool gpu), more than 16.")]


def verdicts(analyzer: Analyzer, *resources: Recorded) -> list[tuple[str, str]]:
    """What one analysis says at its end."""
    analyzer.register(*resources)
    return [(said.rule, said.message) for said in analyzer.finish(resources)]


@pytest.mark.parametrize(
    "outputs",
    [{}, pool(limits={GPU: "4"}).inputs, {"metadata": UNKNOWN, "spec": UNKNOWN}],
    ids=["none, as in a first preview", "those of the last update", "unknown"],
)
def test_inputs_count_whatever_the_outputs_are(outputs: dict[str, Any]) -> None:
    assert verdicts(Analyzer(RULES), replace(POOL, outputs=outputs)) == TOO_MANY
    of_judge = judge([replace(POOL, outputs=outputs)], today=TODAY, rules=[CEILING])
    assert [(verdict.rule, verdict.message) for verdict in of_judge] == TOO_MANY


def test_what_is_not_registered_is_judged_by_its_outputs() -> None:
    """A resource that is read, imported or no target of an update is in the stack, and no resource policy sees it."""
    analyzer = Analyzer(RULES)
    other = recorded("pulumi:pulumi:Stack", {}, "test-dev")
    analyzer.register(other)
    said = analyzer.finish([other, replace(POOL, inputs={}, outputs=POOL.inputs)])
    assert [(each.rule, each.message) for each in said] == TOO_MANY


def test_one_process_judges_stack_after_stack() -> None:
    """Inputs of an analysis that is over are forgotten: a resource of the same URN may be read only the next time."""
    analyzer = Analyzer(RULES)
    assert verdicts(analyzer, POOL) == TOO_MANY
    small = pool(limits={GPU: "4"})
    assert verdicts(analyzer, small) == []
    assert verdicts(analyzer, POOL) == TOO_MANY
    other = recorded("pulumi:pulumi:Stack", {}, "test-dev")
    analyzer.register(other)
    assert analyzer.finish([other, replace(small, outputs=small.inputs)]) == []


def test_a_secret_is_judged_like_any_value() -> None:
    limits = {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": {GPU: "500"}}
    secret = replace(POOL, inputs={**POOL.inputs, "spec": {**POOL.inputs["spec"], "limits": limits}})
    assert verdicts(Analyzer(RULES), secret) == TOO_MANY


@pytest.mark.parametrize("off", [{"all": "disabled"}, {rule.name: "disabled" for rule in RESOURCE_RULES}])
def test_without_any_resource_rule_a_stack_rule_says_that_it_is_blind(off: dict[str, Any]) -> None:
    config = {**off, CEILING.name: {"enforcementLevel": "mandatory"}}
    assert (CEILING.name, UNSEEN) in verdicts(Analyzer(RULES, config), POOL)
    ours = judge([POOL], config, today=TODAY)
    assert [(v.rule, v.message) for v in ours if v.rule == CEILING.name] == [(CEILING.name, UNSEEN)]
    one_on = {**config, "kms-rotation": "advisory"}
    assert TOO_MANY[0] in verdicts(Analyzer(RULES, one_on), POOL)
    assert TOO_MANY[0] in [(v.rule, v.message) for v in judge([POOL], one_on, today=TODAY)]


def test_an_empty_stack_needs_no_rule() -> None:
    assert Analyzer(RULES, {"all": "disabled", CEILING.name: "mandatory"}).finish([]) == []


def test_tags_of_a_node_class_are_seen_before_there_is_a_cluster() -> None:
    tagged = recorded(CLASS, {"metadata": {"name": "gpu"}, "spec": {"tags": {"team": "ml"}}})
    bare = recorded(CLASS, {"metadata": {"name": "bare"}, "spec": {}}, "bare")
    analyzer = Analyzer(RULES)
    analyzer.register(tagged, bare)
    said = [each for each in analyzer.finish([tagged, bare]) if each.rule == "tags-cost-allocation"]
    assert [(each.urn, each.message) for each in said] == [(bare.urn, "spec.tags lack any tag beside Name: add it.")]


def test_inputs_are_kept_from_any_thread() -> None:
    """The SDK serves the engine in four threads."""
    inputs = Inputs()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: inputs.keep(f"urn{number % 50}", {"number": number % 50}), range(2000)))
    assert inputs.read() == {f"urn{number}": {"number": number} for number in range(50)}


def _largest(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    for resource in stack.resources:
        if get(resource.props, "size") is not None:
            yield Finding("is there", resource.urn)


def test_a_pack_of_stack_rules_alone_cannot_judge() -> None:
    rule = StackRule(
        name="test-size",
        title="Size",
        description="There is no size.",
        why="So.",
        fix="Remove it.",
        severity=Severity.LOW,
        level=EnforcementLevel.MANDATORY,
        types=("test:*",),
        check=_largest,
    )
    sized = recorded("test:index:Sized", {"size": 1})
    assert verdicts(Analyzer([rule]), sized) == [("test-size", UNSEEN)]
