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
ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/ABC"
PROVIDER = f"arn:aws:iam::555566667777:oidc-provider/{ISSUER}"
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
            "identity": {"oidc": {"issuer": f"https://{ISSUER}"}},
        }
    },
    "get_role": {"Role": {"Arn": ROLE}},
    "list_access_entries": [ROLE],
    "list_addons": ["vpc-cni", "eks-pod-identity-agent"],
    "list_open_id_connect_providers": [PROVIDER],
    "describe_subnets": SUBNETS,
    "describe_security_groups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}],
}


def config(**changes: Any) -> StackConfig:
    values: dict[str, Any] = {
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
    return parse(values | changes, stack="dev", region="us-east-1", today=TODAY)


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


def check(stack: StackConfig | None = None, **changes: Any) -> tuple[dict[str, Finding], Answers]:
    """Findings by what they are about."""
    stack, account = stack or config(), Answers({**READY, **changes})
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


def test_claims_of_memory_need_a_cluster_without_another_dra_driver() -> None:
    """AWS cannot tell: a person is told where to look, and what to remove."""
    pool = {
        "name": "p",
        "instanceFamilies": ["g6"],
        "gpusPerNode": [1],
        "maxGpus": 2,
        "sharing": {"strategy": "memory"},
    }
    found, _ = check(config(karpenter={}, pools=[pool], examples=False))
    (note,) = [each for what, each in found.items() if "DRA driver" in what]
    assert note.status == "note"
    for words in ("kubectl get deviceclass gpu.nvidia.com", "annotation gpu-slices/driver", "remove that driver"):
        assert words in note.detail
    assert not any("DRA driver" in what for what in check(config(karpenter={}))[0])


def test_a_stack_that_makes_its_cluster_asks_for_none() -> None:
    assert requirements(config(cluster={}, karpenter={})) == []


IDS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
OWN = config(cluster={"existing": "prod", "authenticationMode": "API"}, karpenter={})
BY_OIDC = config(
    cluster={"existing": "prod", "authenticationMode": "API"},
    karpenter={"identity": "irsa"},
    network={"existing": {"subnetIds": IDS, "securityGroupTags": {"role": "nodes"}}},
)
IN_THEIR_VPC = config(
    cluster={}, karpenter={}, network={"existing": {"vpcId": "vpc-0123456789abcdef0", "subnetIds": IDS}}
)
THEIRS = [
    {"SubnetId": name, "VpcId": "vpc-1", "AvailabilityZoneId": zone, "MapPublicIpOnLaunch": False}
    for name, zone in zip(IDS, ("use1-az1", "use1-az2"), strict=True)
]


def test_a_cluster_for_a_karpenter_of_the_stacks_own_is_ok() -> None:
    found, account = check(OWN)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert len(found) == 4
    assert "get_role" not in [operation for operation, _ in account.asked], "the role is the stack's own"
    found, account = check(BY_OIDC, describe_subnets=THEIRS)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert ("describe_subnets", {"Filters": [{"Name": "subnet-id", "Values": IDS}]}) in account.asked


@pytest.mark.parametrize(
    ("stack", "changes", "words"),
    [
        (OWN, {"list_addons": ["vpc-cni"]}, "karpenter.identity: irsa"),
        (
            OWN,
            {"describe_cluster": cluster(accessConfig={"authenticationMode": "CONFIG_MAP"})},
            "write gpu-slices:cluster.authenticationMode: CONFIG_MAP",
        ),
        (OWN, {"describe_subnets": []}, "gpu-slices:network.existing.subnetTags"),
        (BY_OIDC, {"list_open_id_connect_providers": []}, f"none of https://{ISSUER}"),
        (BY_OIDC, {"describe_subnets": THEIRS[:1]}, f"not {IDS[1]}"),
        (IN_THEIR_VPC, {"describe_subnets": THEIRS}, "not in the VPC of network.existing vpc-0123456789abcdef0"),
    ],
)
def test_what_a_karpenter_of_the_stacks_own_lacks(stack: StackConfig, changes: Mapping[str, Any], words: str) -> None:
    found, _ = check(stack, **changes)
    assert [each.detail for each in found.values() if each.status == "missing" and words in each.detail], found


def test_a_karpenter_of_the_stacks_own_does_not_go_into_auto_mode() -> None:
    """EKS' definitions of NodePools are there, and Helm takes over none; the agent alone is no trouble."""
    found, _ = check(OWN, list_addons=[], describe_cluster=cluster(computeConfig={"enabled": True}))
    (wrong,) = [finding for finding in found.values() if finding.status != "ok"]
    assert wrong.status == "missing"
    assert "EKS Auto Mode, whose definitions of NodePools Helm does not take over" in wrong.detail
    assert "built in with Auto Mode" in {finding.detail for finding in found.values()}
