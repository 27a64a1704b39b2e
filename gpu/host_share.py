"""What a slot may take of its node's processors and memory.

Slots only fill a GPU when the pods in them also fit beside each other in the rest of the node: a pod that asks for more
than its share makes Karpenter buy a second node while slots of the first stay empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpu.catalog import InstanceType
from gpu.sharing import SharingProfile

#: Millicores that pods cannot have: the kubelet's reservation (80 to 150 on these sizes, awslabs/amazon-eks-ami
#: nodeadm) and DaemonSets (VPC CNI 50, kube-proxy 100, monitoring agent 10, model cache 50), rounded up.
RESERVED_CPU_MILLIS = 500
#: Karpenter takes 7.5 % off EC2's figure (`vmMemoryOverheadPercent`), nodeadm reserves 255 MiB and 11 MiB for each pod
#: that the type may have (58 on an xlarge), the eviction threshold is 100 MiB, DaemonSets take about 300 MiB.
RESERVED_MEMORY_FRACTION = 0.10
RESERVED_MEMORY_MIB = 1536


@dataclass(frozen=True, slots=True)
class HostShare:
    """Processor in millicores and memory in MiB."""

    cpu_millis: int
    memory_mib: int


#: What a model's server and Knative's container need of the node at least.
SERVER_AT_LEAST = HostShare(150, 1024)


def host_share(types: Iterable[InstanceType], profile: SharingProfile) -> HostShare:
    """The smallest share of a node that falls to one slot, among the types that a pool may buy.

    Raises SharingError when a type cannot be shared that way.
    """
    shares = [_share(t, t.gpu_count * profile.slots_per_gpu(t.gpu)) for t in types]
    return HostShare(min(s.cpu_millis for s in shares), min(s.memory_mib for s in shares))


def claim_share(types: Iterable[InstanceType], claim_mib: int) -> HostShare:
    """What a claim may take of its node: as much of the rest as of the GPU's memory, on types with one GPU.

    Of the types whose GPU holds the claim, the smallest share. Claims that fill a GPU fill its node, so that neither is
    left over because of the other.
    """
    able = [t for t in types if t.gpu.memory.total_mib >= claim_mib]
    shares = [(node_room(t), t.gpu.memory.total_mib) for t in able]
    return HostShare(
        min(room.cpu_millis * claim_mib // whole for room, whole in shares),
        min(room.memory_mib * claim_mib // whole for room, whole in shares),
    )


def claim_for_share(types: Iterable[InstanceType], claim_mib: int, least: HostShare) -> int:
    """The claim, or a larger one whose share of the node is `least`; at most what the largest GPU has."""
    able = [t for t in types if t.gpu.memory.total_mib >= claim_mib]
    needed = [claim_mib]
    for t in able:
        room, whole = node_room(t), t.gpu.memory.total_mib
        needed += [-(-least.cpu_millis * whole // max(room.cpu_millis, 1))]
        needed += [-(-least.memory_mib * whole // max(room.memory_mib, 1))]
    return min(max(needed), max(t.gpu.memory.total_mib for t in able))


def node_room(instance_type: InstanceType) -> HostShare:
    """What all pods with slots have of a node together."""
    memory = int(instance_type.memory_mib * (1 - RESERVED_MEMORY_FRACTION)) - RESERVED_MEMORY_MIB
    cpu = instance_type.vcpus * 1000 - RESERVED_CPU_MILLIS
    return HostShare(max(cpu, 0), max(memory, 0))


def _share(instance_type: InstanceType, slots: int) -> HostShare:
    room = node_room(instance_type)
    return HostShare(room.cpu_millis // slots, room.memory_mib // slots)
