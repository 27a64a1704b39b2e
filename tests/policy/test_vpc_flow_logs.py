from dataclasses import replace

import pytest

from policy.analyzer import Recorded
from policy.rules.vpc_flow_logs import RULE
from tests.policy.support import UNKNOWN, judged, recorded

VPC = recorded("aws:ec2/vpc:Vpc", {"cidrBlock": "10.42.0.0/16"}, "network")
OTHER = recorded("aws:ec2/vpc:Vpc", {"cidrBlock": "10.43.0.0/16"}, "other")


def log(of: Recorded, **inputs: object) -> Recorded:
    made = recorded("aws:ec2/flowLog:FlowLog", {"trafficType": "ALL", **inputs}, "log")
    return replace(made, dependencies=(of.urn,))


@pytest.mark.parametrize("vpc_id", [UNKNOWN, "vpc-1"])
def test_a_log_of_the_vpc_passes_known_or_not(vpc_id: str) -> None:
    assert judged(RULE, VPC, log(VPC, vpcId=vpc_id)) == []


def test_a_vpc_without_a_log_fails() -> None:
    (verdict,) = judged(RULE, VPC)
    assert verdict.urn == VPC.urn
    assert "has no flow log" in verdict.message


def test_each_vpc_needs_its_own() -> None:
    (verdict,) = judged(RULE, VPC, OTHER, log(VPC, vpcId=UNKNOWN))
    assert verdict.resource == "other"


def test_a_log_of_a_subnet_does_not_count() -> None:
    assert judged(RULE, VPC, log(VPC, subnetId=UNKNOWN))


def test_resources_of_the_other_provider_count() -> None:
    vpc = recorded("aws-native:ec2:Vpc", {}, "native")
    made = recorded("aws-native:ec2:FlowLog", {"resourceId": UNKNOWN, "resourceType": "VPC"}, "log")
    assert judged(RULE, vpc, replace(made, dependencies=(vpc.urn,))) == []
    assert judged(RULE, vpc, made)
