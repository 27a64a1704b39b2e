"""Node pools for everything that needs no GPU: current x86 and Graviton instances, Spot first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

import versions
from components.arguments import Arguments
from components.karpenter.node_class import ClusterNodes, NodeClassArgs, Volume, karpenter_object, node_class_spec
from components.options import child_options
from gpu.coldstart import life_problem
from gpu.contract import ARCH_LABEL, CAPACITY_TYPE_LABEL, GPU_COUNT_LABEL, OS_LABEL, POOL_LABEL
from gpu.naming import check_name
from gpu.pool import taint_problem
from gpu.prices import CapacityType
from gpu.sharing import Ami

Architecture = Literal["amd64", "arm64"]

#: Workloads ask for the CPU pools by this label.
INTENT_LABEL = {"intent": "apps"}
#: Of CPU pools in a cluster with pods of others, and what pods that are meant for them have.
INTENT_TAINT = {"key": "intent", "value": "apps", "effect": "NoSchedule"}
INTENT_TOLERATION = {**INTENT_TAINT, "operator": "Equal"}


@dataclass(frozen=True, kw_only=True)
class CpuPoolArgs(Arguments):
    """Inputs of `CpuPool`.

    nodes: the cluster, the role and the network of the nodes.
    pool: name of the NodePool and of its EC2NodeClass.
    capacity_types: what Karpenter may buy; of several it takes Spot first.
    cpus: vCPUs an instance may have.
    min_generation: instances of this generation or later (7: m7i, m7a, m7g, m8g, ...).
    categories: letters of the EC2 families: c compute, m general purpose, r memory.
    taints: of the nodes (v1.Taint). Without any, pods that ask for no nodes come to them: in somebody's cluster also
    those that are built for another architecture, or bear no interruption.
    cpu_limit, memory_limit_gib: vCPUs and GiB of the whole pool; Karpenter buys no more.
    expire_after: age at which a node is replaced, so that images and kernels stay fresh.
    termination_grace_period: longest that pods can hold up the end of a node; shorter than Pulumi waits on destroy.
    """

    nodes: ClusterNodes
    pool: str
    arch: Architecture
    ami: Ami = "al2023"
    capacity_types: tuple[CapacityType, ...] = ("spot", "on-demand")
    cpus: tuple[int, ...] = (2, 4)
    min_generation: int = 7
    categories: tuple[str, ...] = ("c", "m", "r")
    taints: Sequence[Mapping[str, str]] = ()
    cpu_limit: int = 64
    memory_limit_gib: int = 256
    volume: Volume = field(default_factory=Volume)
    consolidate_after: str = "1m"
    expire_after: str = "336h"
    termination_grace_period: str = "15m"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for what a NodePool cannot have, a pool that could buy nothing, nodes that end at once."""
        super().__post_init__()
        check_name("CpuPoolArgs.pool", self.pool)
        if self.cpu_limit < 1 or self.memory_limit_gib < 1:
            raise ValueError(f"pool {self.pool}: cpu_limit and memory_limit_gib must be 1 or more")
        if problem := life_problem(self.expire_after):
            raise ValueError(f"pool {self.pool}: expire_after {problem}")
        for taint in self.taints:
            if problem := taint_problem(taint["key"]):
                raise ValueError(f"pool {self.pool}: {taint['key']} {problem}")


class CpuPool(pulumi.ComponentResource):
    """One NodePool of one architecture, with its EC2NodeClass. Needs a Kubernetes provider.

    Let it depend on Karpenter's controller where the same program installs it: nodes must end before it does.
    """

    pool: str
    node_class: pulumi.Resource
    node_pool: pulumi.Resource

    def __init__(self, name: str, args: CpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:CpuPool", name, None, opts)
        self.pool = args.pool
        self.node_class = karpenter_object(
            f"{name}-class",
            api_version=versions.EC2_NODE_CLASS_API,
            kind="EC2NodeClass",
            object_name=args.pool,
            spec=node_class_spec(
                NodeClassArgs(nodes=args.nodes, pool=args.pool, ami=args.ami, volume=args.volume, tags=args.tags)
            ),
            opts=child_options(self, opts),
        )
        self.node_pool = karpenter_object(
            f"{name}-pool",
            api_version=versions.NODE_POOL_API,
            kind="NodePool",
            object_name=args.pool,
            spec=node_pool_spec(args),
            # An EC2NodeClass cannot go while nodes of its kind exist, so it must be told to go after them.
            opts=child_options(self, opts, self.node_class),
        )
        self.register_outputs({"pool": self.pool})


def node_pool_spec(args: CpuPoolArgs) -> dict[str, Any]:
    """The `spec` of the `karpenter.sh/v1` NodePool."""
    return {
        "template": {
            "metadata": {"labels": {**INTENT_LABEL, POOL_LABEL: args.pool}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": args.pool},
                "requirements": _requirements(args),
                **({"taints": [dict(taint) for taint in args.taints]} if args.taints else {}),
                "expireAfter": args.expire_after,
                "terminationGracePeriod": args.termination_grace_period,
            },
        },
        "limits": {"cpu": str(args.cpu_limit), "memory": f"{args.memory_limit_gib}Gi"},
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": args.consolidate_after,
            "budgets": [{"nodes": "10%"}],
        },
    }


def _requirements(args: CpuPoolArgs) -> list[dict[str, Any]]:
    def one_of(key: str, *values: str) -> dict[str, Any]:
        return {"key": key, "operator": "In", "values": list(values)}

    return [
        one_of(ARCH_LABEL, args.arch),
        one_of(OS_LABEL, "linux"),
        one_of(CAPACITY_TYPE_LABEL, *args.capacity_types),
        one_of("karpenter.k8s.aws/instance-category", *args.categories),
        one_of("karpenter.k8s.aws/instance-cpu", *(str(cpus) for cpus in args.cpus)),
        {
            "key": "karpenter.k8s.aws/instance-generation",
            "operator": "Gt",
            "values": [str(args.min_generation - 1)],
        },
        # Said outright, whatever the categories are: on-demand GPUs need a justification, and this pool has none.
        {"key": GPU_COUNT_LABEL, "operator": "DoesNotExist"},
    ]
