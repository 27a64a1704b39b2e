"""What a slot may take of its node: all slots together never more than the node has."""

from hypothesis import given
from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES
from gpu.host_share import RESERVED_CPU_MILLIS, RESERVED_MEMORY_MIB, host_share
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
