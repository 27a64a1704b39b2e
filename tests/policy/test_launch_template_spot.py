from __future__ import annotations

from typing import Any

import pytest

from policy.rules.launch_template_spot import RULE
from tests.policy.case_parts import ALL_SPOT, FLEET, GROUP, INSTANCE, JUSTIFIED, NODE_GROUP, TEMPLATE
from tests.policy.support import UNKNOWN, judged, recorded

NAMED = {"launchTemplate": {"name": "gpu"}}
SPECIFIED = {"launchTemplate": {"launchTemplateSpecification": {"launchTemplateName": "gpu"}}}
BATCH = "aws:batch/computeEnvironment:ComputeEnvironment"


def said(*users: tuple[str, dict[str, Any]], **inputs: Any) -> list[str]:
    template = recorded(TEMPLATE, {"name": "gpu", "instanceType": "g5.xlarge", **inputs}, "template")
    return [verdict.message for verdict in judged(RULE, template, *(recorded(*user, "user") for user in users))]


@pytest.mark.parametrize(
    "user",
    [
        (NODE_GROUP, {**NAMED, "capacityType": "SPOT"}),
        (GROUP, {"mixedInstancesPolicy": {**SPECIFIED, "instancesDistribution": ALL_SPOT}}),
        (FLEET, {"launchTemplateConfigs": [SPECIFIED["launchTemplate"]], "targetCapacitySpecification": {}}),
        (BATCH, {"computeResources": {"type": "SPOT", "launchTemplate": {"launchTemplateName": "gpu"}}}),
    ],
)
def test_a_template_that_spot_alone_uses_passes(user: tuple[str, dict[str, Any]]) -> None:
    type_, inputs = user
    if type_ == FLEET:
        inputs = {**inputs, "targetCapacitySpecification": {"defaultTargetCapacityType": "spot"}}
    assert said((type_, inputs)) == []
    assert said((type_, inputs), (NODE_GROUP, {**NAMED, "capacityType": "ON_DEMAND"}))


def test_it_may_be_used_by_its_id() -> None:
    assert said((NODE_GROUP, {"launchTemplate": {"id": "lt-1"}, "capacityType": "SPOT"}), id="lt-1") == []
    assert said((NODE_GROUP, {"launchTemplate": {"id": "lt-2"}, "capacityType": "SPOT"}), id="lt-1")
    assert said((NODE_GROUP, {"launchTemplate": {"id": UNKNOWN}, "capacityType": "SPOT"}), id=UNKNOWN)


@pytest.mark.parametrize(
    "users",
    [
        [],
        [(NODE_GROUP, NAMED)],
        [(NODE_GROUP, {**NAMED, "capacityType": UNKNOWN})],
        [(GROUP, {"launchTemplate": {"name": "gpu"}})],
        [(INSTANCE, NAMED)],
        [(NODE_GROUP, {"launchTemplate": {"name": "another"}, "capacityType": "SPOT"})],
        [(NODE_GROUP, {"launchTemplate": {"name": UNKNOWN}, "capacityType": "SPOT"})],
    ],
)
def test_all_others_fail(users: list[tuple[str, dict[str, Any]]]) -> None:
    (message,) = said(*users)
    assert "can buy g5.xlarge (instanceType) on demand" in message


def test_spot_templates_justified_ones_and_those_without_gpus_pass() -> None:
    assert said(instanceMarketOptions={"marketType": "spot"}) == []
    assert said(tags=JUSTIFIED) == []
    assert said(instanceType="m7g.large") == []


def test_a_user_by_an_output_of_the_template_counts() -> None:
    template = recorded(TEMPLATE, {"instanceType": "g5.xlarge"}, "template")
    inputs = {"launchTemplate": {"id": UNKNOWN}, "capacityType": "SPOT"}
    user = recorded(NODE_GROUP, inputs, "user", dependencies=(template.urn,))
    assert judged(RULE, template, user) == []


def test_templates_inside_a_stack_are_matched_with_their_users() -> None:
    body = (
        "Resources:\n  T:\n    Type: AWS::EC2::LaunchTemplate\n"
        "    Properties: {LaunchTemplateData: {InstanceType: g5.xlarge}}\n"
        "  G: {Type: AWS::EKS::Nodegroup, Properties: {CapacityType: %s, LaunchTemplate: {Id: !Ref T}}}\n"
    )
    stack = "aws:cloudformation/stack:Stack"
    assert judged(RULE, recorded(stack, {"templateBody": body % "SPOT"})) == []
    (verdict,) = judged(RULE, recorded(stack, {"templateBody": body % "ON_DEMAND"}))
    assert verdict.message.startswith("Resources.T: can buy g5.xlarge")
    assert verdict.urn == f"urn:pulumi:dev::test::{stack}::it"
