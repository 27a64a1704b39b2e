"""What `slices adopt` asks the account of a cluster that is there: what a cluster's own objects do not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from account.preflight import existing
from account.preflight.requirement import Finding, Missing, Note, Ok, Requirement, Sight, Verdict, findings, only
from account.session import Absent, Account, Answer, Found, Unseen
from config.schema import StackConfig
from gpu.contract import DISCOVERY_TAG
from gpu.standing import POD_IDENTITY_AGENT

_GUIDE = "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html"


def cluster_of(account: Account, name: str) -> Answer[dict[str, Any]]:
    """The cluster as EKS describes it."""
    return only(account.ask("eks", "describe_cluster", name=name, absent=["ResourceNotFoundException"]), "cluster")


def role_of(account: Account, profile: str) -> Answer[str]:
    """Name of the role in an instance profile, which a node class may name instead."""
    answer = account.ask("iam", "get_instance_profile", absent=["NoSuchEntity"], InstanceProfileName=profile)
    match answer:
        case Found(value):
            roles = value["InstanceProfile"].get("Roles") or []
            return Found(str(roles[0]["RoleName"])) if roles else Absent()
        case other:
            return other


@dataclass(frozen=True, kw_only=True)
class ForNodes:
    """Where nodes of a Karpenter of the stack's own go, as keys of `network.existing`; empty: the default does."""

    subnet_ids: Sequence[str] = ()
    group_ids: Sequence[str] = ()

    @property
    def keys(self) -> dict[str, Sequence[str]]:
        """As the stack file has them."""
        found = {"subnetIds": self.subnet_ids, "securityGroupIds": self.group_ids}
        return {key: ids for key, ids in found.items() if ids}


def place_of(account: Account, name: str, cluster: Mapping[str, Any]) -> Answer[ForNodes]:
    """Where nodes may go in a cluster as EKS describes it.

    What carries Karpenter's tag is left to it. Else the cluster's own subnets that lead to no Internet gateway, and the
    security group that EKS made for it, whose members reach each other and the API server (EKS user guide, "View Amazon
    EKS security group requirements").
    """
    where = cluster.get("resourcesVpcConfig") or {}
    vpc = {"Name": "vpc-id", "Values": [str(where.get("vpcId"))]}
    filters = [vpc, {"Name": f"tag:{DISCOVERY_TAG}", "Values": [name]}]
    tagged = account.collect("ec2", "describe_subnets", "Subnets[].SubnetId", Filters=filters)
    groups = account.collect("ec2", "describe_security_groups", "SecurityGroups[].GroupId", Filters=filters)
    tables = account.collect("ec2", "describe_route_tables", "RouteTables[]", Filters=[vpc])
    for answer in (tagged, groups, tables):
        if not isinstance(answer, Found):
            return answer
    assert isinstance(tagged, Found)
    assert isinstance(groups, Found)
    assert isinstance(tables, Found)
    own = [str(each) for each in where.get("subnetIds") or ()]
    group = where.get("clusterSecurityGroupId")
    return Found(
        ForNodes(
            subnet_ids=() if tagged.value else [each for each in own if not _leads_out(each, tables.value)],
            group_ids=() if groups.value or not group else [str(group)],
        )
    )


def has_agent(account: Account, name: str) -> bool | None:
    """Whether a cluster has the add-on of EKS Pod Identity; None where nobody may look."""
    match existing.addons_of(account, name):
        case Found(names):
            return POD_IDENTITY_AGENT in names
        case Absent() | Unseen():
            return None


def has_provider(account: Account, cluster: Mapping[str, Any]) -> bool | None:
    """Whether IAM has a provider of a cluster's issuer, as EKS describes the cluster; None where nobody may look."""
    match existing.provider_of(account, existing.issuer_of(cluster)):
        case Found():
            return True
        case Absent():
            return False
        case Unseen():
            return None


def _leads_out(subnet: str, tables: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a subnet's route table, or its VPC's main one where it has none, leads to an Internet gateway."""
    ties = [(tie, table) for table in tables for tie in table.get("Associations") or ()]
    own = [table for tie, table in ties if tie.get("SubnetId") == subnet]
    used = own or [table for tie, table in ties if tie.get("Main")]
    return any(str(route.get("GatewayId", "")).startswith("igw-") for table in used for route in table["Routes"])


def account_findings(config: StackConfig, account: Account) -> Sequence[Finding]:
    """Whether the account is as the stack file for an existing cluster says: what `slices check` asks, and more."""
    # The stack's own Karpenter needs it, and asks for it already.
    needed = [*existing.requirements(config), *([_agent(config)] if config.karpenter.existing else [])]
    found = dict(findings(needed, Sight(None, config, account)))
    return [found[index] for index in range(len(needed))]


def _agent(config: StackConfig) -> Requirement:
    return Requirement(
        topic=existing.TOPIC,
        what="pods of the cluster get rights by EKS Pod Identity",
        look=[existing.look_for_addons(config)],
        judge=_judge_agent,
    )


def _judge_agent(sight: Sight) -> Verdict:
    match existing.addons_of(sight.account, sight.config.cluster_name):
        case Found(names) if POD_IDENTITY_AGENT in names:
            return Ok("by its add-on")
        case Found():
            return Note(f"the add-on {POD_IDENTITY_AGENT} is not there; it may be installed otherwise: {_GUIDE}")
        case Absent():
            return Missing("there is no such cluster")
        case Unseen() as unseen:
            return unseen
