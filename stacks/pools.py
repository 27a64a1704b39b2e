"""What a GPU pool's configuration comes to: its instance types, slots and zones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from gpu.catalog import INSTANCE_TYPES, InstanceType, types_in
from gpu.sharing import SharingProfile
from stacks.schema import GpuPool

DEFAULT_GPU_COUNTS = (1,)

#: Zones in which EKS places no control-plane network interfaces (EKS user guide, "network requirements": subnets).
EKS_EXCLUDED_ZONES: Mapping[str, str] = MappingProxyType(
    {"use1-az3": "us-east-1", "usw1-az2": "us-west-1", "cac1-az3": "ca-central-1"}
)


def gpu_counts(pool: GpuPool) -> tuple[int, ...]:
    """How many GPUs a node of the pool may have; any number where it is empty.

    A family has nodes with one GPU and with eight, and Karpenter buys a large one for a single slot when it finds no
    small one cheaper. So families mean their nodes with one GPU unless the stack file says otherwise; types are named.
    """
    return pool.gpus_per_node or (DEFAULT_GPU_COUNTS if pool.instance_families else ())


def pool_types(pool: GpuPool, region: str) -> tuple[InstanceType, ...]:
    """Instance types that the pool may buy in the region. Raises KeyError for unknown families or types."""
    counts = gpu_counts(pool)
    return tuple(
        t
        for t in types_in(pool.instance_families, pool.instance_types)
        if region in t.zone_ids and (not counts or t.gpu_count in counts)
    )


def pool_slot_memory_mib(profile: SharingProfile, types: Iterable[InstanceType]) -> int:
    """Memory in MiB that every slot of the pool has at least, whichever type Karpenter buys."""
    return min(profile.slot_memory_mib(t.gpu) for t in types)


def pool_max_slots(profile: SharingProfile, types: Iterable[InstanceType], max_gpus: int) -> int:
    """Slots that the pool surely has when all its GPUs are bought."""
    return max_gpus * min(profile.slots_per_gpu(t.gpu) for t in types)


def region_zones(region: str) -> tuple[str, ...]:
    """Zone ids of the region in which EKS can run nodes with NVIDIA GPUs."""
    zones = {zone for t in INSTANCE_TYPES.values() for zone in t.zone_ids.get(region, ())}
    return tuple(sorted(zones - EKS_EXCLUDED_ZONES.keys()))


def network_zones(region: str, types: Sequence[InstanceType]) -> tuple[str, ...]:
    """Zones that offer at least one of the types; filled up to two, which EKS demands for its control plane."""
    offering = {zone for t in types for zone in t.zone_ids.get(region, ())} - EKS_EXCLUDED_ZONES.keys()
    zones = sorted(offering)
    zones += [zone for zone in region_zones(region) if zone not in offering][: max(0, 2 - len(zones))]
    return tuple(sorted(zones))
