"""Every GPU, and every way in which it can be shared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES, Gpu, InstanceType
from gpu.sharing import MAX_TIME_SLICING_REPLICAS, MIN_REPLICAS, Ami, Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.sharing.mps import max_mps_clients

TYPES = tuple(INSTANCE_TYPES.values())
GPUS = tuple(dict.fromkeys(t.gpu for t in TYPES))
MIG_GPUS = tuple(gpu for gpu in GPUS if gpu.mig_profiles)
#: One type for each GPU and each number of GPUs on a node: the others give the same slots.
SHAPES = tuple({(t.gpu, t.gpu_count): t for t in reversed(TYPES)}.values())
AMIS: tuple[Ami, ...] = ("al2023", "bottlerocket")


def profiles(gpu: Gpu) -> Iterator[SharingProfile]:
    """Every sharing profile with slots that the GPU can have."""
    yield NoSharing()
    for rename in (False, True):
        for replicas in range(MIN_REPLICAS, MAX_TIME_SLICING_REPLICAS + 1):
            yield TimeSlicing(replicas, rename)
        for replicas in range(MIN_REPLICAS, max_mps_clients(gpu) + 1):
            yield Mps(replicas, rename)
    for profile in gpu.mig_profiles:
        yield Mig(profile)


@cache
def profile_of(gpu: Gpu) -> st.SearchStrategy[SharingProfile]:
    """Any sharing profile that the GPU can have, of each strategy as often."""
    found: dict[str, list[SharingProfile]] = {}
    for profile in profiles(gpu):
        found.setdefault(profile.strategy, []).append(profile)
    return st.one_of(*map(st.sampled_from, found.values()))


@st.composite
def shared_types(draw: st.DrawFn) -> tuple[InstanceType, SharingProfile]:
    """An instance type and a sharing profile that it can have."""
    instance_type = draw(st.sampled_from(TYPES))
    return instance_type, draw(profile_of(instance_type.gpu))
