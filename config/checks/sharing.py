"""Checks of how a GPU pool shares its GPUs: can they be shared that way?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from config.checks.parts import attempt
from config.errors import MISSING, Path, Problem, listed, one_of
from config.schema import GpuPool
from gpu.catalog import INSTANCE_TYPES, Gpu, InstanceType
from gpu.claims import known_to_karpenter
from gpu.sharing import (
    AMIS,
    STRATEGIES,
    MemoryClaims,
    Mig,
    Mps,
    NoSharing,
    SharingError,
    TimeSlicing,
    overlay_capacities,
)
from gpu.sharing.bottlerocket import bottlerocket_mig_problem
from gpu.sharing.mps import max_mps_clients

#: Below this a slot does not hold a CUDA context and the smallest model.
MIN_SLOT_MIB = 512
#: Families whose GPUs have MIG.
MIG_FAMILIES = tuple(sorted({t.family for t in INSTANCE_TYPES.values() if t.gpu.mig_profiles}))


def check_tenants(pool: GpuPool, path: Path) -> Iterator[Problem]:
    """Tenants that do not trust each other need hardware between them."""
    strategy = pool.sharing.strategy
    if pool.tenants == "untrusted" and not STRATEGIES[strategy].isolated:
        message = f"must be trusted: strategy {strategy} isolates neither memory nor faults; use strategy mig or none"
        yield Problem((*path, "tenants"), pool.tenants, message)


def check_sharing(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Whether every GPU that the pool may buy can be shared as it says, and all of them alike."""
    for check in (_mig_ability, _mig_profile, _replicas, _claims):
        found = list(attempt(check(pool, path, types)))
        yield from found
        if found:
            return
    yield from attempt(_alike(pool, path, types))


def _mig_ability(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    unable = [t for t in types if not t.gpu.mig_profiles]
    if pool.sharing.strategy == "mig" and unable:
        message = f"needs GPUs with MIG, unlike {_gpus(unable)}; families that have it: {listed(MIG_FAMILIES, 'and')}"
        yield Problem((*path, "sharing", "strategy"), "mig", message)


def _mig_profile(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    profile = pool.sharing.profile()
    if not isinstance(profile, Mig):
        return
    place: Path = (*path, "sharing", "profile")
    lacking = [t for t in types if profile.profile not in t.gpu.mig_profiles]
    if lacking:
        first = types[0].gpu.mig_profiles
        common = [name for name in first if all(name in t.gpu.mig_profiles for t in types)]
        allowed = one_of(profile.profile, common) if common else "no profile is common to all GPUs: make a pool of each"
        yield Problem(place, profile.profile, f"is no MIG profile of {_gpus(lacking)}; {allowed}")
        return
    match pool.ami:
        case "bottlerocket":
            reasons = {bottlerocket_mig_problem(profile, t.gpu): None for t in types}
            for reason in filter(None, reasons):
                yield Problem(place, profile.profile, f"is not for Bottlerocket: {reason}; use ami: al2023")
        case "al2023":
            pass
        case _:
            assert_never(pool.ami)


def _replicas(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    profile = pool.sharing.profile()
    match profile:
        case TimeSlicing() | Mps():
            pass
        case NoSharing() | Mig() | MemoryClaims():
            return
        case _:
            assert_never(profile)
    place: Path = (*path, "sharing", "replicas")
    smallest = min(types, key=lambda t: t.gpu.usable_mib)
    fewest = min(types, key=lambda t: max_mps_clients(t.gpu))
    memory = profile.slot_memory_mib(smallest.gpu)
    if isinstance(profile, Mps) and profile.replicas > max_mps_clients(fewest.gpu):
        message = f"must be {max_mps_clients(fewest.gpu)} or less: one MPS server on {_gpus([fewest])} takes no more"
        yield Problem(place, profile.replicas, f"{message} clients")
    elif memory < MIN_SLOT_MIB:
        most = smallest.gpu.usable_mib // MIN_SLOT_MIB
        message = f"must be {most} or less: a slot on {_gpus([smallest])} would have {memory} MiB, too little for CUDA"
        yield Problem(place, profile.replicas, message)


def _claims(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Claims of memory: what Karpenter knows of the GPU, one of them to a node, and what no device plugin has."""
    if not isinstance(pool.sharing.profile(), MemoryClaims):
        return
    unknown = [t for t in types if not known_to_karpenter(t.gpu)]
    several = [t for t in types if t.gpu_count > 1]
    if unknown:
        message = f"needs GPUs of which Karpenter knows the driver's memory, unlike {_gpus(unknown)}: use other types"
        yield Problem((*path, "sharing", "strategy"), "memory", message)
    elif several:
        message = f"needs nodes with one GPU, unlike {listed([t.name for t in several], 'and')}: use other types"
        yield Problem((*path, "sharing", "strategy"), "memory", message)
    match pool.ami:
        case "bottlerocket":
            message = "must be al2023: Bottlerocket's host runs a device plugin, and a GPU would have two owners"
            yield Problem((*path, "ami"), pool.ami, message)
        case "al2023":
            pass
        case _:
            assert_never(pool.ami)
    if pool.warm:
        message = (
            "keeps slots free by pods without claims, and Karpenter buys them no GPU; use minScale: 1 on models that "
            "must be awake"
        )
        yield Problem((*path, "warm"), MISSING, message)


def _alike(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    profile = pool.sharing.profile()
    slots = {profile.slots_per_gpu(t.gpu): t for t in types}
    wanted = "the same slots for the same number of GPUs"
    try:
        overlay_capacities(profile, pool.ami, types)
        # One script in the user data cuts the GPUs of whichever node it is; Bottlerocket has a setting for each GPU.
        wrong = not AMIS[pool.ami].mig_by_gpu and len(slots) > 1
        wanted = "the same slots on al2023, whose user data cuts all GPUs alike" if wrong else wanted
    except SharingError:
        wrong = True
    if wrong:
        given = listed((f"{count} slots per GPU on {_gpus([t])}" for count, t in sorted(slots.items())), "and")
        names = list(pool.instance_families or pool.instance_types)
        key = "instanceFamilies" if pool.instance_families else "instanceTypes"
        message = f"must give {wanted}, not {given}: make a pool of each"
        yield Problem((*path, key), names, message)


def _gpus(types: Iterable[InstanceType]) -> str:
    """`NVIDIA A10G (g5) and NVIDIA L4 (g6, gr6)`."""
    families: dict[Gpu, list[str]] = {}
    for t in types:
        known = families.setdefault(t.gpu, [])
        if t.family not in known:
            known.append(t.family)
    return listed((f"{gpu.product} ({', '.join(names)})" for gpu, names in families.items()), "and")
