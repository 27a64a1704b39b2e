"""The policy SDK's own analyzer, as the engine talks to it, says of every platform mutant what our analyzer says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from policy.analyzer import Recorded, judge
from policy.framework import ResourceRule, Rule, on_day, to_policy
from tests.plan.conftest import TODAY
from tests.plan.mutants_platform import MUTANTS
from tests.plan.mutation import Mutant, Stack
from tests.plan.test_platform_mutants import CONFIG, PLATFORM

Said = list[tuple[str, str, str]]


def struct(values: Any) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    found.update(values)
    return found


def servicer(rules: tuple[Rule, ...]) -> Any:
    made: Any = _PolicyAnalyzerServicer("test", "0.0.1", [to_policy(rule) for rule in rules], EnforcementLevel.ADVISORY)
    config = {
        rule.name: proto.PolicyConfig(
            enforcementLevel=getattr(proto, rule.level.name),
            properties=struct(rule.settings(CONFIG.get(rule.name, {}))),
        )
        for rule in rules
    }
    made.Configure(proto.ConfigureAnalyzerRequest(policyConfig=config), None)
    return made


RESOURCE_RULES = tuple(rule for rule in PLATFORM if isinstance(rule, ResourceRule))
STACK_RULES = tuple(rule for rule in PLATFORM if rule not in RESOURCE_RULES)


def of_resource(resource: Recorded) -> Said:
    request = proto.AnalyzeRequest(
        type=resource.type,
        properties=struct(resource.inputs),
        urn=resource.urn,
        name=resource.name,
        options=proto.AnalyzerResourceOptions(),
    )
    answer = servicer(RESOURCE_RULES).Analyze(request, None)
    return [(said.policyName, resource.urn, said.message.partition("\n")[2]) for said in answer.diagnostics]


def of_stack(resources: Stack) -> Said:
    known = {resource.urn for resource in resources}
    request = proto.AnalyzeStackRequest(
        resources=[
            proto.AnalyzerResource(
                type=resource.type,
                properties=struct(resource.inputs),
                urn=resource.urn,
                name=resource.name,
                options=proto.AnalyzerResourceOptions(),
                dependencies=[urn for urn in resource.dependencies if urn in known],
            )
            for resource in resources
        ]
    )
    answer = servicer(STACK_RULES).AnalyzeStack(request, None)
    return [(said.policyName, said.urn, said.message.partition("\n")[2]) for said in answer.diagnostics]


def ours(resources: Stack, rules: tuple[Rule, ...]) -> Said:
    config = {rule.name: CONFIG[rule.name] for rule in rules if rule.name in CONFIG}
    return [(said.rule, said.urn or "", said.message) for said in judge(resources, config, today=TODAY, rules=rules)]


@pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if m.stack == "dev"], ids=lambda mutant: f"{mutant.rule}: {mutant.what}"
)
def test_the_sdk_says_the_same(mutant: Mutant, planned: Callable[[str], Stack]) -> None:
    before = planned(mutant.stack)
    after = mutant.mutation(before)
    unchanged = {resource.urn: resource.inputs for resource in before}
    bent = [resource for resource in after if resource.inputs != unchanged.get(resource.urn)]
    with on_day(TODAY):
        expected = [said for resource in bent for said in of_resource(resource)] + of_stack(after)
        assert ours(bent, RESOURCE_RULES) + ours(after, STACK_RULES) == expected
    assert expected
