"""What a pod needs of a GPU, as people say it (3 GiB, 20 %), and the slots that give it.

A device plugin hands out whole slots. Two slots of a shared GPU are no larger slot: time-slicing gives a pod one turn
whatever it asks for, MPS one client's limits, and two MIG instances are two devices, of which CUDA uses one. So a need
is met by one slot, or on GPUs that are not shared by whole GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import assert_never

from gpu.pool import Pool
from gpu.sharing import MIN_REPLICAS, MemoryClaims, Mig, Mps, NoSharing, SharingProfile, TimeSlicing


@dataclass(frozen=True, slots=True)
class Need:
    """What one pod needs. memory_mib: GPU memory. share: part of a GPU, 1 is a whole one, 2 are two.

    slots: those that its container asks for, where no share says how many.
    """

    memory_mib: int | None = None
    share: Fraction | None = None
    slots: int = 1

    def slots_on(self, pool: Pool) -> int:
        """Slots of a pool for it."""
        return self.slots if self.share is None else slots_for(self.share, pool)

    @property
    def said(self) -> bool:
        """Whether it says anything of a GPU."""
        return self.memory_mib is not None or self.share is not None

    @property
    def words(self) -> str:
        """As people say it: `20 % of a GPU and 3,072 MiB`."""
        said = [f"{percent(self.share)} of a GPU"] if self.share is not None else []
        said += [f"{self.memory_mib:,} MiB"] if self.memory_mib is not None else []
        return " and ".join(said)


def percent(share: Fraction) -> str:
    """A part in percent, with a decimal or two where it needs them: `20 %`, `33.33 %`."""
    return f"{float(share) * 100:.2f}".rstrip("0").rstrip(".") + " %"


def slots_for(share: Fraction, pool: Pool) -> int:
    """Slots that come to a share: where all slots of a GPU are equal parts of it, ceil(slots x share)."""
    return ceil(share / pool.slot_share)


def shortfall(need: Need, pool: Pool) -> str | None:
    """Why no pod with this need may go to the pool, as the end of a sentence about it; None where one may."""
    if pool.claims and need.share is not None:
        return "its pods claim memory, and no part of the time"
    slots = 1 if pool.claims else need.slots_on(pool)
    if slots > 1 and pool.profile.shares:
        has = f"a slot is {percent(pool.slot_share)} of a GPU ({pool.profile.words})"
        return f"{has}, and {slots} slots are no larger slot"
    few = min(t.gpu_count for t in pool.types)
    if slots > few:
        return f"it may buy nodes with {few} GPU{'s' if few > 1 else ''}, and {slots} are needed"
    room = slots * pool.slot_memory_mib
    if need.memory_mib is not None and need.memory_mib > room:
        has = f"a slot has {room:,} MiB" if slots == 1 else f"{slots} GPUs have {room:,} MiB"
        return f"{has} on {pool.smallest.gpu.product} ({pool.profile.words})"
    return None


def given(pool: Pool) -> str:
    """What a slot of the pool really gives a pod, in words: what is enforced, and what is a promise."""
    profile, smallest = pool.profile, pool.smallest.gpu
    match profile:
        case NoSharing():
            return f"a whole GPU: {pool.slot_memory_mib:,} MiB"
        case TimeSlicing():
            return (
                f"{percent(pool.slot_share)} of the time when all {profile.replicas} compute, more when others are "
                f"idle; {pool.slot_memory_mib:,} MiB by promise, not enforced"
            )
        case Mps():
            limit = min(profile.memory_limit_mib(t.gpu) for t in pool.types)
            return (
                f"{profile.active_thread_percentage} % of the threads at most, also when alone; a limit of "
                f"{limit:,} MiB a process, of which {pool.slot_memory_mib:,} are sure"
            )
        case Mig():
            own = profile.cut(smallest)
            return (
                f"an instance {profile.profile}: {own.compute_slices} compute and {own.memory_slices} of "
                f"{own.total_memory_slices} memory slices, {pool.slot_memory_mib:,} MiB, kept apart by hardware"
            )
        case MemoryClaims():
            return "the memory that it claims, by promise, not enforced; turns with all others on the GPU"
        case _:
            assert_never(profile)


def recut(need: Need, pool: Pool) -> Pool | None:
    """The pool with its GPUs cut so that a slot meets the need: as many slots as can be; None where no cut does."""
    return next((made for made in _cuts(pool) if shortfall(need, made) is None), None)


def _cuts(pool: Pool) -> Iterator[Pool]:
    """Ways to cut the pool's GPUs in the same way, smallest slots first, then not at all."""
    profile = pool.profile
    profiles: list[SharingProfile]
    match profile:
        case NoSharing() | MemoryClaims():
            profiles = []
        case TimeSlicing() | Mps():
            fewer = range(profile.replicas - 1, MIN_REPLICAS - 1, -1)
            profiles = [*(replace(profile, replicas=count) for count in fewer), NoSharing()]
        case Mig():
            names = pool.smallest.gpu.mig_profiles
            profiles = [Mig(name) for name in names if all(name in t.gpu.mig_profiles for t in pool.types)]
        case _:
            assert_never(profile)
    yield from (replace(pool, profile=each) for each in profiles)
