"""GpuPool: a Karpenter node pool whose GPUs are shared, all of it from one sharing profile.

Karpenter counts the GPUs that EC2 reports and knows nothing of replicas: without a NodeOverlay it buys a GPU for every
slot that is asked for (kubernetes-sigs/karpenter#729, aws/karpenter-provider-aws#3376). The overlays, the limits, the
device plugin's configuration label and Bottlerocket's settings therefore come from the same value here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pulumi

import versions
from components.gpu_sharing import CONFIG_LABEL
from components.karpenter import Karpenter
from components.node_class import POOL_LABEL, NodeClassArgs, Volume, karpenter_object, node_class_spec
from gpu.catalog import InstanceType
from gpu.sharing import GPU_RESOURCE, Ami, Mig, Mps, SharingError, SharingProfile, overlay_capacities
from gpu.sharing.al2023 import al2023_user_data
from gpu.sharing.bottlerocket import FAST_IMAGE_PULL, bottlerocket_settings
from gpu.sharing.container_toolkit import devices_by_mount

SHARING_LABEL = "gpu-slices/sharing"
TENANTS_LABEL = "gpu-slices/tenants"
JUSTIFICATION_ANNOTATION = "gpu-slices/on-demand-justification"
EXPIRES_ANNOTATION = "gpu-slices/on-demand-expires"

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}

#: Any weight does: overlays of one pool never meet on an instance type, and other pools' are scoped to those pools.
_OVERLAY_WEIGHT = 10


@dataclass(frozen=True, kw_only=True)
class GpuPoolArgs:
    """Inputs of `GpuPool`.

    karpenter: the Karpenter whose nodes these are; the pool is destroyed before it.
    pool: name of the NodePool, its EC2NodeClass and its device-plugin configuration.
    types: instance types that Karpenter may buy, all of them known, so that each has its overlay.
    max_gpus: physical GPUs that the pool may have; its limit is written in slots, as Karpenter counts them.
    justification, expires: why and until when the pool may buy on-demand; only with that capacity type.
    tenants: whether the workloads trust each other; a label that policies read. Where they do not, nodes hand GPUs
    out by the device plugin alone.
    fast_image_pull: whether nodes pull images in parallel, which needs a fast volume.
    instance_store: whether the node's own disks, where it has some, hold images and pods' scratch space.
    consolidate_after: how long a node stays when nothing runs on it any more.
    expire_after: age at which a node is replaced, so that images and kernels stay fresh.
    termination_grace_period: longest that pods can hold up the end of a node; shorter than Pulumi waits on destroy.
    after: what the pool's nodes need and must therefore outlive them, such as the device plugin's chart.
    """

    karpenter: Karpenter
    pool: str
    profile: SharingProfile
    types: Sequence[InstanceType]
    max_gpus: int
    ami: Ami = "al2023"
    capacity_type: Literal["spot", "on-demand"] = "spot"
    justification: str | None = None
    expires: date | None = None
    tenants: Literal["trusted", "untrusted"] = "trusted"
    volume: Volume = field(default_factory=lambda: Volume(size_gib=100))
    fast_image_pull: bool = False
    instance_store: bool = False
    consolidate_after: str = "5m"
    expire_after: str = "336h"
    termination_grace_period: str = "15m"
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class GpuPool(pulumi.ComponentResource):
    """One NodePool with its EC2NodeClass and a NodeOverlay for each GPU count. Needs a Kubernetes provider."""

    pool: str
    node_pool: pulumi.Resource

    def __init__(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuPool", name, None, opts)
        self.pool = args.pool
        before = [args.karpenter.ready, *args.after]
        # First, because it refuses what the types' GPUs cannot do.
        capacities = overlay_capacities(args.profile, args.ami, args.types)
        node_class = karpenter_object(
            f"{name}-class",
            api_version=versions.EC2_NODE_CLASS_API,
            kind="EC2NodeClass",
            object_name=args.pool,
            spec=node_class_spec(_node_class_args(args)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        overlays = [
            karpenter_object(
                f"{name}-overlay-{count}",
                api_version=versions.NODE_OVERLAY_API,
                kind="NodeOverlay",
                object_name=f"{args.pool}-{count}gpu",
                spec=overlay_spec(args.pool, count, capacity),
                opts=pulumi.ResourceOptions(parent=self, depends_on=before),
            )
            for count, capacity in capacities.items()
        ]
        self.node_pool = karpenter_object(
            f"{name}-pool",
            api_version=versions.NODE_POOL_API,
            kind="NodePool",
            object_name=args.pool,
            annotations=_justification(args),
            spec=gpu_node_pool_spec(args),
            # Without its overlays the pool would buy a GPU for each slot; its nodes must be gone before their class.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*before, node_class, *overlays]),
        )
        self.register_outputs({"pool": self.pool})


def gpu_node_pool_spec(args: GpuPoolArgs) -> dict[str, Any]:
    """The `spec` of the `karpenter.sh/v1` NodePool."""
    return {
        "template": {
            "metadata": {"labels": node_labels(args.pool, args.profile, args.ami, args.tenants)},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": args.pool},
                "requirements": _requirements(args),
                "taints": [GPU_TAINT],
                "expireAfter": args.expire_after,
                "terminationGracePeriod": args.termination_grace_period,
            },
        },
        "limits": pool_limits(args.profile, args.ami, args.types, args.max_gpus),
        "disruption": {
            # A model that answers nobody looks idle to Karpenter, so only empty nodes go: moving a loaded model costs
            # more than the GPU it would save.
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": args.consolidate_after,
            "budgets": [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "1", "reasons": ["Drifted"]}],
        },
    }


def node_labels(pool: str, profile: SharingProfile, ami: Ami, tenants: str) -> dict[str, str]:
    """Labels of the pool's nodes. Karpenter must know them before a node exists, so none is left to discovery."""
    labels = {POOL_LABEL: pool, SHARING_LABEL: profile.strategy, TENANTS_LABEL: tenants}
    if ami == "bottlerocket":
        # Bottlerocket runs the plugin itself; the GPU Operator must keep its pods away.
        return labels | {"nvidia.com/gpu.deploy.operands": "false"}
    labels |= {CONFIG_LABEL: pool, "nvidia.com/gpu.present": "true"}
    if isinstance(profile, Mps):
        # The chart's MPS control daemon runs on nodes with this label only.
        labels["nvidia.com/mps.capable"] = "true"
    return labels


def pool_limits(profile: SharingProfile, ami: Ami, types: Sequence[InstanceType], max_gpus: int) -> dict[str, str]:
    """NodePool limits. Karpenter counts what overlays say, so the limit of a shared resource is in slots."""
    resource = profile.resource_name(ami)
    slots = max_gpus * min(profile.slots_per_gpu(t.gpu) for t in types)
    # With renamed slots the physical resource is overlaid with 0 and this second limit binds only if overlays are off.
    return {GPU_RESOURCE: str(max_gpus)} | {resource: str(slots)}


def overlay_spec(pool: str, gpu_count: int, capacity: Mapping[str, int]) -> dict[str, Any]:
    """The `spec` of a NodeOverlay: capacity only, since any price would change how Spot capacity is chosen."""
    return {
        "weight": _OVERLAY_WEIGHT,
        "requirements": [
            {"key": "karpenter.sh/nodepool", "operator": "In", "values": [pool]},
            {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "In", "values": [str(gpu_count)]},
        ],
        "capacity": {resource: str(quantity) for resource, quantity in capacity.items()},
    }


def _requirements(args: GpuPoolArgs) -> list[dict[str, Any]]:
    def one_of(key: str, values: Sequence[str]) -> dict[str, Any]:
        return {"key": key, "operator": "In", "values": list(values)}

    return [
        one_of("kubernetes.io/arch", sorted({t.arch for t in args.types})),
        one_of("kubernetes.io/os", ["linux"]),
        one_of("karpenter.sh/capacity-type", [args.capacity_type]),
        # By name, not by family: a size that AWS adds tomorrow has no overlay yet.
        one_of("node.kubernetes.io/instance-type", [t.name for t in args.types]),
    ]


def _node_class_args(args: GpuPoolArgs) -> NodeClassArgs:
    return NodeClassArgs(
        cluster_name=args.karpenter.cluster_name,
        pool=args.pool,
        node_role_name=args.karpenter.node_role_name,
        volume_key_arn=args.karpenter.volume_key_arn,
        ami=args.ami,
        volume=args.volume,
        user_data=_user_data(args),
        instance_store_policy="RAID0" if args.instance_store else None,
        tags={**args.karpenter.tags, **args.tags},
    )


def _user_data(args: GpuPoolArgs) -> str | None:
    if args.ami == "bottlerocket":
        untrusted = args.tenants == "untrusted"
        settings = bottlerocket_settings(args.profile, [t.gpu for t in args.types], untrusted=untrusted)
        return settings + (FAST_IMAGE_PULL if args.fast_image_pull else "")
    cut = args.types[0].gpu.mig_profiles[args.profile.profile] if isinstance(args.profile, Mig) else None
    if cut and len({args.profile.slots_per_gpu(t.gpu) for t in args.types}) > 1:
        raise SharingError(f"pool {args.pool}: its GPUs do not all hold {cut.max_per_gpu} instances of {cut.name}")
    user_data = al2023_user_data(cut, fast_image_pull=args.fast_image_pull)
    return devices_by_mount(user_data) if args.tenants == "untrusted" else user_data


def _justification(args: GpuPoolArgs) -> dict[str, str]:
    if args.capacity_type == "spot":
        return {}
    if not args.justification or not args.expires:
        raise ValueError(f"pool {args.pool}: on-demand GPUs need a justification and a date on which it expires")
    return {JUSTIFICATION_ANNOTATION: args.justification, EXPIRES_ANNOTATION: args.expires.isoformat()}
