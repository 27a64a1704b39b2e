"""What `slices check` says of a cluster that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from account.preflight.existing import requirements
from account.preflight.requirement import Finding, Sight, findings
from account.session import Absent, Account, Found, Unseen
from config.load import parse
from config.schema import StackConfig
from plan.make import Plan
from tests.day import TODAY

ROLE = "arn:aws:iam::555566667777:role/nodes"
SUBNETS = [
    {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZoneId": "use1-az1", "MapPublicIpOnLaunch": False},
    {"SubnetId": "subnet-2", "VpcId": "vpc-1", "AvailabilityZoneId": "use1-az2", "MapPublicIpOnLaunch": False},
]
#: An account in which everything is as it must be: by operation, what AWS answers.
READY: Mapping[str, Any] = {
    "describe_cluster": {
        "cluster": {
            "status": "ACTIVE",
            "version": "1.36",
            "accessConfig": {"authenticationMode": "API"},
            "resourcesVpcConfig": {"vpcId": "vpc-1"},
        }
    },
    "get_role": {"Role": {"Arn": ROLE}},
    "list_access_entries": [ROLE],
    "describe_subnets": SUBNETS,
    "describe_security_groups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}],
}


def config() -> StackConfig:
    values = {
        "cluster": {"existing": "prod"},
        "karpenter": {
            "existing": {
                "chartVersion": "1.15.0",
                "nodeRole": "nodes",
                "controllerRole": "buyer",
                "featureGates": ["nodeOverlay"],
            }
        },
        "pools": [
            {
                "name": "p",
                "instanceFamilies": ["g6"],
                "maxGpus": 2,
                "sharing": {"strategy": "time-slicing", "replicas": 3},
            }
        ],
        "budget": {"monthlyUsd": 9000, "emails": ["a@gpu-slices.dev"]},
    }
    return parse(values, stack="dev", region="us-east-1", today=TODAY)


DENIED = Unseen("denied", "eks:DescribeCluster", "denied")


class Answers:
    """An account that gives the answers of a table; None is "no such thing"."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(self, _: str, operation: str, **parameters: Any) -> Found[Any] | Absent | Unseen:
        self.asked.append((operation, parameters))
        answer = self._answers[operation]
        if isinstance(answer, Unseen):
            return answer
        return Absent() if answer is None else Found(answer)

    def collect(self, service: str, operation: str, _: str, **parameters: Any) -> Found[Any] | Absent | Unseen:
        return self.ask(service, operation, **parameters)


def check(**changes: Any) -> tuple[dict[str, Finding], Answers]:
    """Findings by what they are about."""
    stack, account = config(), Answers({**READY, **changes})
    needed = requirements(stack)
    seen = Sight(cast(Plan, None), stack, cast(Account, account))
    return {needed[index].what: found for index, found in findings(needed, seen)}, account


def cluster(**changes: Any) -> dict[str, Any]:
    return {"cluster": {**READY["describe_cluster"]["cluster"], **changes}}


def test_a_cluster_that_has_everything_is_ok() -> None:
    found, account = check()
    assert {what: finding.status for what, finding in found.items()} == dict.fromkeys(found, "ok")
    assert len(found) == 5
    wanted = [{"Name": "tag:karpenter.sh/discovery", "Values": ["prod"]}]
    assert ("describe_subnets", {"Filters": wanted}) in account.asked


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"describe_cluster": None}, "missing", "no such cluster in us-east-1"),
        ({"describe_cluster": cluster(version="1.33")}, "missing", 'write gpu-slices:cluster.version: "1.33"'),
        ({"describe_cluster": cluster(status="FAILED")}, "missing", "its status is FAILED"),
        ({"list_access_entries": []}, "missing", "its nodes would never join"),
        (
            {
                "list_access_entries": [],
                "describe_cluster": cluster(accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"}),
            },
            "note",
            "aws-auth may let it in",
        ),
        ({"describe_cluster": cluster(accessConfig={"authenticationMode": "CONFIG_MAP"})}, "note", "aws-auth alone"),
        ({"get_role": None}, "missing", "no node could start"),
        ({"get_role": None}, "missing", "controllerRole"),
        ({"describe_subnets": []}, "missing", "gpu-slices:karpenter.existing.subnetTags"),
        ({"describe_security_groups": []}, "missing", "gpu-slices:karpenter.existing.securityGroupTags"),
        (
            {"describe_subnets": [{**SUBNETS[0], "VpcId": "vpc-2"}]},
            "missing",
            "not in the cluster's VPC vpc-1",
        ),
        ({"describe_subnets": SUBNETS[:1]}, "note", "all are in use1-az1"),
        ({"describe_subnets": [{**SUBNETS[0], "MapPublicIpOnLaunch": True}]}, "note", "subnet-1 give public addresses"),
        ({"describe_cluster": DENIED}, "unseen", "denied"),
        ({"describe_subnets": DENIED}, "unseen", "denied"),
    ],
)
def test_what_is_wrong_is_said(changes: Mapping[str, Any], status: str, words: str) -> None:
    found, _ = check(**changes)
    assert [each.detail for each in found.values() if each.status == status and words in each.detail], found


def test_a_stack_that_makes_its_cluster_asks_for_none() -> None:
    assert requirements(config().model_copy(update={"karpenter": type(config().karpenter)()})) == []
