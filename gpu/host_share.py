"""What a slot may take of its node's processors and memory.

Slots only fill a GPU when the pods in them also fit beside each other in the rest of the node: a pod that asks for more
than its share makes Karpenter buy a second node while slots of the first stay empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from gpu.catalog import InstanceType
from gpu.sharing import SharingProfile

#: Millicores that pods cannot have: the kubelet's reservation (80 to 150 on these sizes, awslabs/amazon-eks-ami
#: nodeadm) and DaemonSets (VPC CNI 50, kube-proxy 100, monitoring agent 10, model cache 50), rounded up.
RESERVED_CPU_MILLIS = 500
#: Karpenter takes 7.5 % off EC2's figure (`vmMemoryOverheadPercent`), nodeadm reserves 255 MiB and 11 MiB for each pod
#: that the type may have (58 on an xlarge), the eviction threshold is 100 MiB, DaemonSets take about 300 MiB.
RESERVED_MEMORY_FRACTION = 0.10
RESERVED_MEMORY_MIB = 1536
#: The same, not rounded, and the least of it: where nothing watches the GPUs, on an xlarge.
_LEAST_RESERVED_CPU_MILLIS: Final = 80 + 50 + 100 + 10 + 50
_LEAST_RESERVED_MEMORY_FRACTION: Final = 0.075
_LEAST_RESERVED_MEMORY_MIB: Final = 255 + 11 * 58 + 100 + 300


@dataclass(frozen=True, slots=True)
class HostShare:
    """Processor in millicores and memory in MiB."""

    cpu_millis: int
    memory_mib: int

    def holds(self, asked: HostShare) -> bool:
        """Whether it is enough of both."""
        return asked.cpu_millis <= self.cpu_millis and asked.memory_mib <= self.memory_mib


#: What a model's server and Knative's container need of the node at least.
SERVER_AT_LEAST = HostShare(150, 1024)
#: What one queue-proxy, Knative's own container in every pod of a service, requests.
QUEUE_PROXY_ASKS: Final = HostShare(25, 64)
#: What the CUDA example requests.
CUDA_EXAMPLE_ASKS: Final = HostShare(500, 1024)
#: What Ollama and llama-server hold in the node's memory beside the weights, which the kernel may drop: in MiB.
_SERVER_MEMORY_MIB: Final = 2048
_MOST_SERVER_CPU_MILLIS: Final = 4000


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


def most_room(instance_type: InstanceType) -> HostShare:
    """The most that all pods with slots can have of a node together: beyond it they surely do not fit."""
    left = instance_type.memory_mib * (1 - _LEAST_RESERVED_MEMORY_FRACTION)
    cpu = instance_type.vcpus * 1000 - _LEAST_RESERVED_CPU_MILLIS
    return HostShare(max(cpu, 0), max(int(left) - _LEAST_RESERVED_MEMORY_MIB, 0))


def _share(instance_type: InstanceType, slots: int) -> HostShare:
    room = node_room(instance_type)
    return HostShare(room.cpu_millis // slots, room.memory_mib // slots)


def server_asks(share: HostShare, weights_mib: int) -> HostShare:
    """What a pod of a model's server requests: its share of the node, but no more than the models can use.

    With Knative's own container. weights_mib: of all its models.
    """
    return HostShare(
        min(share.cpu_millis, _MOST_SERVER_CPU_MILLIS + QUEUE_PROXY_ASKS.cpu_millis),
        min(share.memory_mib, weights_mib + _SERVER_MEMORY_MIB + QUEUE_PROXY_ASKS.memory_mib),
    )


@dataclass(frozen=True, slots=True)
class HostNodes:
    """Nodes that pods take by what they ask of the host, by each of the two."""

    by_cpu: int
    by_memory: int


def host_nodes(pods: Mapping[HostShare, int], room: HostShare) -> HostNodes:
    """The nodes that no placing of pods can do without; of pods that ask alike exactly as many as they take.

    pods: how many ask for what. room: what they have of a node; what asks for more has one alone.
    """
    cpu, memory = Counter[int](), Counter[int]()
    for asked, count in pods.items():
        cpu[asked.cpu_millis] += count
        memory[asked.memory_mib] += count
    return HostNodes(_fewest(cpu, room.cpu_millis), _fewest(memory, room.memory_mib))


def host_gpus(pods: Mapping[HostShare, int], types: Iterable[InstanceType]) -> int:
    """GPUs of the nodes that no placing of pods can do without, whichever of the types are bought."""
    rooms = [(t.gpu_count, most_room(t)) for t in types]
    if len({gpus for gpus, _ in rooms}) == 1:
        most = HostShare(max(room.cpu_millis for _, room in rooms), max(room.memory_mib for _, room in rooms))
        found = host_nodes(pods, most)
        return rooms[0][0] * max(found.by_cpu, found.by_memory)
    # Of nodes of several sizes nobody knows how many of which: what they have for each GPU is the bound.
    cpu = sum(asked.cpu_millis * count for asked, count in pods.items())
    memory = sum(asked.memory_mib * count for asked, count in pods.items())
    return max(
        ceil(cpu / max(Fraction(room.cpu_millis, gpus) for gpus, room in rooms)),
        ceil(memory / max(Fraction(room.memory_mib, gpus) for gpus, room in rooms)),
    )


def _fewest(sizes: Mapping[int, int], room: int) -> int:
    """Bins that no packing can do without: by the sum, and by how many of each size a bin holds.

    The second is a dual feasible function (Fekete and Schepers, "New classes of fast lower bounds for bin packing
    problems", 2001): where a bin holds k of a size, each such thing is a k-th of it. Unlike a packing by turns, neither
    ever falls when there is more to pack. sizes: how many there are of each.
    """
    room = max(room, 1)
    found = {min(size, room): 0 for size in sizes if size > 0 and sizes[size] > 0}
    for size, count in sizes.items():
        if min(size, room) in found:
            found[min(size, room)] += count
    by_sum = Fraction(sum(size * count for size, count in found.items()), room)
    held = {room // size for size in found}
    by_size = [sum((_part(size, room, k) * count for size, count in found.items()), Fraction(0)) for k in held]
    return ceil(max([by_sum, *by_size]))


def _part(size: int, room: int, k: int) -> Fraction:
    """The part of a bin that a thing counts as, where k of those that matter fill one."""
    whole, rest = divmod((k + 1) * size, room)
    return Fraction(whole, k) if rest else Fraction(size, room)
