"""Checks of the node pools: types, sharing, and the right to buy on-demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from gpu.bottlerocket import bottlerocket_mig_problem
from gpu.catalog import FAMILIES, INSTANCE_TYPES, UNSUPPORTED_FAMILIES, Gpu, InstanceType, types_in
from gpu.sharing import Mig, Mps, SharingError, SharingProfile, overlay_capacities, slot_memory_mib
from stacks.errors import MISSING, Path, Problem, nearest, one_of
from stacks.pools import pool_types
from stacks.schema import CpuPool, GpuPool

#: Longest time for which on-demand may be justified; then somebody must look at it again.
MAX_JUSTIFIED_DAYS = 180
MIN_JUSTIFICATION_LENGTH = 20
#: Below this a slot does not hold a CUDA context and the smallest model.
MIN_SLOT_MIB = 512


def check_cpu_pools(cpu_pools: Sequence[CpuPool | None], pools: Sequence[GpuPool | None]) -> Iterator[Problem]:
    """Names: NodePools share one name space."""
    names = Counter(pool.name for pool in (*cpu_pools, *pools) if pool)
    seen: set[str] = set()
    for key, entries in (("cpuPools", cpu_pools), ("pools", pools)):
        for index, pool in enumerate(entries):
            if pool and names[pool.name] > 1:
                if pool.name in seen:
                    yield Problem((key, index, "name"), pool.name, "is the name of another pool already")
                seen.add(pool.name)


def check_pools(pools: Sequence[GpuPool | None], region: str | None, today: date) -> Iterator[Problem]:
    """Everything about GPU pools but their names."""
    for index, pool in enumerate(pools):
        if pool is None:
            continue
        path: Path = ("pools", index)
        type_problems = list(_check_types(pool, path, region))
        yield from type_problems
        yield from _check_capacity(pool, path, today)
        if not type_problems and region:
            types = pool_types(pool, region)
            yield from _check_sharing(pool, path, types)
            smallest = min(t.gpu_count for t in types)
            if pool.max_gpus < smallest:
                message = f"must be {smallest} or more: the pool's smallest node has {smallest} GPUs"
                yield Problem((*path, "maxGpus"), pool.max_gpus, message)


def _check_types(pool: GpuPool, path: Path, region: str | None) -> Iterator[Problem]:
    if bool(pool.instance_families) == bool(pool.instance_types):
        both = "has both instanceFamilies and instanceTypes; write one of them"
        neither = "is missing: write instanceFamilies, such as [g4dn, g6], or instanceTypes"
        names = list(pool.instance_families) or MISSING
        yield Problem((*path, "instanceFamilies"), names, both if pool.instance_types else neither)
        return
    unknown = False
    for index, family in enumerate(pool.instance_families):
        if family not in FAMILIES:
            unknown = True
            message = "is not a family with NVIDIA GPUs" + _family_hint(family)
            yield Problem((*path, "instanceFamilies", index), family, message)
        elif family in UNSUPPORTED_FAMILIES:
            unknown = True
            message = f"is not supported: {UNSUPPORTED_FAMILIES[family]}"
            yield Problem((*path, "instanceFamilies", index), family, message)
    for index, name in enumerate(pool.instance_types):
        if name not in INSTANCE_TYPES:
            unknown = True
            message = "is not an instance type with NVIDIA GPUs" + _hint(name, INSTANCE_TYPES)
            yield Problem((*path, "instanceTypes", index), name, message)
        elif (family := INSTANCE_TYPES[name].family) in UNSUPPORTED_FAMILIES:
            unknown = True
            yield Problem((*path, "instanceTypes", index), name, f"is not supported: {UNSUPPORTED_FAMILIES[family]}")
    if unknown or region is None:
        return
    yield from _check_offered(pool, path, region)


def _check_offered(pool: GpuPool, path: Path, region: str) -> Iterator[Problem]:
    for index, family in enumerate(pool.instance_families):
        if not any(region in t.zone_ids for t in FAMILIES[family]):
            yield Problem((*path, "instanceFamilies", index), family, f"is not offered in {region}")
    for index, name in enumerate(pool.instance_types):
        if region not in INSTANCE_TYPES[name].zone_ids:
            yield Problem((*path, "instanceTypes", index), name, f"is not offered in {region}")
    offered = [t for t in types_in(pool.instance_families, pool.instance_types) if region in t.zone_ids]
    counts = sorted({t.gpu_count for t in offered})
    for index, count in enumerate(pool.gpus_per_node):
        if offered and count not in counts:
            have = ", ".join(str(c) for c in counts)
            yield Problem(
                (*path, "gpusPerNode", index), count, f"no type of this pool has that many GPUs; they have {have}"
            )


def _check_sharing(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    profile = pool.sharing.profile()
    gpus = sorted({t.gpu for t in types}, key=lambda gpu: (gpu.name, gpu.memory_mib))
    if pool.tenants == "untrusted" and profile.strategy in ("time-slicing", "mps"):
        message = f"must be trusted: {profile.strategy} isolates neither memory nor faults; use strategy mig or none"
        yield Problem((*path, "tenants"), pool.tenants, message)
    found = False
    for gpu in gpus:
        for problem in _gpu_problems(pool, profile, gpu):
            found = True
            yield Problem((*path, "sharing", problem[0]), problem[1], problem[2])
    if found:
        return
    try:
        overlay_capacities(profile, pool.ami, types)
    except SharingError as error:
        yield Problem((*path, "sharing"), pool.sharing.strategy, f"{error}; make a pool of its own for it")


def _gpu_problems(pool: GpuPool, profile: SharingProfile, gpu: Gpu) -> Iterator[tuple[str, object, str]]:
    """(field of `sharing`, value, message) for what the GPU cannot do."""
    if isinstance(profile, Mig):
        if not gpu.mig_profiles:
            able = ", ".join(sorted({t.family for t in INSTANCE_TYPES.values() if t.gpu.mig_profiles}))
            yield "strategy", "mig", f"{gpu.product} has no MIG; families that have: {able}"
        elif profile.profile not in gpu.mig_profiles:
            message = f"is not a MIG profile of {gpu.product}; {one_of(profile.profile, gpu.mig_profiles)}"
            yield "profile", profile.profile, message
        elif pool.ami == "bottlerocket" and (problem := bottlerocket_mig_problem(profile, gpu)):
            yield "profile", profile.profile, f"{problem}; use ami: al2023"
        return
    if isinstance(profile, Mps) and profile.replicas > gpu.max_mps_clients:
        message = f"must be {gpu.max_mps_clients} or less: one MPS server on {gpu.product} takes no more clients"
        yield "replicas", profile.replicas, message
    elif (memory := slot_memory_mib(profile, gpu)) < MIN_SLOT_MIB:
        most = gpu.usable_mib // MIN_SLOT_MIB
        message = f"leaves {memory} MiB a slot on {gpu.product}, too little for any CUDA program; {most} or less"
        yield "replicas", getattr(profile, "replicas", None), message


def _check_capacity(pool: GpuPool, path: Path, today: date) -> Iterator[Problem]:
    if pool.capacity_type == "spot":
        if pool.on_demand:
            message = "belongs to capacityType on-demand; this pool buys Spot: remove it"
            yield Problem((*path, "onDemand"), pool.on_demand.justification, message)
        return
    if pool.on_demand is None:
        message = "is missing: on-demand GPUs need onDemand: {justification: ..., expires: ...}, or use Spot"
        yield Problem((*path, "onDemand"), MISSING, message)
        return
    justification, expires = pool.on_demand.justification, pool.on_demand.expires
    if len(justification.strip()) < MIN_JUSTIFICATION_LENGTH:
        message = f"must say why Spot does not do and name the ticket, in {MIN_JUSTIFICATION_LENGTH} characters or more"
        yield Problem((*path, "onDemand", "justification"), justification, message)
    latest = today + timedelta(days=MAX_JUSTIFIED_DAYS)
    if expires < today:
        message = f"is past: justify the pool anew with a date up to {latest}, or use Spot"
        yield Problem((*path, "onDemand", "expires"), expires, message)
    elif expires > latest:
        message = f"is more than {MAX_JUSTIFIED_DAYS} days ahead: write {latest} or earlier"
        yield Problem((*path, "onDemand", "expires"), expires, message)


def _family_hint(family: str) -> str:
    return _hint(family, FAMILIES) or f"; must be {', '.join(f for f in FAMILIES if f not in UNSUPPORTED_FAMILIES)}"


def _hint(value: str, options: object) -> str:
    meant = nearest(value, options)  # type: ignore[arg-type]
    return f"; did you mean {meant}?" if meant else ""
