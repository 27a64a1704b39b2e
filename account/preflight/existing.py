"""What a stack finds: whether cluster and subnets are there, are what the stack file says, and let nodes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, assert_never

from account.commands import HOME_REGION, Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Account, Answer, Found, Unseen
from config.schema import ExistingKarpenter, ExistingNetwork, StackConfig
from gpu.contract import DEVICE_CLASS, DISCOVERY_TAG, DRIVER_ANNOTATION
from gpu.standing import POD_IDENTITY_AGENT

TOPIC = "Existing cluster"

#: Zones for Spot: with one, a pool waits as soon as that zone is short (EC2 user guide, "Spot best practices").
_FEW_ZONES = 2


@dataclass(frozen=True, kw_only=True)
class _Named:
    """Subnets or security groups that the stack file names, by ids or by tags. key: the key that does."""

    noun: Literal["subnets", "security groups"]
    key: str
    ids: Sequence[str]
    tags: Mapping[str, str]

    @property
    def filters(self) -> Mapping[str, Sequence[str]]:
        """As EC2 filters them."""
        if self.ids:
            return {"subnet-id" if self.noun == "subnets" else "group-id": self.ids}
        return {f"tag:{key}": [value] for key, value in self.tags.items()}

    @property
    def words(self) -> str:
        """What they are, as a statement."""
        if self.ids:
            return f"{self.noun} {', '.join(self.ids)} are there"
        return f"{self.noun} of the cluster's VPC carry {', '.join(f'{k}={v}' for k, v in self.tags.items())}"


def requirements(config: StackConfig) -> list[Requirement]:
    """What must be true of a cluster and of a network that are there; nothing where the stack makes both."""
    karpenter, network = config.karpenter.existing, config.network.existing
    if config.cluster.existing is None:
        return [_selected(_subnets(network, {}, "network"), config)] if network else []
    found = [_cluster(config)]
    found.append(_node_role(config, karpenter) if karpenter else _identity(config))
    where, section = (karpenter, "karpenter") if karpenter else (network or ExistingNetwork(), "network")
    tags = {DISCOVERY_TAG: config.cluster_name}
    found.append(_selected(_subnets(where, tags, section), config))
    groups = _Named(
        noun="security groups",
        key=f"gpu-slices:{section}.existing.securityGroupTags",
        ids=where.security_group_ids,
        tags=where.security_group_tags or tags,
    )
    found.append(_selected(groups, config))
    claimed = [name for name, pool in config.gpu_pools.items() if pool.claims]
    if claimed:
        found.append(_driver(claimed))
    if karpenter and karpenter.controller_role:
        found.append(_controller_role(karpenter.controller_role))
    return found


def _subnets(where: ExistingKarpenter | ExistingNetwork, tags: Mapping[str, str], section: str) -> _Named:
    key = f"gpu-slices:{section}.existing.subnetTags"
    return _Named(noun="subnets", key=key, ids=where.subnet_ids, tags=where.subnet_tags or tags)


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
            if wrong := _wrong_mode(sight.config, mode_of(cluster)):
                return Missing(wrong)
            if sight.config.karpenter.existing is None and in_auto_mode(cluster):
                return Missing(_AUTO_MODE)
            return Ok(f"{version}, {status}")
        case Absent():
            return Missing(f"there is no such cluster in {sight.config.region}")
        case Unseen() as unseen:
            return unseen


#: `slices adopt` has the reasons at length.
_AUTO_MODE: Final = (
    "it is in EKS Auto Mode, whose definitions of NodePools Helm does not take over: leave gpu-slices:cluster.existing "
    "out, so that the stack makes a cluster beside it, or write gpu-slices:karpenter.existing, if yours runs in it"
)


def in_auto_mode(cluster: Mapping[str, Any]) -> bool:
    """Whether EKS manages nodes of the cluster, with definitions of NodePools that are EKS' own."""
    return bool((cluster.get("computeConfig") or {}).get("enabled"))


def mode_of(cluster: Mapping[str, Any]) -> str:
    """How it lets nodes in; clusters of before access entries say nothing."""
    return str((cluster.get("accessConfig") or {}).get("authenticationMode", "CONFIG_MAP"))


def _wrong_mode(config: StackConfig, mode: str) -> str | None:
    """Only where the stack makes the access entry, or does not."""
    if config.karpenter.existing or mode == config.cluster.authentication_mode:
        return None
    return f"its authentication mode is {mode}: write gpu-slices:cluster.authenticationMode: {mode}"


def _identity(config: StackConfig) -> Requirement:
    """How the stack's own Karpenter gets its role."""
    match config.karpenter.identity:
        case "pod-identity":
            look = look_for_addons(config)
            what = f"the cluster has the add-on {POD_IDENTITY_AGENT}, by which Karpenter gets its role"
            return Requirement(topic=TOPIC, what=what, look=[look], judge=_judge_agent)
        case "irsa":
            look = aws("iam", "list-open-id-connect-providers", region=HOME_REGION)
            what = "IAM has a provider of the cluster's issuer, by which Karpenter gets its role"
            return Requirement(topic=TOPIC, what=what, look=[look], judge=_judge_provider)
        case _:
            assert_never(config.karpenter.identity)


def look_for_addons(config: StackConfig) -> Command:
    """The command that lists the cluster's add-ons."""
    return aws("eks", "list-addons", region=config.region, cluster_name=config.cluster_name)


def addons_of(account: Account, cluster: str) -> Answer[list[Any]]:
    """Names of a cluster's add-ons; Absent where there is no such cluster."""
    return account.collect("eks", "list_addons", "addons[]", absent=["ResourceNotFoundException"], clusterName=cluster)


def issuer_of(cluster: Mapping[str, Any]) -> str:
    """URL of a cluster's OIDC issuer, as EKS describes it."""
    return str(((cluster.get("identity") or {}).get("oidc") or {}).get("issuer", ""))


def provider_of(account: Account, issuer: str) -> Answer[str]:
    """Host of an issuer of which IAM has a provider; Absent where it has none."""
    host = issuer.removeprefix("https://")
    match account.collect("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList[].Arn"):
        case Found(arns):
            return Found(host) if host and any(arn.endswith(f":oidc-provider/{host}") for arn in arns) else Absent()
        case other:
            return other


def _judge_agent(sight: Sight) -> Verdict:
    name, region = sight.config.cluster_name, sight.config.region
    match addons_of(sight.account, name):
        case Found(addons) if POD_IDENTITY_AGENT in addons:
            return Ok()
        case Unseen() as unseen:
            return unseen
        case _:
            pass
    match sight.cluster:
        case Found(cluster) if in_auto_mode(cluster):
            return Ok("built in with Auto Mode")
        case _:
            install = aws("eks", "create-addon", region=region, cluster_name=name, addon_name=POD_IDENTITY_AGENT)
            words = "it has not: install it, or write gpu-slices:karpenter.identity: irsa if IAM knows the cluster"
            return Missing(words, [install])


def _judge_provider(sight: Sight) -> Verdict:
    match sight.cluster:
        case Found(cluster):
            issuer = issuer_of(cluster)
        case Absent():
            return Missing("there is no cluster that could have one")
        case Unseen() as unseen:
            return unseen
    match provider_of(sight.account, issuer):
        case Found(host):
            return Ok(host)
        case Unseen() as unseen:
            return unseen
        case Absent():
            make = aws("iam", "create-open-id-connect-provider", region=HOME_REGION, url=issuer)
            words = f"none of {issuer}: make it, or write gpu-slices:karpenter.identity: pod-identity"
            return Missing(words, [make])


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
            mode = mode_of(cluster)
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


def _selected(named: _Named, config: StackConfig) -> Requirement:
    filters = [f"Name={name},Values={','.join(values)}" for name, values in named.filters.items()]
    operation = "describe-subnets" if named.noun == "subnets" else "describe-security-groups"
    return Requirement(
        topic=TOPIC,
        what=named.words,
        look=[aws("ec2", operation, region=config.region, filters=filters)],
        judge=partial(_judge_selected, named),
    )


def _judge_selected(named: _Named, sight: Sight) -> Verdict:
    filters = [{"Name": name, "Values": [*values]} for name, values in named.filters.items()]
    # Written out: docs/permissions.md is made of the calls that stand here.
    if named.noun == "subnets":
        answer = sight.account.collect("ec2", "describe_subnets", "Subnets[]", Filters=filters)
    else:
        answer = sight.account.collect("ec2", "describe_security_groups", "SecurityGroups[]", Filters=filters)
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    ids = [str(each.get("SubnetId") or each.get("GroupId")) for each in answer.value]
    missing = [each for each in named.ids if each not in ids]
    if missing:
        return Missing(f"not {', '.join(missing)}, in {sight.config.region}")
    if not ids:
        tags = [f"Key={key},Value={value}" for key, value in named.tags.items()]
        kind = "SUBNET_ID" if named.noun == "subnets" else "GROUP_ID"
        tag = aws("ec2", "create-tags", region=sight.config.region, resources=kind, tags=tags)
        return Missing(f"none does: tag them, or write the tags that yours have as {named.key}", [tag])
    outside = [each for each in answer.value if _vpc(sight) not in (None, each["VpcId"])]
    if outside:
        away = ", ".join(str(each.get("SubnetId") or each.get("GroupId")) for each in outside)
        where = "the cluster's VPC" if sight.config.cluster.existing else "the VPC of network.existing"
        return Missing(f"{away}: not in {where} {_vpc(sight)}; nodes there never join")
    return _zones(answer.value) if named.noun == "subnets" else Ok(f"{len(answer.value)}")


def _vpc(sight: Sight) -> str | None:
    """The VPC in which nodes must be, as far as it is known."""
    network = sight.config.network.existing
    if sight.config.cluster.existing is None:
        return network.vpc_id if network else None
    match sight.cluster:
        case Found(cluster):
            return (cluster.get("resourcesVpcConfig") or {}).get("vpcId")
        case Absent() | Unseen():
            return None


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


def _driver(pools: Sequence[str]) -> Requirement:
    """Whether another DRA driver is there: AWS does not know, and nothing here asks the cluster."""
    return Requirement(
        topic=TOPIC,
        what=f"no DRA driver of NVIDIA's but the stack's gives out the GPUs of {', '.join(pools)} (strategy memory)",
        judge=Note(
            f"look there, kubectl get deviceclass {DEVICE_CLASS} --ignore-not-found -o yaml: one without the "
            f"annotation {DRIVER_ANNOTATION} is another driver's, and `pulumi up` would end at the stack's chart; "
            "remove that driver and the class first"
        ),
    )


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
