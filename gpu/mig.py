"""MIG profiles: how NVIDIA Multi-Instance GPU cuts one GPU into isolated parts.

Source: NVIDIA MIG User Guide, "Supported MIG Profiles" (docs.nvidia.com/datacenter/tesla/mig-user-guide), read in
2026-10; the same table stands in the EKS user guide, "device-management-nvidia-mig". Profiles that not every
instance of a GPU can have at the same time ("+me", "+gfx") are left out: a pool cuts all its GPUs alike.

An instance has less memory than its fraction of the GPU, most of all the smallest: an H200's `1g.18gb` has 16.00 GiB,
not an eighth of 140. The figures are those of `nvidia-smi mig -lgip`, the lowest where drivers differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gpu.memory import gpu_memory

_NAME = re.compile(r"^(?P<compute>[1-7])g\.(?P<gb>\d+)gb$")


@dataclass(frozen=True, slots=True)
class MigProfile:
    """One way to cut a GPU, with as many equal parts as fit.

    ``memory_slices`` of the GPU's ``total_memory_slices`` belong to each part; ``max_per_gpu`` parts fit on a GPU.
    ``memory_mib`` is what an application can have of a part, in MiB; ``measured`` is False where it is an estimate.
    """

    name: str
    compute_slices: int
    memory_slices: int
    total_memory_slices: int
    max_per_gpu: int
    memory_mib: int
    measured: bool

    @property
    def resource_name(self) -> str:
        """Extended resource that the device plugin offers with the `mixed` MIG strategy."""
        return f"nvidia.com/mig-{self.name}"


#: GPU (Karpenter's `instance-gpu-name`, memory in MiB as EC2 labels it) to GiB of an instance, as
#: `nvidia-smi mig -lgip` shows: A100 and H100 in NVIDIA's user guide and many listings, H200 in
#: NVIDIA/mig-parted#120, B200 in NVIDIA/gpu-operator#1351 (earlier drivers showed 22.00 for its 1g), RTX PRO 6000 in
#: bigstack-oss/cubecos#312; all of B200 and B300 in Karpenter's table (`gpu.memory`).
_INSTANCE_GIB: Mapping[tuple[str, int], Mapping[str, float]] = MappingProxyType(
    {
        ("a100", 40960): {
            "1g.5gb": 4.75,
            "1g.10gb": 9.62,
            "2g.10gb": 9.62,
            "3g.20gb": 19.50,
            "4g.20gb": 19.50,
            "7g.40gb": 39.25,
        },
        ("a100", 81920): {
            "1g.10gb": 9.50,
            "1g.20gb": 19.50,
            "2g.20gb": 19.50,
            "3g.40gb": 39.25,
            "4g.40gb": 39.25,
            "7g.80gb": 79.00,
        },
        ("h100", 81920): {
            "1g.10gb": 9.75,
            "1g.20gb": 19.62,
            "2g.20gb": 19.62,
            "3g.40gb": 39.50,
            "4g.40gb": 39.50,
            "7g.80gb": 79.25,
        },
        ("h200", 144384): {
            "1g.18gb": 16.00,
            "1g.35gb": 32.25,
            "2g.35gb": 32.25,
            "3g.71gb": 69.50,
            "4g.71gb": 69.50,
            "7g.141gb": 140.00,
        },
        ("b200", 183359): {"1g.23gb": 20.50, "1g.45gb": 44.25, "2g.45gb": 44.25, "7g.180gb": 178.50},
        ("b300", 275040): {"7g.269gb": 268.00},
        ("rtx-pro-server-6000", 98304): {"1g.24gb": 23.12, "2g.48gb": 47.38, "4g.96gb": 95.00},
    }
)
#: What an instance has of its fraction of the GPU, where nobody has published it: the lowest ratio of those above.
_UNMEASURED_RATIO = 16.00 / 17.50


def _table(gpu: tuple[str, int], total_memory_slices: int, *rows: tuple[str, int, int]) -> Mapping[str, MigProfile]:
    profiles = {}
    for name, memory_slices, max_per_gpu in rows:
        match = _NAME.match(name)
        assert match, name
        gib = _INSTANCE_GIB[gpu].get(name)
        fraction = gpu_memory(*gpu).total_mib * memory_slices / total_memory_slices
        profiles[name] = MigProfile(
            name=name,
            compute_slices=int(match["compute"]),
            memory_slices=memory_slices,
            total_memory_slices=total_memory_slices,
            max_per_gpu=max_per_gpu,
            memory_mib=int(fraction * _UNMEASURED_RATIO if gib is None else gib * 1024),
            measured=gib is not None,
        )
    return MappingProxyType(profiles)


def _seven_way(gpu: tuple[str, int], one: int, double: int, quad: int, full: int) -> Mapping[str, MigProfile]:
    """The A100 layout that all later data-centre GPUs share: 7 compute slices, 8 memory slices; sizes in GB."""
    return _table(
        gpu,
        8,
        (f"1g.{one}gb", 1, 7),
        (f"1g.{double}gb", 2, 4),
        (f"2g.{double}gb", 2, 3),
        (f"3g.{quad}gb", 4, 2),
        (f"4g.{quad}gb", 4, 1),
        (f"7g.{full}gb", 8, 1),
    )


_RTX_PRO_6000 = ("rtx-pro-server-6000", 98304)
#: GPU (Karpenter's `instance-gpu-name`, memory in MiB as EC2 labels it) to its MIG profiles. A100 and A100 80GB share
#: one name in EC2, so the memory decides. Names that are missing have no MIG.
_PROFILES: Mapping[tuple[str, int], Mapping[str, MigProfile]] = MappingProxyType(
    {
        **{
            gpu: _seven_way(gpu, *sizes)
            for gpu, sizes in {
                ("a100", 40960): (5, 10, 20, 40),
                ("a100", 81920): (10, 20, 40, 80),
                ("h100", 81920): (10, 20, 40, 80),
                ("h200", 144384): (18, 35, 71, 141),
                ("b200", 183359): (23, 45, 90, 180),
                ("b300", 275040): (34, 67, 135, 269),
            }.items()
        },
        _RTX_PRO_6000: _table(_RTX_PRO_6000, 4, ("1g.24gb", 1, 4), ("2g.48gb", 2, 2), ("4g.96gb", 4, 1)),
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
