"""What a GPU pool's configuration comes to: the resolved pool, and its zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from config.pool_schema import GpuPool, ReservationTerm
from gpu import prices
from gpu.catalog import INSTANCE_TYPES, InstanceType, types_in
from gpu.pool import Pool, Purchase, ReservationType, Taint
from gpu.sharing import Ami, SharingProfile

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
    return _types(pool.instance_families, pool.instance_types, gpu_counts(pool), region)


def reservations_shared(pool: GpuPool, pools: Sequence[GpuPool]) -> Mapping[str, Sequence[ReservationTerm]]:
    """The reservations of the pool that others name too, by the others' names: they part its GPUs (docs/costs.md)."""
    own = pool.capacity_reservation_selector_terms
    named = {
        each.name: [term for term in each.capacity_reservation_selector_terms if term in own]
        for each in pools
        if each is not pool
    }
    return {name: terms for name, terms in named.items() if terms}


def resolve(pool: GpuPool, region: str) -> Pool:
    """The pool with its figures: the same object, and so each figure once, as long as the section says the same.

    Raises KeyError for unknown families or types.
    """
    choice = (pool.instance_families, pool.instance_types, gpu_counts(pool))
    taints = tuple(Taint(each.key, each.value, each.effect) for each in pool.taints)
    static = pool.static.replicas if pool.static else None
    bought = (pool.capacity_type, pool.capacity_reservation_type, pool.fallback is not None, taints, static)
    return _resolved(pool.name, pool.sharing.profile(), choice, region, pool.max_gpus, pool.ami, bought)


_Bought = tuple[Purchase, ReservationType, bool, tuple[Taint, ...], int | None]
_Choice = tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]


@lru_cache(maxsize=4096)
def _resolved(
    name: str,
    profile: SharingProfile,
    choice: _Choice,
    region: str,
    max_gpus: int,
    ami: Ami,
    bought: _Bought,
) -> Pool:
    purchase, reservation_type, fallback, taints, static = bought
    pool = Pool(
        name=name,
        profile=profile,
        types=_types(*choice, region),
        max_gpus=max_gpus,
        prices=prices.of(region),
        ami=ami,
        purchase=purchase,
        # What contradicts itself is said by the checks, and must not end them.
        reservation_type=reservation_type if purchase == "reserved" else "default",
        fallback=fallback,
        taints=taints,
        static=static,
    )
    if not pool.claims:
        return pool
    # Its limit is in vCPUs: of a family the large sizes may be beyond it, and Karpenter would never buy them.
    within = tuple(each for each in pool.types if pool.most_nodes(each.name))
    return replace(pool, types=within) if within else pool


@lru_cache(maxsize=4096)
def _types(
    families: tuple[str, ...], names: tuple[str, ...], counts: tuple[int, ...], region: str
) -> tuple[InstanceType, ...]:
    found = types_in(families, names)
    return tuple(t for t in found if region in t.zone_ids and (not counts or t.gpu_count in counts))


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
