"""A key that is there with an empty or a false value is not there."""

from __future__ import annotations

from typing import Any

import pytest

from policy.framework import Rule
from policy.reading import declared, present
from policy.rules import eks_endpoint_allowlist, node_imdsv2, tags_cost_allocation, vpc_flow_logs
from tests.policy.clusters import COMPONENT, cluster
from tests.policy.support import UNKNOWN, judged, recorded, violations


@pytest.mark.parametrize("value", [None, False, "", {}, []])
def test_empty_values_are_not_present(value: Any) -> None:
    assert not present({"key": value}, "key")
    assert declared({"key": value}, "key") is (value is not None)


@pytest.mark.parametrize("value", [True, 0, "x", {"a": None}, [None], UNKNOWN])
def test_other_values_are(value: Any) -> None:
    assert present({"key": value}, "key")


@pytest.mark.parametrize(
    ("rule", "type_", "inputs"),
    [
        (node_imdsv2.RULE, "aws:eks/nodeGroup:NodeGroup", {"launchTemplate": {}}),
        (node_imdsv2.RULE, "aws:ec2/instance:Instance", {"launchTemplate": {}}),
        (node_imdsv2.RULE, "eks:index:Cluster", {"fargate": False}),
        (tags_cost_allocation.RULE, "aws:ec2/launchTemplate:LaunchTemplate", {"tagSpecifications": []}),
        (
            eks_endpoint_allowlist.RULE,
            COMPONENT,
            {**cluster(COMPONENT), "endpointPublicAccess": "", "publicAccessCidrs": []},
        ),
    ],
)
def test_rules_do_not_take_them_for_settings(rule: Rule, type_: str, inputs: dict[str, Any]) -> None:
    assert violations(rule, type_, inputs)


def test_a_flow_log_of_no_vpc_covers_none() -> None:
    vpc = recorded("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, "vpc")
    log = recorded("aws:ec2/flowLog:FlowLog", {"vpcId": ""}, "log", dependencies=(vpc.urn,))
    assert judged(vpc_flow_logs.RULE, vpc, log)
