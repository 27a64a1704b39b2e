"""The cluster that a stack finds: whether it is there, is what the stack file says, and lets Karpenter's nodes in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from account.commands import HOME_REGION, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Found, Unseen
from config.schema import ExistingKarpenter, StackConfig
from gpu.contract import DISCOVERY_TAG

TOPIC = "Existing cluster"

#: Zones for Spot: with one, a pool waits as soon as that zone is short (EC2 user guide, "Spot best practices").
_FEW_ZONES = 2


def requirements(config: StackConfig) -> list[Requirement]:
    """What must be true of a cluster that is there; nothing where the stack makes it."""
    karpenter = config.karpenter.existing
    if karpenter is None:
        return []
    found = [_cluster(config), _node_role(config, karpenter)]
    tags = {DISCOVERY_TAG: config.cluster_name}
    found.append(_tagged("subnets", karpenter.subnet_tags or tags, config))
    found.append(_tagged("security groups", karpenter.security_group_tags or tags, config))
    if karpenter.controller_role:
        found.append(_controller_role(karpenter.controller_role))
    return found


def _cluster(config: StackConfig) -> Requirement:
    name, version = config.cluster_name, config.cluster.version
    return Requirement(
        topic=TOPIC,
        what=f"the cluster {name} is active, with Kubernetes {version}",
        look=[
            aws(
                "eks",
                "describe-cluster",
                region=config.region,
                name=name,
                query="cluster.[status,version,accessConfig.authenticationMode]",
            )
        ],
        judge=_judge_cluster,
    )


def _judge_cluster(sight: Sight) -> Verdict:
    wanted = sight.config.cluster.version
    match sight.cluster:
        case Found(cluster):
            status, version = cluster.get("status"), str(cluster.get("version"))
            if status not in ("ACTIVE", "UPDATING"):
                return Missing(f"its status is {status}")
            if version != wanted:
                return Missing(f'it has {version}: write gpu-slices:cluster.version: "{version}"')
            return Ok(f"{version}, {status}")
        case Absent():
            return Missing(f"there is no such cluster in {sight.config.region}")
        case Unseen() as unseen:
            return unseen


def _node_role(config: StackConfig, karpenter: ExistingKarpenter) -> Requirement:
    role = karpenter.node_role
    return Requirement(
        topic=TOPIC,
        what=f"the nodes' role {role} is there, and the cluster lets it in",
        look=[
            aws("iam", "get-role", region=HOME_REGION, role_name=role),
            aws("eks", "list-access-entries", region=config.region, cluster_name=config.cluster_name),
        ],
        judge=partial(_judge_node_role, role),
    )


def _judge_node_role(role: str, sight: Sight) -> Verdict:
    answer = sight.account.ask("iam", "get_role", absent=["NoSuchEntity"], RoleName=role)
    match answer:
        case Absent():
            return Missing("IAM has no such role: no node could start; see gpu-slices:karpenter.existing.nodeRole")
        case Unseen() as unseen:
            return unseen
        case Found(value):
            return _let_in(value["Role"]["Arn"], sight)


def _let_in(arn: str, sight: Sight) -> Verdict:
    match sight.cluster:
        case Found(cluster):
            mode = (cluster.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP")
        case Absent():
            return Missing("there is no cluster that could")
        case Unseen() as unseen:
            return unseen
    if mode == "CONFIG_MAP":
        return Note("the cluster knows aws-auth alone: look there, kubectl -n kube-system get configmap aws-auth")
    name, region = sight.config.cluster_name, sight.config.region
    entries = sight.account.collect(
        "eks", "list_access_entries", "accessEntries[]", absent=["ResourceNotFoundException"], clusterName=name
    )
    match entries:
        case Found(arns) if arn in arns:
            return Ok("by an access entry")
        case Unseen() as unseen:
            return unseen
        case _:
            pass
    make = aws("eks", "create-access-entry", region=region, cluster_name=name, principal_arn=arn, type="EC2_LINUX")
    if mode == "API":
        return Missing("it has no access entry: its nodes would never join", [make])
    return Note("it has no access entry; aws-auth may let it in: kubectl -n kube-system get configmap aws-auth", [make])


def _tagged(noun: Literal["subnets", "security groups"], tags: Mapping[str, str], config: StackConfig) -> Requirement:
    said = ", ".join(f"{key}={value}" for key, value in tags.items())
    filters = [f"Name=tag:{key},Values={value}" for key, value in tags.items()]
    operation = "describe-subnets" if noun == "subnets" else "describe-security-groups"
    return Requirement(
        topic=TOPIC,
        what=f"{noun} of the cluster's VPC carry {said}",
        look=[aws("ec2", operation, region=config.region, filters=filters)],
        judge=partial(_judge_tagged, noun, tags),
    )


def _judge_tagged(noun: Literal["subnets", "security groups"], tags: Mapping[str, str], sight: Sight) -> Verdict:
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    # Written out: docs/permissions.md is made of the calls that stand here.
    if noun == "subnets":
        answer = sight.account.collect("ec2", "describe_subnets", "Subnets[]", Filters=filters)
    else:
        answer = sight.account.collect("ec2", "describe_security_groups", "SecurityGroups[]", Filters=filters)
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    key = "subnetTags" if noun == "subnets" else "securityGroupTags"
    if not answer.value:
        return Missing(f"none does: tag them, or write the tags that yours have as gpu-slices:karpenter.existing.{key}")
    match sight.cluster:
        case Found(cluster):
            vpc = (cluster.get("resourcesVpcConfig") or {}).get("vpcId")
        case Absent() | Unseen():
            vpc = None
    outside = [each for each in answer.value if vpc and each["VpcId"] != vpc]
    if outside:
        ids = ", ".join(str(each.get("SubnetId") or each.get("GroupId")) for each in outside)
        return Missing(f"{ids}: not in the cluster's VPC {vpc}; nodes there never join")
    return _zones(answer.value) if noun == "subnets" else Ok(f"{len(answer.value)}")


def _zones(subnets: list[dict[str, Any]]) -> Verdict:
    public = [each["SubnetId"] for each in subnets if each.get("MapPublicIpOnLaunch")]
    if public:
        return Note(
            f"{', '.join(public)} give public addresses: nodes get none, and may have no way to the Internet there"
        )
    zones = sorted({each["AvailabilityZoneId"] for each in subnets})
    if len(zones) < _FEW_ZONES:
        return Note(f"all are in {zones[0]}: pools wait as soon as that zone has no Spot capacity")
    return Ok(f"{len(subnets)} in {', '.join(zones)}")


def _controller_role(role: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"the role {role} of Karpenter's controller is there: the budget's brake is put on it",
        look=[aws("iam", "get-role", region=HOME_REGION, role_name=role)],
        judge=partial(_judge_controller_role, role),
    )


def _judge_controller_role(role: str, sight: Sight) -> Verdict:
    match sight.account.ask("iam", "get_role", absent=["NoSuchEntity"], RoleName=role):
        case Found():
            return Ok()
        case Absent():
            return Missing("IAM has no such role; see gpu-slices:karpenter.existing.controllerRole")
        case Unseen() as unseen:
            return unseen
