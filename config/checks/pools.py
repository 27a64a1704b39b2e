"""Checks of the node pools: what they may buy, how they share it, and the right to buy on-demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta

from config.checks.nodes import check_nodes, check_user_data, iops, throughput
from config.checks.parts import Parts, Slots, all_of, attempt, name_of, twice
from config.checks.sharing import check_sharing, check_tenants
from config.checks.static import check_static
from config.checks.types import check_types
from config.errors import MISSING, Path, Problem, listed
from config.pool_schema import OnDemand
from config.pools import pool_types, region_zones, resolve
from config.schema import CpuPool, GpuPool
from config.section import BrokenValueError
from gpu import prices
from gpu.catalog import CAPACITY_BLOCK_FAMILIES, FAMILIES, InstanceType
from gpu.contract import MAX_JUSTIFIED_DAYS, MIN_DIFFERENT_LETTERS, MIN_JUSTIFICATION
from gpu.durations import seconds
from gpu.pool import DRAINED_BEFORE_END, TAKEN_BEFORE_END, Pool, taint_problem

#: vCPUs that instances of the c, m and r families have, from generation 7 on.
_CPU_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
_NO_LIMIT = 10**9


def check_cpu_pools(parts: Parts) -> Iterator[Problem]:
    """What CPU pools may buy."""
    for index, pool in enumerate(parts.cpu_pools or ()):
        if pool:
            path: Path = ("cpuPools", index)
            yield from attempt(_cpus(pool, path))
            yield from attempt(_capacity_types(pool, path))
            yield from attempt(_limit(pool, path))


def _cpus(pool: CpuPool, path: Path) -> Iterator[Problem]:
    yield from twice((*path, "cpus"), pool.cpus)
    for index, cpus in enumerate(pool.cpus):
        if cpus not in _CPU_SIZES:
            message = f"is no size of an instance: must be {listed(_CPU_SIZES)}"
            yield Problem((*path, "cpus", index), cpus, message)


def _capacity_types(pool: CpuPool, path: Path) -> Iterator[Problem]:
    yield from twice((*path, "capacityTypes"), pool.capacity_types)


def _limit(pool: CpuPool, path: Path) -> Iterator[Problem]:
    if pool.limit_cpus < min(pool.cpus):
        message = f"must be {min(pool.cpus)} or more: the pool's smallest node has {min(pool.cpus)} vCPUs"
        yield Problem((*path, "limitCpus"), pool.limit_cpus, message)


def check_pools(parts: Parts) -> tuple[list[Problem], Slots]:
    """Everything about GPU pools but their names, and the slots of the pools in which these are right."""
    problems: list[Problem] = []
    slots: dict[str, Pool] = {}
    for index, pool in enumerate(parts.pools or ()):
        if pool is None:
            continue
        path: Path = ("pools", index)
        problems += attempt(_capacity(pool, path, parts.today))
        problems += attempt(_iops(pool, path))
        problems += attempt(_throughput(pool, path))
        problems += attempt(check_tenants(pool, path))
        problems += check_nodes(pool, path, parts)
        found, pool_slots = _slots(pool, path, parts)
        problems += found
        name = name_of(pool)
        if pool_slots and name:
            slots.setdefault(name, pool_slots)
    return [*problems, *_kinds(parts)], slots


def _kinds(parts: Parts) -> Iterator[Problem]:
    """A reservation that several pools name is the same to all of them: on demand, or a capacity block."""
    kinds: dict[str, tuple[str, str]] = {}
    for index, pool in enumerate(parts.pools or ()):
        with suppress(BrokenValueError):
            if pool is None or pool.capacity_type != "reserved":
                continue
            kind = pool.capacity_reservation_type
            for term in all_of(pool.capacity_reservation_selector_terms):
                other, said = kinds.setdefault(term.id or "", (pool.name, kind))
                if term.id and said != kind:
                    message = f"is not what pool {other} says of {term.id}, {said}: write the same, what AWS says of it"
                    yield Problem(("pools", index, "capacityReservationType"), kind, message)


def _slots(pool: GpuPool, path: Path, parts: Parts) -> tuple[list[Problem], Pool | None]:
    """Problems with types and sharing; where there are none, the pool with its slots."""
    problems = list(check_types(pool, path, parts.region, _zone_ids(parts)))
    if problems or parts.region is None:
        return problems, None
    try:
        types = pool_types(pool, parts.region)
    except BrokenValueError:
        return [], None
    max_gpus = list(attempt(_max_gpus(pool, path, types))) or list(attempt(check_static(pool, path, types)))
    sharing = list(check_sharing(pool, path, types))
    with suppress(BrokenValueError):
        if not sharing:
            found = _resolved(pool, parts.region, types, limit_is_right=not max_gpus)
            beyond = attempt(_beyond_the_limit(pool, path, found, types))
            return [*max_gpus, *beyond, *attempt(check_user_data(pool, found, path))], found
    return [*max_gpus, *sharing], None


def _zone_ids(parts: Parts) -> Sequence[str]:
    """The network's zone ids; none where they are wrong, which is reported there."""
    with suppress(BrokenValueError):
        if parts.network and parts.region and set(parts.network.zone_ids) <= set(region_zones(parts.region)):
            return parts.network.zone_ids
    return ()


def _resolved(pool: GpuPool, region: str, types: tuple[InstanceType, ...], *, limit_is_right: bool) -> Pool:
    """The pool. Where something is wrong in it that does not concern its slots, what can be known of it.

    A wrong limit is none, so that nothing is refused because of it. Raises BrokenValueError without a profile.
    """
    if limit_is_right:
        with suppress(BrokenValueError):
            if not any(taint_problem(each.key) for each in all_of(pool.taints)):
                return resolve(pool, region)
    limit = _NO_LIMIT
    with suppress(BrokenValueError):
        limit = pool.max_gpus if limit_is_right else _NO_LIMIT
    return Pool(
        name=name_of(pool) or "unnamed",
        profile=pool.sharing.profile(),
        types=types,
        max_gpus=limit,
        prices=prices.of(region),
    )


def _max_gpus(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Karpenter buys whole nodes, and none that would exceed the limit."""
    smallest = min(t.gpu_count for t in types)
    place: Path = (*path, "maxGpus")
    if pool.max_gpus < smallest:
        message = f"must be {smallest} or more: the pool's smallest node has {smallest} GPUs"
        yield Problem(place, pool.max_gpus, message)
    elif pool.max_gpus % smallest:
        fewer = pool.max_gpus // smallest * smallest
        message = f"must be {fewer} or {fewer + smallest}: the pool's smallest node has {smallest} GPUs"
        yield Problem(place, pool.max_gpus, message)


def _beyond_the_limit(pool: GpuPool, path: Path, found: Pool, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Types, families and sizes that are named, and that the limit never lets Karpenter buy."""
    counts = () if found.claims else pool.gpus_per_node
    for index, count in enumerate(counts):
        if count > found.room:
            message = (
                f"would never be bought: maxGpus is {found.room}, and nodes are whole; remove it, or write maxGpus: "
                f"{count} or more"
            )
            yield Problem((*path, "gpusPerNode", index), count, message)
    for index, name in enumerate(pool.instance_types):
        if found.takes(name) > found.room and found.takes(name) not in counts:
            yield Problem((*path, "instanceTypes", index), name, _never_bought(found, name))
    for index, family in enumerate(pool.instance_families if found.claims else ()):
        # Of a family the sizes within the limit are taken; one of which none is left was named in vain.
        own = (each for each in types if each.family == family)
        smallest = min(own, key=lambda each: each.vcpus, default=None)
        if smallest and found.takes(smallest.name) > found.room:
            yield Problem((*path, "instanceFamilies", index), family, _never_bought(found, smallest.name))


def _never_bought(found: Pool, name: str) -> str:
    takes = found.takes(name)
    if not found.claims:
        limit, has, enough = f"maxGpus is {found.room}", f"{takes} GPUs", takes
    else:
        fewest = min(found.types, key=lambda each: each.vcpus)
        limit = f"strategy memory counts maxGpus in vCPUs of {fewest.name}, {found.room} in all"
        has, enough = f"{takes}", -(-takes // fewest.vcpus)
    return f"would never be bought: {limit}, and {name} has {has}; remove it, or write maxGpus: {enough} or more"


def _iops(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from iops(pool.volume, (*path, "volume"))


def _throughput(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from throughput(pool.volume, (*path, "volume"))


def _capacity(pool: GpuPool, path: Path, today: date) -> Iterator[Problem]:
    place: Path = (*path, "onDemand")
    yield from attempt(_fallback(pool, path))
    yield from attempt(_reservations(pool, path))
    yield from attempt(_block(pool, path))
    yield from attempt(_consolidation(pool, path))
    if pool.capacity_type == "spot" and not pool.fallback:
        if pool.on_demand:
            message = (
                "belongs to capacityType on-demand or reserved, or to fallback: on-demand, and this pool buys Spot "
                "alone: remove one of the two"
            )
            yield Problem(place, MISSING, message)
    elif pool.on_demand is None:
        what = "reserved" if pool.capacity_type == "reserved" else "on-demand"
        message = f"is missing: {what} GPUs need onDemand: {{justification: ..., expires: ...}}, or use Spot"
        yield Problem(place, MISSING, message)
    else:
        yield from attempt(_justification(pool.on_demand, place))
        yield from attempt(_expiry(pool.on_demand, place, today))


def _fallback(pool: GpuPool, path: Path) -> Iterator[Problem]:
    if pool.fallback and pool.capacity_type != "spot":
        message = f"is for a pool that buys Spot, and this one is {pool.capacity_type}: remove it"
        yield Problem((*path, "fallback"), pool.fallback, message)


def _reservations(pool: GpuPool, path: Path) -> Iterator[Problem]:
    """Reserved pools, and no others, name their reservations: each by its id, or by tags and perhaps their owner."""
    terms, place = pool.capacity_reservation_selector_terms, (*path, "capacityReservationSelectorTerms")
    reserved = pool.capacity_type == "reserved"
    if reserved and not terms:
        yield Problem(place, MISSING, "is missing: write the pool's reservations, such as [{id: cr-...}]")
    elif terms and not reserved:
        message = f"belongs to capacityType reserved, and this pool is {pool.capacity_type}: remove one of the two"
        yield Problem(place, MISSING, message)
    for index, term in enumerate(all_of(terms)):
        if bool(term.id) == bool(term.tags):
            yield Problem((*place, index), MISSING, "must have an id or tags: one of both")
        elif term.id and term.owner_id:
            yield Problem((*place, index, "ownerID"), term.owner_id, "says nothing beside an id: leave it out")


def _block(pool: GpuPool, path: Path) -> Iterator[Problem]:
    """Capacity blocks are reserved, of families of which AWS sells them, and their nodes end within ten minutes."""
    if pool.capacity_reservation_type == "default":
        if pool.upfront_fee_usd is not None:
            message = (
                "is what AWS takes for a capacity block: write capacityReservationType: capacity-block, or remove it"
            )
            yield Problem((*path, "upfrontFeeUsd"), pool.upfront_fee_usd, message)
        return
    place: Path = (*path, "capacityReservationType")
    if pool.capacity_type != "reserved":
        message = f"belongs to capacityType reserved, and this pool is {pool.capacity_type}: remove one of the two"
        yield Problem(place, pool.capacity_reservation_type, message)
        return
    yield from attempt(_sold_in_blocks(pool, path))
    before, left = (
        each // timedelta(minutes=1) for each in (DRAINED_BEFORE_END, DRAINED_BEFORE_END - TAKEN_BEFORE_END)
    )
    if seconds(pool.termination_grace_period) > left * 60:
        message = (
            f"must be {left}m or less on a capacity block: Karpenter ends its nodes {before} minutes before the "
            f"block's end, and {left} minutes later EC2 takes them, whatever runs"
        )
        yield Problem((*path, "terminationGracePeriod"), pool.termination_grace_period, message)


def _sold_in_blocks(pool: GpuPool, path: Path) -> Iterator[Problem]:
    sold = [family for family in FAMILIES if family in CAPACITY_BLOCK_FAMILIES]
    for key, names in (("instanceFamilies", pool.instance_families), ("instanceTypes", pool.instance_types)):
        for index, name in enumerate(names):
            if name.partition(".")[0] not in sold:
                message = f"is not sold in capacity blocks: AWS has them of {listed(sold, 'and')}"
                yield Problem((*path, key, index), name, message)


def _consolidation(pool: GpuPool, path: Path) -> Iterator[Problem]:
    if pool.consolidation_policy == "Balanced" and pool.capacity_type == "reserved":
        message = (
            "moves pods to give nodes back, and reserved capacity is paid whether nodes run or not: leave it out, so "
            "that nodes go when they are empty"
        )
        yield Problem((*path, "consolidationPolicy"), pool.consolidation_policy, message)


def _justification(on_demand: OnDemand, path: Path) -> Iterator[Problem]:
    reason = " ".join(on_demand.justification.split())
    # One letter again and again is no reason; so is one short word.
    said = {sign for sign in reason.lower() if sign.isalnum()}
    if len(reason) < MIN_JUSTIFICATION or len(said) < MIN_DIFFERENT_LETTERS:
        message = f"must say why Spot does not do and name the ticket, in {MIN_JUSTIFICATION} characters or more"
        yield Problem((*path, "justification"), on_demand.justification, message)


def _expiry(on_demand: OnDemand, path: Path, today: date) -> Iterator[Problem]:
    expires = on_demand.expires
    latest = today + timedelta(days=MAX_JUSTIFIED_DAYS)
    if expires < today:
        message = f"is past: justify the pool anew with a date up to {latest}, or use Spot"
        yield Problem((*path, "expires"), expires, message)
    elif expires > latest:
        message = f"is more than {MAX_JUSTIFIED_DAYS} days ahead: write {latest} or earlier"
        yield Problem((*path, "expires"), expires, message)
