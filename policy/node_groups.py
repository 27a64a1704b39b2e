"""Node groups of EKS, managed and self-managed, read as the NodePools that would launch the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu.contract import (
    CAPACITY_TYPE_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    EKS_NODE_GROUP_LABEL,
    EKS_TAINT_EFFECTS,
    INSTANCE_TYPE_LABEL,
    RESERVATION_TYPE_LABEL,
)
from policy.framework import Resource, Stack
from policy.inventory.machines import TOLD
from policy.karpenter import CAPACITY_BLOCK, NODE_POOL_TYPES, NodePool
from policy.nodes import (
    LAUNCH_CONFIGURATION,
    LAUNCH_TEMPLATE,
    NODE_GROUP,
    SCALING_GROUP,
    Machine,
    chosen,
    launched_from,
)
from policy.ondemand.aws import distribution, market
from policy.ondemand.purchase import gpus_required
from policy.reading import Unknown, each, get, text, whole

SPOT: Final = "spot"
ON_DEMAND: Final = "on-demand"
#: EKS' words for kinds of capacity, to Karpenter's.
KINDS: Final = {"SPOT": SPOT, "ON_DEMAND": ON_DEMAND, "CAPACITY_BLOCK": "reserved"}

#: Domains of Karpenter's labels; its other words are those of all nodes.
_KARPENTERS: Final = ("karpenter.sh/", "karpenter.k8s.aws/")
_TEMPLATES: Final = (LAUNCH_TEMPLATE, LAUNCH_CONFIGURATION)
GPU_POOL_TYPES: Final = (*NODE_POOL_TYPES, NODE_GROUP, SCALING_GROUP, *_TEMPLATES)
"""What `gpu_pools` reads of a stack."""


@dataclass(frozen=True)
class NodeGroup(NodePool):
    """A node group, read as a pool. capacity_label: by which its nodes say their capacity, empty where by none."""

    capacity_label: str = EKS_CAPACITY_TYPE_LABEL

    def values_of(self, key: str) -> tuple[str, ...] | None:
        """As of a pool, but for the capacity, which is said in Karpenter's words here and not on the nodes."""
        return None if key == CAPACITY_TYPE_LABEL else super().values_of(key)

    def lacks(self, key: str) -> bool:
        """Karpenter labels none of them, and EKS none that are self-managed, unless the group itself does."""
        if isinstance(self._template[1], Unknown) or key in self.given_labels:
            return False
        return key.startswith(_KARPENTERS) or (self.self_managed and key == EKS_NODE_GROUP_LABEL)

    @property
    def self_managed(self) -> bool:
        """Whether its nodes join by their user data, which may give them labels and taints that nobody sees here."""
        return not self.capacity_label


def gpu_pools(stack: Stack) -> list[NodePool]:
    """Pools of the stack that can launch GPUs, and its node groups with GPU types, which are read as pools."""
    pools = [NodePool(resource.plain, resource.name) for resource in stack.of(*NODE_POOL_TYPES)]
    templates = list(stack.of(*_TEMPLATES))
    managed = (_managed(group, launched_from(group, templates)) for group in stack.of(NODE_GROUP))
    own = (
        _self_managed(group, launched_from(group, templates)) for group in stack.of(SCALING_GROUP) if _has_nodes(group)
    )
    groups = [group for group in (*managed, *own) if group is not None]
    return [pool for pool in (*pools, *groups) if pool.first_gpu_type() is not None]


def _managed(group: Resource, templates: Sequence[Resource]) -> NodeGroup | None:
    """A managed node group; None where it names no types, nor does a launch template that can be seen."""
    props = group.plain
    given = props.get("capacityType")
    types = props.get("instanceTypes") or [
        template.plain["instanceType"] for template in templates if template.plain.get("instanceType")
    ]
    if not types:
        return None
    requirements = [
        _capacity(given if isinstance(given, Unknown) else KINDS.get(text(given), ON_DEMAND)),
        _types(types),
    ]
    if text(given) == "CAPACITY_BLOCK":
        requirements.append({"key": RESERVATION_TYPE_LABEL, "operator": "In", "values": [CAPACITY_BLOCK]})
    taints = [
        {**taint, "effect": EKS_TAINT_EFFECTS.get(text(taint.get("effect")), taint.get("effect"))}
        for taint in each(props.get("taints"))
        if isinstance(taint, Mapping)
    ]
    return NodeGroup(_manifest(requirements, _managed_labels(props), taints), group.name)


def _managed_labels(props: Mapping[str, Any]) -> Any:
    """Labels of a managed group's nodes: its own, and EKS' with the group's name, where that is said."""
    given, name = props.get("labels") or {}, props.get("nodeGroupName")
    return {EKS_NODE_GROUP_LABEL: name, **given} if name and isinstance(given, Mapping) else given


def _self_managed(group: Resource, templates: Sequence[Resource]) -> NodeGroup | None:
    """An Auto Scaling group of nodes; None where no type can be seen.

    Nodes have labels and taints by their user data: known are those that the autoscaler is told by tags.
    """
    policy = group.plain.get("mixedInstancesPolicy")
    launched = [Machine.of(template.plain) for template in templates]
    machines = chosen(policy if isinstance(policy, Unknown) else get(policy, "launchTemplate"), launched)
    types = [machine.type for machine in machines if machine.type]
    attributes = [one for one in machines if not one.type and gpus_required(one.requirements, "", ())]
    if not types and not attributes:
        return None
    kind = SPOT if _may_be_spot(group.plain, templates) else ON_DEMAND
    requirements = [_capacity(kind), *([] if attributes else [_types(types)])]
    labels = dict(_told(group, "label"))
    taints = [
        {"key": key, "value": value.rpartition(":")[0], "effect": value.rpartition(":")[2]}
        for key, value in _told(group, "taint")
    ]
    return NodeGroup(_manifest(requirements, labels, taints), group.name, capacity_label="")


def _may_be_spot(props: Mapping[str, Any], templates: Sequence[Resource]) -> bool:
    """Whether any of a group may be Spot, by its distribution or by what it launches.

    All above the base is on demand where no share is said (Auto Scaling API, InstancesDistribution), and a base as
    large as the group leaves nothing above it.
    """
    if props.get("mixedInstancesPolicy") is not None:
        base, share, known = distribution(props)
        below, size = whole(base), whole(props.get("maxSize"))
        filled = below is not None and size is not None and below >= size
        return not known or (share is not None and whole(share) != 100 and not filled)
    markets = (market(template.plain) for template in templates)
    return any(spot or not known for spot, known, _ in markets) or any(one.plain.get("spotPrice") for one in templates)


def _capacity(kind: Any) -> dict[str, Any]:
    return {"key": CAPACITY_TYPE_LABEL, "operator": "In", "values": [kind]}


def _types(types: Any) -> dict[str, Any]:
    return {"key": INSTANCE_TYPE_LABEL, "operator": "In", "values": types}


def _manifest(requirements: list[dict[str, Any]], labels: Any, taints: list[dict[str, Any]]) -> Mapping[str, Any]:
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "group"}
    spec = {"nodeClassRef": reference, "requirements": requirements, "taints": taints}
    return {"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}}}


#: Tags by which a group is one of a cluster's nodes: EKS' own, the autoscaler's, eksctl's, Cluster API's.
_OF_NODES: Final = (
    *("kubernetes.io/cluster/", "k8s.io/cluster-autoscaler/", "alpha.eksctl.io/"),
    "sigs.k8s.io/cluster-api-provider-aws",
)


def _has_nodes(group: Resource) -> bool:
    return any(key.startswith(_OF_NODES) for key, _ in _tags(group))


def _told(group: Resource, kind: str) -> Iterator[tuple[str, Any]]:
    start = f"{TOLD}{kind}/"
    return ((key.removeprefix(start), text(value)) for key, value in _tags(group) if key.startswith(start))


def _tags(group: Resource) -> Iterator[tuple[str, Any]]:
    """Tags of an Auto Scaling group: a list, or a map as other tools write it."""
    given = group.plain.get("tags")
    if isinstance(given, Mapping):
        yield from ((str(key), value) for key, value in given.items())
    for one in each(given):
        yield text(get(one, "key")), get(one, "value")
