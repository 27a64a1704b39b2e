"""Memory of slots: never more than the GPU has, and in the right order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES, USABLE_MEMORY_RATIO, Gpu, InstanceType
from gpu.mig import is_mig_profile_name, mig_profiles
from gpu.sharing import Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing, slot_memory_mib, slots_per_gpu
from tests.unit.gpu.support import GPUS, MIG_GPUS, shared_types

#: NVIDIA MIG User Guide, "Supported MIG Profiles": instances of each profile that fit on one GPU.
PUBLISHED = {
    "p4d.24xlarge": {"1g.5gb": 7, "1g.10gb": 4, "2g.10gb": 3, "3g.20gb": 2, "4g.20gb": 1, "7g.40gb": 1},
    "p4de.24xlarge": {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1},
    "p5.48xlarge": {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1},
    "p5en.48xlarge": {"1g.18gb": 7, "1g.35gb": 4, "2g.35gb": 3, "3g.71gb": 2, "4g.71gb": 1, "7g.141gb": 1},
    "p6-b200.48xlarge": {"1g.23gb": 7, "1g.45gb": 4, "2g.45gb": 3, "3g.90gb": 2, "4g.90gb": 1, "7g.180gb": 1},
    "p6-b300.48xlarge": {"1g.34gb": 7, "1g.67gb": 4, "2g.67gb": 3, "3g.135gb": 2, "4g.135gb": 1, "7g.269gb": 1},
    "g7e.2xlarge": {"1g.24gb": 4, "2g.48gb": 2, "4g.96gb": 1},
}


def name(gpu: Gpu) -> str:
    return f"{gpu.name}-{gpu.memory_mib}"


@given(shared_types())
def test_slots_never_have_more_memory_than_the_gpu(shared: tuple[InstanceType, SharingProfile]) -> None:
    instance_type, profile = shared
    gpu = instance_type.gpu
    total = slot_memory_mib(profile, gpu) * slots_per_gpu(profile, gpu)
    assert 0 < total <= gpu.usable_mib < gpu.memory_mib


@given(shared_types())
def test_replicas_leave_nothing_but_a_rounding_unused(shared: tuple[InstanceType, SharingProfile]) -> None:
    instance_type, profile = shared
    slots = slots_per_gpu(profile, instance_type.gpu)
    if not isinstance(profile, Mig):
        unused = instance_type.gpu.usable_mib - slot_memory_mib(profile, instance_type.gpu) * slots
        assert 0 <= unused < slots


@given(st.sampled_from(GPUS), st.integers(2, 47), st.booleans())
def test_more_replicas_never_give_larger_slots(gpu: Gpu, replicas: int, rename: bool) -> None:
    for profile in (TimeSlicing, Mps):
        fewer, more = profile(replicas, rename), profile(replicas + 1, rename)
        assert slot_memory_mib(more, gpu) < slot_memory_mib(fewer, gpu) < slot_memory_mib(NoSharing(), gpu)
    assert slot_memory_mib(Mps(replicas), gpu) == slot_memory_mib(TimeSlicing(replicas), gpu)


@given(st.lists(st.sampled_from(GPUS), min_size=2, max_size=2, unique=True), st.integers(2, 48))
def test_larger_gpus_have_larger_slots(pair: list[Gpu], replicas: int) -> None:
    smaller, larger = sorted(pair, key=lambda gpu: gpu.memory_mib)
    assert slot_memory_mib(Mps(replicas), smaller) <= slot_memory_mib(Mps(replicas), larger)


@pytest.mark.parametrize(
    ("instance_type", "profile", "mib"),
    [
        ("g4dn.xlarge", NoSharing(), 15360),  # 16384 x 0.9375
        ("g6.xlarge", NoSharing(), 21457),  # 22888 x 0.9375 = 21457.5
        ("g6.xlarge", TimeSlicing(3), 7152),
        ("g6.xlarge", Mps(4), 5364),
        ("p5.4xlarge", Mig("1g.10gb"), 9600),  # an eighth of 76800, though seven of them fit
        ("p5.4xlarge", Mig("1g.20gb"), 19200),
        ("p5.4xlarge", Mig("7g.80gb"), 76800),
        ("g7e.2xlarge", Mig("1g.24gb"), 23040),  # a quarter of 92160
    ],
)
def test_slot_memory_by_hand(instance_type: str, profile: SharingProfile, mib: int) -> None:
    assert slot_memory_mib(profile, INSTANCE_TYPES[instance_type].gpu) == mib


def test_memory_of_a_profile_that_the_gpu_lacks_is_refused() -> None:
    with pytest.raises(SharingError, match=r"^NVIDIA L4 has no MIG profile 1g\.10gb$"):
        slot_memory_mib(Mig("1g.10gb"), INSTANCE_TYPES["g6.xlarge"].gpu)


def test_usable_memory_is_what_nvidia_s_own_samples_show() -> None:
    """gpu-feature-discovery's README: 15360 MiB of a T4, 39538 of an A100. Ours must not promise more."""
    assert INSTANCE_TYPES["g4dn.xlarge"].gpu.usable_mib == 15360
    assert INSTANCE_TYPES["p4d.24xlarge"].gpu.usable_mib <= 39538
    assert USABLE_MEMORY_RATIO == 0.9375


def test_the_gpus_with_mig_are_known() -> None:
    assert {name(INSTANCE_TYPES[type_name].gpu) for type_name in PUBLISHED} == {name(gpu) for gpu in MIG_GPUS}


@pytest.mark.parametrize("instance_type", PUBLISHED)
def test_mig_profiles_are_those_that_nvidia_publishes(instance_type: str) -> None:
    profiles = INSTANCE_TYPES[instance_type].gpu.mig_profiles
    assert {profile.name: profile.max_per_gpu for profile in profiles.values()} == PUBLISHED[instance_type]


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=name)
def test_mig_parts_never_exceed_the_gpu(gpu: Gpu) -> None:
    whole = list(gpu.mig_profiles.values())[-1]
    assert whole.max_per_gpu == 1
    assert whole.memory_slices == whole.total_memory_slices
    for key, profile in gpu.mig_profiles.items():
        assert key == profile.name
        assert is_mig_profile_name(profile.name)
        assert profile.memory_slices * profile.max_per_gpu <= profile.total_memory_slices
        assert profile.compute_slices * profile.max_per_gpu <= whole.compute_slices
        assert slot_memory_mib(Mig(key), gpu) * profile.max_per_gpu <= gpu.usable_mib


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=name)
def test_mig_profiles_come_smallest_first(gpu: Gpu) -> None:
    sizes = [(profile.compute_slices, profile.memory_slices) for profile in gpu.mig_profiles.values()]
    assert sizes == sorted(sizes)
    memories = [slot_memory_mib(Mig(profile), gpu) for profile in gpu.mig_profiles]
    assert memories == sorted(memories)


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=name)
def test_a_part_s_memory_is_near_what_its_name_says(gpu: Gpu) -> None:
    """Names give GB, rounded; derating takes a sixteenth. A wrong row of the table would be far off."""
    for profile in gpu.mig_profiles:
        named_gb = int(profile.partition(".")[2].removesuffix("gb"))
        assert slot_memory_mib(Mig(profile), gpu) / 1024 == pytest.approx(named_gb, rel=0.16)


@pytest.mark.parametrize(
    ("text", "is_name"),
    [("1g.10gb", True), ("7g.141gb", True), ("8g.80gb", False), ("1g.10gb.me", False), ("1g", False), ("", False)],
)
def test_mig_profile_names_are_told_apart(text: str, is_name: bool) -> None:
    assert is_mig_profile_name(text) is is_name


def test_gpus_without_mig_have_no_profiles() -> None:
    assert not mig_profiles("t4", 16384)
    assert not mig_profiles("a100", 12345)
