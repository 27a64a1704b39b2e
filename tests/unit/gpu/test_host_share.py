"""What a slot may take of its node: all slots together never more than the node has."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES
from gpu.host_share import (
    RESERVED_CPU_MILLIS,
    RESERVED_MEMORY_MIB,
    HostNodes,
    HostShare,
    host_gpus,
    host_nodes,
    host_share,
    node_room,
    server_asks,
)
from gpu.sharing import NoSharing, TimeSlicing

TYPES = sorted(INSTANCE_TYPES)


@given(st.sampled_from(TYPES), st.integers(2, 48))
def test_all_slots_fit_beside_each_other(name: str, replicas: int) -> None:
    node, profile = INSTANCE_TYPES[name], TimeSlicing(replicas)
    slots = node.gpu_count * profile.slots_per_gpu(node.gpu)
    share = host_share([node], profile)
    assert share.cpu_millis * slots <= max(node.vcpus * 1000 - RESERVED_CPU_MILLIS, 0)
    assert share.memory_mib * slots <= max(node.memory_mib * 0.9 - RESERVED_MEMORY_MIB, 0)


def test_by_hand() -> None:
    share = host_share([INSTANCE_TYPES["g6.xlarge"]], TimeSlicing(3))
    assert (share.cpu_millis, share.memory_mib) == ((4000 - 500) // 3, (int(16384 * 0.9) - 1536) // 3)


def test_the_smallest_share_of_all_types_counts() -> None:
    small, large = INSTANCE_TYPES["g6.xlarge"], INSTANCE_TYPES["g6.4xlarge"]
    assert host_share([large, small], NoSharing()) == host_share([small], NoSharing())


ROOM = HostShare(3500, 13209)


@pytest.mark.parametrize(
    ("pods", "cpu", "memory"),
    [
        ({HostShare(500, 1024): 10}, 2, 1),
        ({HostShare(3000, 1024): 3}, 3, 1),
        ({HostShare(2000, 1024): 3}, 3, 1),
        ({HostShare(1500, 7000): 4}, 2, 4),
        ({HostShare(2000, 1024): 1, HostShare(500, 1024): 3}, 1, 1),
        ({HostShare(3000, 1024): 2, HostShare(1000, 1024): 2}, 3, 1),
        ({HostShare(9000, 1024): 2}, 2, 1),
        ({HostShare(1750, 1024): 2}, 1, 1),
        ({}, 0, 0),
    ],
)
def test_nodes_by_what_pods_ask_of_the_host(pods: dict[HostShare, int], cpu: int, memory: int) -> None:
    assert host_nodes(pods, ROOM) == HostNodes(cpu, memory)


def _first_fit(sizes: list[int], room: int) -> int:
    nodes: list[int] = []
    for size in sorted(sizes, reverse=True):
        place = next((index for index, held in enumerate(nodes) if held + size <= room), None)
        if place is None:
            nodes.append(size)
        else:
            nodes[place] += size
    return len(nodes)


@given(st.lists(st.integers(1, 3500), max_size=20), st.integers(1, 3500))
def test_the_bound_is_below_any_packing_and_never_falls(sizes: list[int], more: int) -> None:
    def needed(asked: list[int]) -> int:
        return host_nodes(Counter(HostShare(size, 1) for size in asked), ROOM).by_cpu

    assert needed(sizes) <= _first_fit(sizes, ROOM.cpu_millis)
    assert needed(sizes) <= needed([*sizes, more]) <= needed(sizes) + 1


@given(st.integers(1, 3500), st.integers(0, 40))
def test_it_is_exact_for_pods_that_ask_alike(size: int, count: int) -> None:
    assert host_nodes({HostShare(size, 1): count}, ROOM).by_cpu == -(-count // (ROOM.cpu_millis // size))


@given(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3), st.integers(2, 12), st.integers(1, 40), st.data())
def test_models_never_need_more_nodes_than_their_slots_do(
    names: list[str], replicas: int, pods: int, data: st.DataObject
) -> None:
    types, profile = [INSTANCE_TYPES[name] for name in names], TimeSlicing(replicas)
    share = host_share(types, profile)
    weights = data.draw(st.lists(st.integers(200, 60_000), min_size=pods, max_size=pods))
    asked = Counter(server_asks(share, mib) for mib in weights)
    for each in types:
        slots = each.gpu_count * profile.slots_per_gpu(each.gpu)
        needed = host_nodes(asked, node_room(each))
        assert max(needed.by_cpu, needed.by_memory) <= -(-pods // slots)


def test_gpus_of_nodes_of_several_sizes_are_bounded_by_what_each_gpu_brings() -> None:
    """A g4dn.12xlarge has 47500m for four GPUs, a g4dn.xlarge 3500m for one: 24 pods of 3 need 7 GPUs at least."""
    types = [INSTANCE_TYPES["g4dn.xlarge"], INSTANCE_TYPES["g4dn.12xlarge"]]
    assert host_gpus({HostShare(3000, 1024): 24}, types) == 7
    assert host_gpus({HostShare(3000, 1024): 24}, types[:1]) == 24
