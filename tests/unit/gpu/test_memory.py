"""Memory of slots: never more than the GPU has, and in the right order."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu import gpus
from gpu.catalog import INSTANCE_TYPES, Gpu, InstanceType
from gpu.gpus import KARPENTER
from gpu.memory import UNMEASURED_RATIO, gpu_memory
from gpu.mig import MigProfile, mig_profiles
from gpu.sharing import Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing
from tests.gotools import karpenter_dir
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
    total = profile.slot_memory_mib(gpu) * profile.slots_per_gpu(gpu)
    # A MIG instance was measured as an application sees it, so what the driver keeps is taken off already.
    most = gpu.memory.total_mib if isinstance(profile, Mig) else gpu.usable_mib
    assert 0 < total <= most
    assert gpu.usable_mib <= gpu.memory.total_mib


@given(shared_types())
def test_replicas_leave_nothing_but_a_rounding_unused(shared: tuple[InstanceType, SharingProfile]) -> None:
    instance_type, profile = shared
    slots = profile.slots_per_gpu(instance_type.gpu)
    if not isinstance(profile, Mig):
        unused = instance_type.gpu.usable_mib - profile.slot_memory_mib(instance_type.gpu) * slots
        assert 0 <= unused < slots


@given(st.sampled_from(GPUS), st.integers(2, 47), st.booleans())
def test_more_replicas_never_give_larger_slots(gpu: Gpu, replicas: int, rename: bool) -> None:
    for profile in (TimeSlicing, Mps):
        fewer, more = profile(replicas, rename), profile(replicas + 1, rename)
        assert more.slot_memory_mib(gpu) < fewer.slot_memory_mib(gpu) < NoSharing().slot_memory_mib(gpu)
    assert Mps(replicas).slot_memory_mib(gpu) == TimeSlicing(replicas).slot_memory_mib(gpu)


@given(st.lists(st.sampled_from(GPUS), min_size=2, max_size=2, unique=True), st.integers(2, 48))
def test_larger_gpus_have_larger_slots(pair: list[Gpu], replicas: int) -> None:
    smaller, larger = sorted(pair, key=lambda gpu: (gpu.memory_mib, gpu.usable_mib))
    assert Mps(replicas).slot_memory_mib(smaller) <= Mps(replicas).slot_memory_mib(larger)


@pytest.mark.parametrize(
    ("instance_type", "profile", "mib"),
    [
        ("g4dn.xlarge", NoSharing(), 14910),  # 15360, of which the driver keeps 450
        ("g6.xlarge", NoSharing(), 22342),  # 23034, of which it keeps 3 %: 691.02, rounded up
        ("g6.xlarge", TimeSlicing(3), 7447),
        ("g6.xlarge", Mps(4), 5585),
        ("p5.4xlarge", NoSharing(), 78717),  # 81152 less 2435
        ("p5.4xlarge", Mig("1g.10gb"), 9984),  # 9.75 GiB
        ("p5.4xlarge", Mig("1g.20gb"), 20090),  # 19.62 GiB
        ("p5.4xlarge", Mig("7g.80gb"), 81152),  # 79.25 GiB
        ("p5en.48xlarge", Mig("1g.18gb"), 16384),  # 16.00 GiB: less than the eighth of 140 GiB that it is called
        ("p6-b200.48xlarge", Mig("3g.90gb"), 83558),  # not measured: 16/17.5 of half of 182784
        ("g7e.2xlarge", Mig("1g.24gb"), 23674),  # 23.12 GiB
    ],
)
def test_slot_memory_by_hand(instance_type: str, profile: SharingProfile, mib: int) -> None:
    assert profile.slot_memory_mib(INSTANCE_TYPES[instance_type].gpu) == mib


def test_memory_of_a_profile_that_the_gpu_lacks_is_refused() -> None:
    with pytest.raises(SharingError, match=r"^NVIDIA L4 has no MIG profile 1g\.10gb$"):
        Mig("1g.10gb").slot_memory_mib(INSTANCE_TYPES["g6.xlarge"].gpu)


@pytest.mark.parametrize(
    ("instance_type", "mib"), [("g4dn.xlarge", 5120), ("g6.xlarge", 7678), ("g5.xlarge", 7676), ("p5.4xlarge", 27050)]
)
def test_mps_limits_a_client_to_its_part_of_what_nvml_shows(instance_type: str, mib: int) -> None:
    """mps/daemon.go divides NVML's total: 15360, 23034, 23028 and 81152 by 3."""
    gpu = INSTANCE_TYPES[instance_type].gpu
    assert Mps(3).memory_limit_mib(gpu) == mib
    assert Mps(3).slot_memory_mib(gpu) < mib


def test_a_gpu_that_nobody_measured_says_so() -> None:
    """gpu-feature-discovery's README: 15360 of 16384 MiB of a T4, 39538 of 40960 of an A100. The lower ratio counts."""
    memory = gpu_memory("rtx-pro-4500", 32768)
    assert not memory.measured
    assert (memory.total_mib, memory.usable_mib) == (30720, 30720)
    assert memory.source == "93.75% of EC2's figure: not measured"
    assert UNMEASURED_RATIO <= 39538 / 40960


_SCRAPED = re.compile(r'^\t"(?P<type>\S+)": \{$|MustParse\("(?P<quantity>\d+(?:Gi|Mi))"\)', re.MULTILINE)


@pytest.mark.go
def test_totals_are_those_of_karpenter_s_table() -> None:
    """The least that an instance type with the GPU shows, in the table that Karpenter scraped from real instances."""
    text = (karpenter_dir() / "pkg/providers/drametadata/zz_generated_gpu_metadata.go").read_text()
    shown: dict[tuple[str, int], set[int]] = {}
    kind = ""
    for found in _SCRAPED.finditer(text):
        kind = found["type"] or kind
        if found["quantity"] and kind in INSTANCE_TYPES:
            gpu = INSTANCE_TYPES[kind].gpu
            number, unit = int(found["quantity"][:-2]), found["quantity"][-2:]
            shown.setdefault((gpu.name, gpu.memory_mib), set()).add(number * (1024 if unit == "Gi" else 1))
    ours = {gpu: row.driver_mib for gpu, row in gpus.GPUS.items() if row.driver_mib and row.driver_source == KARPENTER}
    assert {gpu: min(totals) for gpu, totals in shown.items()} == ours


def test_every_gpu_that_aws_rents_and_we_support_is_measured() -> None:
    assert {gpu.name for gpu in GPUS if not gpu.memory.measured} == {"rtx-pro-4500"}


def test_instances_that_nobody_measured_are_few_and_known() -> None:
    """MIG instances: `nvidia-smi mig -lgip` of these was not found."""
    unmeasured = {(gpu.name, p.name) for gpu in MIG_GPUS for p in gpu.mig_profiles.values() if not p.measured}
    b300 = {("b300", name) for name in ("1g.34gb", "1g.67gb", "2g.67gb", "3g.135gb", "4g.135gb")}
    assert unmeasured == {("b200", "3g.90gb"), ("b200", "4g.90gb")} | b300


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
        assert profile.memory_slices * profile.max_per_gpu <= profile.total_memory_slices
        assert profile.compute_slices * profile.max_per_gpu <= whole.compute_slices
        assert Mig(key).slot_memory_mib(gpu) * profile.max_per_gpu <= gpu.memory.total_mib


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=name)
def test_mig_profiles_come_smallest_first(gpu: Gpu) -> None:
    sizes = [(profile.compute_slices, profile.memory_slices) for profile in gpu.mig_profiles.values()]
    assert sizes == sorted(sizes)
    memories = [Mig(profile).slot_memory_mib(gpu) for profile in gpu.mig_profiles]
    assert memories == sorted(memories)


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=name)
def test_a_part_s_memory_is_near_what_its_name_says(gpu: Gpu) -> None:
    """Names give GB, rounded; the smallest have a ninth less. A wrong row of the table would be far off."""
    for profile in gpu.mig_profiles:
        named_gb = int(profile.partition(".")[2].removesuffix("gb"))
        assert Mig(profile).slot_memory_mib(gpu) / 1024 == pytest.approx(named_gb, rel=0.16)


def test_gpus_without_mig_have_no_profiles() -> None:
    assert not mig_profiles("t4", 16384)
    assert not mig_profiles("a100", 12345)


def _table(page: str, first_column: str) -> dict[str, list[str]]:
    """Rows of a Markdown table by the families that their first cell names."""
    lines = iter(page.splitlines())
    next(line for line in lines if line.startswith(f"| {first_column}"))
    next(lines)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(bool, lines)]
    return {cells[0]: cells[1:] for cells in rows}


def test_the_page_about_the_catalogue_has_these_figures() -> None:
    page = (Path(__file__).parents[3] / "docs/catalog.md").read_text(encoding="utf-8")
    memory, mig = _table(page, "GPU | EC2's figure"), _table(page, "GPU | GiB of an instance")
    families: dict[Gpu, list[str]] = {}
    for t in INSTANCE_TYPES.values():
        families.setdefault(t.gpu, []).append(t.family)
    label = {gpu: f"{gpu.product} ({', '.join(dict.fromkeys(names))})" for gpu, names in families.items()}
    assert memory == {
        label[gpu]: [f"{mib:,}" for mib in (gpu.memory_mib, gpu.memory.total_mib, gpu.usable_mib)] + [gpu.memory.source]
        for gpu in families
    }
    assert mig == {label[gpu]: [", ".join(map(_instance, gpu.mig_profiles.values()))] for gpu in MIG_GPUS}


def test_the_page_about_sharing_names_the_gpus_with_mig() -> None:
    page = (Path(__file__).parents[3] / "docs/sharing.md").read_text(encoding="utf-8")
    names = dict.fromkeys(row.product.removeprefix("NVIDIA ") for row in gpus.GPUS.values() if row.mig)
    assert any(line.startswith(f"| GPUs | all | all | {', '.join(names)} |") for line in page.splitlines())


def _instance(profile: MigProfile) -> str:
    return f"`{profile.name}` {profile.memory_mib / 1024:.2f}" + ("" if profile.measured else " (estimate)")
