"""Checks of what a GPU pool may buy: families and types exist, are supported, and are offered where it wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.checks.parts import attempt, twice
from config.errors import MISSING, Path, Problem, listed, one_of
from config.pools import gpu_counts, pool_types
from config.schema import GpuPool
from gpu.catalog import FAMILIES, INSTANCE_TYPES, LEFT_OUT_FAMILIES, UNSUPPORTED_FAMILIES, InstanceType

#: Families whose nodes have a part of a GPU; EC2 and Karpenter count none (gpu count 0).
_FRACTIONAL = ("g6f", "gr6f")
_SUPPORTED = tuple(family for family in FAMILIES if family not in UNSUPPORTED_FAMILIES)


def check_types(pool: GpuPool, path: Path, region: str | None, zone_ids: Sequence[str]) -> Iterator[Problem]:
    """Families or types, and the number of GPUs of each node. ``zone_ids`` are the network's, if it names them."""
    wrong = [
        *attempt(_either(pool, path)),
        *attempt(_families(pool, path)),
        *attempt(_types(pool, path)),
        *attempt(_counts_once(pool, path)),
    ]
    yield from wrong
    if not wrong and region is not None:
        not_offered = list(attempt(_offered(pool, path, region)))
        yield from not_offered
        if not not_offered:
            yield from attempt(_counts(pool, path, region))
            yield from attempt(_in_zones(pool, path, region, zone_ids))


def _either(pool: GpuPool, path: Path) -> Iterator[Problem]:
    families, types = pool.instance_families, pool.instance_types
    if families and types:
        message = "must not stand beside instanceFamilies: write one of them"
        yield Problem((*path, "instanceTypes"), list(types), message)
    elif not families and not types:
        message = "is missing: write families, such as [g6, g5], or instanceTypes"
        yield Problem((*path, "instanceFamilies"), MISSING, message)


def _families(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from twice((*path, "instanceFamilies"), pool.instance_families)
    for index, family in enumerate(pool.instance_families):
        message = _family_problem(family)
        if message:
            yield Problem((*path, "instanceFamilies", index), family, message)


def _family_problem(family: str) -> str | None:
    if family in UNSUPPORTED_FAMILIES:
        return f"is not supported: {UNSUPPORTED_FAMILIES[family]}"
    if family in FAMILIES:
        return None
    if family in _FRACTIONAL:
        return f"has fractions of a GPU, which are not supported; did you mean {family.removesuffix('f')}?"
    if family in INSTANCE_TYPES:
        return f"is an instance type: write family {family.partition('.')[0]}, or the type under instanceTypes"
    if family in LEFT_OUT_FAMILIES:
        return f"{_left_out(family)}: must be {listed(_SUPPORTED)}"
    return f"is no family with NVIDIA GPUs: {one_of(family, _SUPPORTED)}"


def _left_out(family: str) -> str:
    """No other is meant: the nearest name may be that of the dearest nodes."""
    return f"has NVIDIA {LEFT_OUT_FAMILIES[family]}, and is not in the catalogue (docs/catalog.md)"


def _types(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from twice((*path, "instanceTypes"), pool.instance_types)
    for index, name in enumerate(pool.instance_types):
        message = _type_problem(name)
        if message:
            yield Problem((*path, "instanceTypes", index), name, message)


def _type_problem(name: str) -> str | None:
    family = name.partition(".")[0]
    if name in FAMILIES:
        return f"is a family: write it under instanceFamilies, or a type such as {FAMILIES[name][0].name}"
    if family in UNSUPPORTED_FAMILIES:
        return f"is not supported: {UNSUPPORTED_FAMILIES[family]}"
    if name in INSTANCE_TYPES:
        return None
    if family in _FRACTIONAL:
        return f"has a fraction of a GPU, which is not supported: write a type of {family.removesuffix('f')}"
    if family in FAMILIES:
        return f"is no instance type: {one_of(name, [t.name for t in FAMILIES[family]])}"
    if family in LEFT_OUT_FAMILIES:
        return f"{_left_out(family)}: must be of family {listed(_SUPPORTED)}"
    return f"is no instance type with NVIDIA GPUs: must be of family {listed(_SUPPORTED)}"


def _counts_once(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from twice((*path, "gpusPerNode"), pool.gpus_per_node)


def _choices(pool: GpuPool) -> Iterator[tuple[str, int, str, tuple[InstanceType, ...]]]:
    """(key, position, name, types) of each family or type that the pool names."""
    for index, family in enumerate(pool.instance_families):
        yield "instanceFamilies", index, family, FAMILIES[family]
    for index, name in enumerate(pool.instance_types):
        yield "instanceTypes", index, name, (INSTANCE_TYPES[name],)


def _offered(pool: GpuPool, path: Path, region: str) -> Iterator[Problem]:
    for key, index, name, types in _choices(pool):
        if not any(region in t.zone_ids for t in types):
            regions = sorted({r for t in types for r in t.zone_ids})
            message = f"is not offered in {region}, but in {listed(regions, 'and')}"
            yield Problem((*path, key, index), name, message)


def _counts(pool: GpuPool, path: Path, region: str) -> Iterator[Problem]:
    offered = {name: [t for t in types if region in t.zone_ids] for _, _, name, types in _choices(pool)}
    counts = sorted({t.gpu_count for types in offered.values() for t in types})
    wrong = False
    for index, count in enumerate(pool.gpus_per_node):
        if count not in counts:
            wrong = True
            message = f"is no number of GPUs that a node of this pool can have: they have {listed(counts)}"
            yield Problem((*path, "gpusPerNode", index), count, message)
    wanted = gpu_counts(pool)
    if wrong or not wanted:
        return
    for key, index, name, _ in _choices(pool):
        counts = sorted({t.gpu_count for t in offered[name]})
        if not set(counts) & set(wanted):
            remedy = "and gpusPerNode leaves them out: remove one of the two"
            if not pool.gpus_per_node:
                write = _all_have_one([{t.gpu_count for t in types} for types in offered.values()], wanted)
                remedy = f"and without gpusPerNode a family means its nodes with one: write gpusPerNode: {write}"
            message = f"has nodes with {listed(counts)} GPUs, {remedy}"
            yield Problem((*path, key, index), name, message)


def _all_have_one(counts: Sequence[set[int]], wanted: Sequence[int]) -> list[int]:
    """Numbers of GPUs of which each of some families has one: one that all have, or else those that are wanted and the
    smallest of each that has none of these.
    """
    if common := set.intersection(*counts):
        return [min(common)]
    return sorted({number for has in counts for number in (has & set(wanted) or {min(has)})})


def _in_zones(pool: GpuPool, path: Path, region: str, zone_ids: Sequence[str]) -> Iterator[Problem]:
    there = sorted({zone for t in pool_types(pool, region) for zone in t.zone_ids[region]})
    if zone_ids and there and not set(there) & set(zone_ids):
        key = "instanceFamilies" if pool.instance_families else "instanceTypes"
        names = list(pool.instance_families or pool.instance_types)
        message = f"is in no zone of network.zoneIds ({', '.join(zone_ids)}), but in {listed(there, 'and')}"
        yield Problem((*path, key), names, message)
