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
from components.karpenter.node_class import (
    ClusterNodes,
    NodeClassArgs,
    OwnNodeClass,
    Volume,
    karpenter_object,
    node_class_spec,
)
from components.options import child_options
from gpu.coldstart import life_problem
from gpu.contract import (
    ARCH_LABEL,
    CAPACITY_TYPE_LABEL,
    CONFIG_LABEL,
    CONSUMABLE_ANNOTATION,
    EXPIRES_ANNOTATION,
    GPU_COUNT_LABEL,
    GPU_PRESENT_LABEL,
    GPU_TAINT,
    INSTANCE_TYPE_LABEL,
    JUSTIFICATION_ANNOTATION,
    NODE_POOL_LABEL,
    OPERANDS_LABEL,
    OS_LABEL,
    OVERLAY_WEIGHT,
    POOL_LABEL,
    RESERVATION_TYPE_LABEL,
    SHARING_LABEL,
    TENANTS_LABEL,
)
from gpu.naming import overlay_name
from gpu.pool import ConsolidationPolicy, Pool, Taint
from gpu.sharing import AMIS
from gpu.sharing.memory import CONSUMABLE
from gpu.sharing.plugin_config import config_name
from gpu.user_data import pool_user_data


@dataclass(frozen=True, kw_only=True)
class GpuPoolArgs:
    """Inputs of `GpuPool`.

    nodes: the cluster, the role and the network of the nodes.
    pool: what Karpenter may buy, how it is shared, and most GPUs; its name is that of the NodePool, the EC2NodeClass
    and the device plugin's configuration. All instance types are known, so that each has its overlay.
    justification, expires: why and until when the pool may buy on-demand or use what is reserved; only where it may.
    labels: of the nodes, beside ours. own: what the node class has of somebody's own; user_data: merged with ours.
    tenants: whether the workloads trust each other; a label that policies read. Where they do not, nodes hand GPUs
    out by the device plugin alone.
    fast_image_pull: whether nodes pull images in parallel, which needs a fast volume.
    instance_store: whether the node's own disks, where it has some, hold images and pods' scratch space.
    gpu_operator: whether a GPU Operator of somebody's finds the nodes. The image has driver and toolkit, and the node
    cuts its own MIG instances: it must bring neither.
    consolidation_policy: whether nodes go only when nothing runs on them, or also where their pods fit elsewhere and
    that saves more than it disturbs: then one at a time. Balanced needs Karpenter 1.14 or later.
    consolidate_after: how long a node stays when nothing runs on it any more, or when its pods no longer change.
    expire_after: age at which a node is replaced, so that images and kernels stay fresh.
    termination_grace_period: longest that pods can hold up the end of a node; shorter than Pulumi waits on destroy.
    node_repair: whether Karpenter's gate NodeRepair is on, in 1.15 or later: then one unhealthy node of the pool at a
    time. Earlier ones refuse a budget for it.
    """

    nodes: ClusterNodes
    pool: Pool
    justification: str | None = None
    expires: date | None = None
    tenants: Literal["trusted", "untrusted"] = "trusted"
    volume: Volume = field(default_factory=lambda: Volume(size_gib=100))
    fast_image_pull: bool = False
    instance_store: bool = False
    gpu_operator: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    own: OwnNodeClass = field(default_factory=OwnNodeClass)
    user_data: str | None = None
    consolidation_policy: ConsolidationPolicy = "WhenEmpty"
    consolidate_after: str = "5m"
    expire_after: str = "336h"
    termination_grace_period: str = "15m"
    node_repair: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for nodes that would end before anything works on them."""
        if problem := life_problem(self.expire_after):
            raise ValueError(f"pool {self.pool.name}: expire_after {problem}")


class GpuPool(pulumi.ComponentResource):
    """One NodePool with its EC2NodeClass and a NodeOverlay for each GPU count.

    Needs a Kubernetes provider, and in the cluster a Karpenter with the feature gate NodeOverlay; a static pool needs
    StaticCapacity too. Let it depend on what its nodes need and the same program makes: Karpenter's controller, the
    device plugin's release. Nodes end before it.
    """

    pool: str
    node_pool: pulumi.Resource

    def __init__(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuPool", name, None, opts)
        self.pool = args.pool.name
        # First, because it refuses what the types' GPUs cannot do.
        capacities = args.pool.overlay_capacities
        node_class = karpenter_object(
            f"{name}-class",
            api_version=versions.EC2_NODE_CLASS_API,
            kind="EC2NodeClass",
            object_name=args.pool.name,
            annotations={CONSUMABLE_ANNOTATION: CONSUMABLE} if args.pool.claims else None,
            spec=node_class_spec(_node_class_args(args)),
            opts=child_options(self, opts),
        )
        overlays = [
            karpenter_object(
                f"{name}-overlay-{count}",
                api_version=versions.NODE_OVERLAY_API,
                kind="NodeOverlay",
                object_name=overlay_name(args.pool.name, count),
                spec=overlay_spec(args.pool.name, count, capacity),
                opts=child_options(self, opts),
            )
            for count, capacity in capacities.items()
        ]
        self.node_pool = karpenter_object(
            f"{name}-pool",
            api_version=versions.NODE_POOL_API,
            kind="NodePool",
            object_name=args.pool.name,
            annotations=_justification(args),
            spec=gpu_node_pool_spec(args),
            # Without its overlays the pool would buy a GPU for each slot; its nodes must be gone before their class.
            opts=child_options(self, opts, node_class, *overlays),
        )
        self.register_outputs({"pool": self.pool})


def gpu_node_pool_spec(args: GpuPoolArgs) -> dict[str, Any]:
    """The `spec` of the `karpenter.sh/v1` NodePool."""
    # Beside it Karpenter ignores consolidationPolicy and consolidateAfter; definitions before 1.15 want the latter.
    static = {} if args.pool.static is None else {"replicas": args.pool.static}
    return {
        **static,
        "template": {
            "metadata": {
                # Ours last: they say how the GPUs are shared.
                "labels": {**args.labels, **node_labels(args.pool, args.tenants, gpu_operator=args.gpu_operator)}
            },
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": args.pool.name},
                "requirements": _requirements(args),
                "taints": [dict(GPU_TAINT), *(_taint(each) for each in args.pool.taints)],
                "expireAfter": args.expire_after,
                "terminationGracePeriod": args.termination_grace_period,
            },
        },
        "limits": {resource: str(most) for resource, most in args.pool.limits.items()},
        "disruption": {
            # A model that answers nobody looks idle to Karpenter, so only empty nodes go where nobody says otherwise:
            # moving a loaded model costs more than the GPU that it saves.
            "consolidationPolicy": args.consolidation_policy,
            "consolidateAfter": args.consolidate_after,
            "budgets": _budgets(args),
        },
    }


def _budgets(args: GpuPoolArgs) -> list[dict[str, Any]]:
    """How many nodes may go at a time, by reason; for a reason that no budget names there is no limit."""
    found: list[dict[str, Any]] = [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "1", "reasons": ["Drifted"]}]
    if args.consolidation_policy == "Balanced":
        found.append({"nodes": "1", "reasons": ["Underutilized"]})
    if args.node_repair:
        found.append({"nodes": "1", "reasons": ["Unhealthy"]})
    return found


def _taint(taint: Taint) -> dict[str, str]:
    # The API server drops an empty value, and Pulumi would want to add it again.
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, **value, "effect": taint.effect}


def node_labels(pool: Pool, tenants: str, *, gpu_operator: bool = False) -> dict[str, str]:
    """Labels of the pool's nodes. Karpenter must know them before a node exists, so none is left to discovery.

    gpu_operator: whether one of somebody's finds the nodes.
    """
    labels = {POOL_LABEL: pool.name, SHARING_LABEL: pool.profile.strategy, TENANTS_LABEL: tenants}
    if not AMIS[pool.ami].plugin_by_chart:
        # The host runs the plugin; the GPU Operator must keep its pods away.
        return labels | _NO_OPERANDS
    if pool.claims:
        # The driver's pods look for the first; the second keeps the GPU Operator's plugin away.
        return labels | {GPU_PRESENT_LABEL: "true", **_NO_OPERANDS}
    name = config_name(pool.name, pool.profile, untrusted=tenants == "untrusted")
    labels |= {CONFIG_LABEL: name, **pool.profile.node_labels}
    # The operator takes `gpu.present` back, with all of the others, from a node that its feature discovery has not yet
    # seen; of labels that are there it changes none (gpu-operator controllers/state_manager.go).
    return labels | (_NOT_THE_OPERATORS if gpu_operator else {GPU_PRESENT_LABEL: "true"})


#: No part of a GPU Operator.
_NO_OPERANDS = {OPERANDS_LABEL: "false"}
#: Parts of a GPU Operator that stay away: the image has driver and toolkit, and a script of ours cuts MIG instances.
_NOT_THE_OPERATORS = {
    f"nvidia.com/gpu.deploy.{part}": "false" for part in ("driver", "container-toolkit", "mig-manager")
}


def overlay_spec(pool: str, gpu_count: int, capacity: Mapping[str, int]) -> dict[str, Any]:
    """The `spec` of a NodeOverlay: capacity only, since any price would change how Spot capacity is chosen."""
    return {
        "weight": OVERLAY_WEIGHT,
        "requirements": [
            {"key": NODE_POOL_LABEL, "operator": "In", "values": [pool]},
            {"key": GPU_COUNT_LABEL, "operator": "In", "values": [str(gpu_count)]},
        ],
        "capacity": {resource: str(quantity) for resource, quantity in capacity.items()},
    }


def _requirements(args: GpuPoolArgs) -> list[dict[str, Any]]:
    def one_of(key: str, values: Sequence[str]) -> dict[str, Any]:
        return {"key": key, "operator": "In", "values": list(values)}

    return [
        one_of(ARCH_LABEL, sorted({t.arch for t in args.pool.types})),
        one_of(OS_LABEL, ["linux"]),
        one_of(CAPACITY_TYPE_LABEL, args.pool.capacity_types),
        # Tags may select both kinds, and only one of them ends at its hour.
        *([one_of(RESERVATION_TYPE_LABEL, [args.pool.reservation_type])] if args.pool.purchase == "reserved" else []),
        # By name, not by family: a size that AWS adds tomorrow has no overlay yet.
        one_of(INSTANCE_TYPE_LABEL, [t.name for t in args.pool.types]),
    ]


def _node_class_args(args: GpuPoolArgs) -> NodeClassArgs:
    return NodeClassArgs(
        nodes=args.nodes,
        pool=args.pool.name,
        ami=args.pool.ami,
        volume=args.volume,
        user_data=pool_user_data(
            args.pool,
            untrusted=args.tenants == "untrusted",
            fast_image_pull=args.fast_image_pull,
            own=args.user_data,
        ),
        own=args.own,
        instance_store_policy="RAID0" if args.instance_store else None,
        tags=args.tags,
    )


def _justification(args: GpuPoolArgs) -> dict[str, str]:
    """Why the pool may have what is not Spot: whoever judges it wants to know also of what is reserved."""
    if args.pool.capacity_types == ("spot",):
        return {}
    if not args.justification or not args.expires:
        bought = " and ".join(each for each in args.pool.capacity_types if each != "spot")
        raise ValueError(f"pool {args.pool.name}: {bought} GPUs need a justification and a date on which it expires")
    return {JUSTIFICATION_ANNOTATION: args.justification, EXPIRES_ANNOTATION: args.expires.isoformat()}
