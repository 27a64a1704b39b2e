from dataclasses import replace

import pytest

from policy.rules.vpc_default_group_managed import RULE
from tests.policy.support import UNKNOWN, judged, recorded

VPC = recorded("aws:ec2/vpc:Vpc", {"cidrBlock": "10.42.0.0/16"}, "network")
OTHER = recorded("aws:ec2/vpc:Vpc", {"cidrBlock": "10.43.0.0/16"}, "other")
GROUP = recorded("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", {"vpcId": UNKNOWN}, "default")


@pytest.mark.parametrize("vpc_id", [UNKNOWN, "vpc-1"])
def test_a_declared_group_passes_known_or_not(vpc_id: str) -> None:
    assert judged(RULE, VPC, replace(GROUP, inputs={"vpcId": vpc_id}, dependencies=(VPC.urn,))) == []


def test_a_vpc_whose_group_nobody_declares_fails() -> None:
    assert [verdict.resource for verdict in judged(RULE, VPC)] == ["network"]
    verdicts = judged(RULE, VPC, OTHER, replace(GROUP, dependencies=(VPC.urn,)))
    assert [verdict.resource for verdict in verdicts] == ["other"]


def test_the_group_of_the_default_vpc_does_not_count() -> None:
    assert judged(RULE, VPC, replace(GROUP, inputs={}, dependencies=(VPC.urn,)))
