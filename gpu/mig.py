"""MIG profiles: how NVIDIA Multi-Instance GPU cuts one GPU into isolated parts.

Source: NVIDIA MIG User Guide, "Supported MIG Profiles" (docs.nvidia.com/datacenter/tesla/mig-user-guide), read in
2026-10; the same table stands in the EKS user guide, "device-management-nvidia-mig". Profiles that not every
instance of a GPU can have at the same time ("+me", "+gfx") are left out: a pool cuts all its GPUs alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_NAME = re.compile(r"^(?P<compute>[1-7])g\.(?P<gb>\d+)gb$")


@dataclass(frozen=True, slots=True)
class MigProfile:
    """One way to cut a GPU, with as many equal parts as fit.

    ``memory_slices`` of the GPU's ``total_memory_slices`` belong to each part; ``max_per_gpu`` parts fit on a GPU.
    """

    name: str
    compute_slices: int
    memory_slices: int
    total_memory_slices: int
    max_per_gpu: int

    @property
    def resource_name(self) -> str:
        """Extended resource that the device plugin offers with the `mixed` MIG strategy."""
        return f"nvidia.com/mig-{self.name}"


def _table(total_memory_slices: int, *rows: tuple[str, int, int]) -> Mapping[str, MigProfile]:
    profiles = {}
    for name, memory_slices, max_per_gpu in rows:
        match = _NAME.match(name)
        assert match, name
        compute = int(match["compute"])
        profiles[name] = MigProfile(name, compute, memory_slices, total_memory_slices, max_per_gpu)
    return MappingProxyType(profiles)


def _seven_way(one: int, double: int, quad: int, full: int) -> Mapping[str, MigProfile]:
    """The A100 layout that all later data-centre GPUs share: 7 compute slices, 8 memory slices; sizes in GB."""
    return _table(
        8,
        (f"1g.{one}gb", 1, 7),
        (f"1g.{double}gb", 2, 4),
        (f"2g.{double}gb", 2, 3),
        (f"3g.{quad}gb", 4, 2),
        (f"4g.{quad}gb", 4, 1),
        (f"7g.{full}gb", 8, 1),
    )


#: GPU (Karpenter's `instance-gpu-name`, memory in MiB as EC2 labels it) to its MIG profiles. A100 and A100 80GB share
#: one name in EC2, so the memory decides. Names that are missing have no MIG.
_PROFILES: Mapping[tuple[str, int], Mapping[str, MigProfile]] = MappingProxyType(
    {
        ("a100", 40960): _seven_way(5, 10, 20, 40),
        ("a100", 81920): _seven_way(10, 20, 40, 80),
        ("h100", 81920): _seven_way(10, 20, 40, 80),
        ("h200", 144384): _seven_way(18, 35, 71, 141),
        ("b200", 183359): _seven_way(23, 45, 90, 180),
        ("b300", 275040): _seven_way(34, 67, 135, 269),
        ("rtx-pro-server-6000", 98304): _table(4, ("1g.24gb", 1, 4), ("2g.48gb", 2, 2), ("4g.96gb", 4, 1)),
    }
)

_NONE: Mapping[str, MigProfile] = MappingProxyType({})


def mig_profiles(gpu_name: str, memory_mib: int) -> Mapping[str, MigProfile]:
    """MIG profiles of a GPU by name, smallest first; empty when the GPU has no MIG.

    ``memory_mib`` is EC2's figure in MiB.
    """
    return _PROFILES.get((gpu_name, memory_mib), _NONE)


def is_mig_profile_name(name: str) -> bool:
    """Whether a text looks like a MIG profile, such as `1g.10gb`."""
    return _NAME.match(name) is not None
