"""How the nodes of a pool are made: the EC2NodeClass that CPU and GPU pools share.

Every node has IMDSv2 that pods cannot reach, no public address unless the network has no NAT gateway, volumes encrypted
with the cluster's key, and a pinned image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import pulumi

import versions
from components.arguments import Arguments
from components.sdk import k8s
from gpu.contract import CLUSTER_TAG, DISCOVERY_TAG, POOL_LABEL
from gpu.gp3 import BASE_IOPS, BASE_MIBPS, IOPS_PER_MIBPS
from gpu.sharing import AMIS, Ami

#: Karpenter's finalizers end when the instances have; a node has its pool's termination grace period for that.
DELETE_TIMEOUT = "30m"


@dataclass(frozen=True, kw_only=True)
class Volume(Arguments):
    """The gp3 volume that holds images, logs and the pods' scratch space.

    size_gib: GiB. Model weights and CUDA images are large: 20 GiB, Karpenter's default, holds no model.
    iops, throughput_mib_per_s: the defaults cost nothing extra. Raises ValueError for a throughput above a quarter of
    the IOPS, which EBS refuses.
    snapshot_id: what the volume is made from, on Bottlerocket; initialization_mib_per_s: rate at which EBS fills it in
    advance, None for block by block when read.
    """

    size_gib: int = 50
    iops: int = BASE_IOPS
    throughput_mib_per_s: int = BASE_MIBPS
    snapshot_id: str | None = None
    initialization_mib_per_s: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.iops // IOPS_PER_MIBPS
        if self.throughput_mib_per_s > most:
            raise ValueError(
                f"gp3 volume: {self.throughput_mib_per_s} MiB/s needs "
                f"{self.throughput_mib_per_s * IOPS_PER_MIBPS} IOPS, {self.iops} give at most {most} MiB/s"
            )


@dataclass(frozen=True, kw_only=True)
class ClusterNodes(Arguments):
    """What all nodes that Karpenter makes for a cluster have in common.

    node_role_name: name, no ARN, of the IAM role of the nodes. The cluster must let it in (an access entry of type
    `EC2_LINUX`, or `aws-auth`), and Karpenter's controller must be allowed to pass it.
    volume_key_arn: KMS key of the nodes' volumes; None encrypts them with the account's own key of EBS.
    subnet_tags, security_group_tags: tags by which Karpenter finds where nodes go and what lets them through; None is
    `karpenter.sh/discovery` with the cluster's name, as Karpenter's own documents have it.
    subnet_ids, security_group_ids: the same by name, in place of tags.
    public_addresses: whether nodes have public addresses; without a NAT gateway they reach nothing without.
    tags: on everything that EC2 makes for the nodes.
    """

    cluster_name: pulumi.Input[str]
    node_role_name: pulumi.Input[str]
    volume_key_arn: pulumi.Input[str] | None = None
    subnet_tags: Mapping[str, pulumi.Input[str]] | None = None
    security_group_tags: Mapping[str, pulumi.Input[str]] | None = None
    subnet_ids: Sequence[pulumi.Input[str]] = ()
    security_group_ids: Sequence[pulumi.Input[str]] = ()
    public_addresses: bool = False
    tags: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OwnNodeClass(Arguments):
    """What a node class has of somebody's own, in place of what this program chooses.

    ami_alias, ami_ids: the image, of the pool's operating system; one of both at most.
    role, instance_profile: of the nodes; one of both at most. Karpenter's controller must be allowed to pass it.
    volumes: more of them, by device.
    reservations: selector terms of capacity reservations.
    """

    ami_alias: str | None = None
    ami_ids: Sequence[pulumi.Input[str]] = ()
    role: pulumi.Input[str] | None = None
    instance_profile: pulumi.Input[str] | None = None
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    reservations: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where two of them contradict each other."""
        super().__post_init__()
        if self.ami_alias and self.ami_ids:
            raise ValueError("a node class has its image by alias or by id, not both")
        if self.role is not None and self.instance_profile is not None:
            raise ValueError("a node class has a role or an instance profile, not both")


@dataclass(frozen=True, kw_only=True)
class NodeClassArgs:
    """What `node_class_spec` needs.

    pool: name of the node pool; a cost-allocation tag on everything EC2 makes for it.
    tags: of this pool, beside those of all nodes.
    user_data: Bottlerocket settings (TOML) or AL2023 user data (MIME or NodeConfig); Karpenter adds its own.
    instance_store_policy: RAID0 joins local NVMe disks into the node's scratch space; None leaves them alone.
    max_pods: pods a node may have; None is EC2's limit for its network interfaces.
    own: see `OwnNodeClass`.
    """

    nodes: ClusterNodes
    pool: str
    ami: Ami = "al2023"
    volume: Volume = field(default_factory=Volume)
    user_data: pulumi.Input[str] | None = None
    instance_store_policy: Literal["RAID0"] | None = None
    max_pods: int | None = None
    own: OwnNodeClass = field(default_factory=OwnNodeClass)
    tags: Mapping[str, str] = field(default_factory=dict)


def node_class_spec(args: NodeClassArgs) -> dict[str, Any]:
    """The `spec` of a `karpenter.k8s.aws/v1` EC2NodeClass, without the fields that are not set."""
    nodes = args.nodes
    spec: dict[str, Any] = {
        **_identity(args),
        **_image(args),
        "subnetSelectorTerms": _terms(nodes, nodes.subnet_ids, nodes.subnet_tags),
        "securityGroupSelectorTerms": _terms(nodes, nodes.security_group_ids, nodes.security_group_tags),
        "associatePublicIPAddress": nodes.public_addresses,
        "detailedMonitoring": False,
        # One network hop: the node itself reaches its credentials, its pods do not.
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpProtocolIPv6": "disabled",
            "httpPutResponseHopLimit": 1,
            "httpTokens": "required",
        },
        "blockDeviceMappings": _block_devices(args),
        "tags": {**nodes.tags, **args.tags, CLUSTER_TAG: nodes.cluster_name, POOL_LABEL: args.pool},
    }
    if args.own.reservations:
        spec["capacityReservationSelectorTerms"] = [dict(term) for term in args.own.reservations]
    if args.user_data is not None:
        spec["userData"] = args.user_data
    if args.instance_store_policy is not None:
        spec["instanceStorePolicy"] = args.instance_store_policy
    if args.max_pods is not None:
        spec["kubelet"] = {"maxPods": args.max_pods}
    return spec


def _identity(args: NodeClassArgs) -> dict[str, pulumi.Input[str]]:
    if args.own.instance_profile is not None:
        return {"instanceProfile": args.own.instance_profile}
    return {"role": args.nodes.node_role_name if args.own.role is None else args.own.role}


def _image(args: NodeClassArgs) -> dict[str, Any]:
    if args.own.ami_ids:
        # An alias says how a node is told what to join; an id does not.
        return {"amiFamily": _FAMILIES[args.ami], "amiSelectorTerms": [{"id": each} for each in args.own.ami_ids]}
    return {"amiSelectorTerms": [{"alias": args.own.ami_alias or versions.AMI_ALIASES[args.ami]}]}


_FAMILIES: Mapping[Ami, str] = {"al2023": "AL2023", "bottlerocket": "Bottlerocket"}


def _terms(
    nodes: ClusterNodes, ids: Sequence[pulumi.Input[str]], tags: Mapping[str, pulumi.Input[str]] | None
) -> list[dict[str, Any]]:
    """Selector terms: Karpenter takes what any of them selects."""
    if ids:
        return [{"id": each} for each in ids]
    return [{"tags": dict(tags or {DISCOVERY_TAG: nodes.cluster_name})}]


def karpenter_object(
    name: str,
    *,
    api_version: str,
    kind: str,
    object_name: str,
    spec: Mapping[str, Any],
    opts: pulumi.ResourceOptions,
    annotations: Mapping[str, str] | None = None,
) -> k8s.apiextensions.CustomResource:
    """A custom resource of Karpenter's that Pulumi waits for: until it is Ready, and until its finalizers have ended.

    `opts` must make it depend on Karpenter's controller. Never give it `deleted_with`: its finalizers return the
    instances.
    """
    return k8s.apiextensions.CustomResource(
        name,
        api_version=api_version,
        kind=kind,
        metadata={
            "name": object_name,
            "annotations": {"pulumi.com/waitFor": "condition=Ready", **(annotations or {})},
        },
        spec=dict(spec),
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="10m", delete=DELETE_TIMEOUT))
        ),
    )


def _block_devices(args: NodeClassArgs) -> list[dict[str, Any]]:
    more = [_block_device(device, args, _ebs(volume)) for device, volume in args.own.volumes.items()]
    match args.ami:
        case "al2023":
            return [_block_device("/dev/xvda", args, _ebs(args.volume)), *more]
        case "bottlerocket":
            # The operating system is apart from everything that grows.
            system = _block_device("/dev/xvda", args, {"volumeSize": f"{AMIS[args.ami].system_volume_gib}Gi"})
            return [system, _block_device("/dev/xvdb", args, _ebs(args.volume)), *more]
        case _:
            assert_never(args.ami)


def _ebs(volume: Volume) -> dict[str, Any]:
    ebs: dict[str, Any] = {
        "volumeSize": f"{volume.size_gib}Gi",
        "iops": volume.iops,
        "throughput": volume.throughput_mib_per_s,
    }
    if volume.snapshot_id:
        ebs["snapshotID"] = volume.snapshot_id
    if volume.initialization_mib_per_s:
        ebs["volumeInitializationRate"] = volume.initialization_mib_per_s
    return ebs


def _block_device(device: str, args: NodeClassArgs, ebs: Mapping[str, Any]) -> dict[str, Any]:
    fixed: dict[str, Any] = {"volumeType": "gp3", "encrypted": True, "deleteOnTermination": True}
    if args.nodes.volume_key_arn is not None:
        fixed["kmsKeyID"] = args.nodes.volume_key_arn
    return {"deviceName": device, "ebs": {**fixed, **ebs}}
