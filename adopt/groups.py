"""GPU nodes of node groups as the twin plays them: nobody buys them there, so they stand as they were shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adopt.inventory import Inventory
from adopt.objects import Object, Objects, at, has_unknown, labels_of, listed, name_of, words
from adopt.proposal import Proposal
from adopt.work import GpuNode
from gpu.contract import (
    ARCH_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    GPU_COUNT_LABEL,
    GPU_NAME_LABEL,
    GPU_RESOURCE,
    OS_LABEL,
)
from gpu.host_share import node_room
from gpu.rehearsal import PlayedNode

#: Before the names of theirs: the twin has nodes of its own.
PREFIX: Final = "theirs-"
#: By it pods are held to the node that they have.
HOSTNAME: Final = "kubernetes.io/hostname"
#: What a kubelet gives out besides, where nobody showed it: its default for pods (`maxPods`), and the disk of a managed
#: node group (EKS API reference, CreateNodegroup, diskSize).
_HOST: Final[Mapping[str, str]] = {"pods": "110", "ephemeral-storage": "20Gi"}
#: Of a moment, not of a group.
_PASSING: Final = "node.kubernetes.io/"


def group_nodes(objects: Objects, there: Inventory, proposal: Proposal, left_out: list[str]) -> Iterator[PlayedNode]:
    """GPU nodes that no Karpenter bought."""
    seen = {node.name: node for node in there.nodes if not node.pool}
    stay = {node.name for node in proposal.staying}
    for manifest in objects.of("Node"):
        node = seen.get(name_of(manifest))
        if node is None or not node.name:
            continue
        if has_unknown(manifest):
            left_out.append(f"Node {node.name}: is a template")
        else:
            yield PlayedNode(manifest=_node(manifest, node), stays=node.name in stay)


def _node(manifest: Object, node: GpuNode) -> Object:
    name = f"{PREFIX}{node.name}"
    # Those of Karpenter's are how the twin tells nodes with GPUs; NVIDIA's plugin finds them by what is on the bus.
    labels = {
        OS_LABEL: "linux",
        ARCH_LABEL: node.kind.arch,
        **labels_of(manifest),
        HOSTNAME: name,
        GPU_NAME_LABEL: node.kind.gpu.name,
        GPU_COUNT_LABEL: str(node.kind.gpu_count),
        EKS_CAPACITY_TYPE_LABEL: "SPOT" if node.bought == "spot" else "ON_DEMAND",
    }
    offered = _offered(at(manifest, "status", "allocatable"), node)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": _taints(manifest), "providerID": f"aws:///theirs/{node.name}"},
        "status": {"capacity": offered, "allocatable": offered},
    }


def _taints(manifest: Object) -> list[dict[str, Any]]:
    found = [dict(each) for each in listed(at(manifest, "spec").get("taints"))]
    return [each for each in found if not str(each.get("key")).startswith(_PASSING)]


def _offered(allocatable: Mapping[str, Any], node: GpuNode) -> dict[str, str]:
    room = node_room(node.kind)
    usual = {"cpu": f"{room.cpu_millis}m", "memory": f"{room.memory_mib}Mi", **_HOST}
    shown = {key: text for key, text in words(allocatable).items() if key in usual}
    # One that was shown without any has none; of one that was shown without a word of it, nobody knows.
    gpus = node.resources if allocatable else {GPU_RESOURCE: node.kind.gpu_count}
    return {**usual, **shown, **{name: str(number) for name, number in gpus.items()}}
