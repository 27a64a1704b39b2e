"""MIG profiles: how NVIDIA Multi-Instance GPU cuts one GPU into isolated parts.

An instance has less memory than its fraction of the GPU, most of all the smallest: an H200's `1g.18gb` has 16.00 GiB,
not an eighth of 140. Layouts, figures and their sources: `gpu.gpus`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gpu.gpus import GPUS, GpuRow, MigShape
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


#: What an instance has of its fraction of the GPU, where nobody has published it: the lowest ratio in the table.
_UNMEASURED_RATIO = 16.00 / 17.50


def _profile(gpu: GpuRow, shape: MigShape) -> MigProfile:
    match = _NAME.match(shape.name)
    assert match, shape.name
    fraction = gpu_memory(gpu.name, gpu.ec2_mib).total_mib * shape.memory_slices / gpu.memory_slices
    return MigProfile(
        name=shape.name,
        compute_slices=int(match["compute"]),
        memory_slices=shape.memory_slices,
        total_memory_slices=gpu.memory_slices,
        max_per_gpu=shape.max_per_gpu,
        memory_mib=int(fraction * _UNMEASURED_RATIO if shape.gib is None else shape.gib * 1024),
        measured=shape.gib is not None,
    )


#: By GPU (name, EC2's MiB); GPUs that are missing have no MIG.
_PROFILES: Mapping[tuple[str, int], Mapping[str, MigProfile]] = MappingProxyType(
    {
        key: MappingProxyType({shape.name: _profile(gpu, shape) for shape in gpu.mig})
        for key, gpu in GPUS.items()
        if gpu.mig
    }
)

_NONE: Mapping[str, MigProfile] = MappingProxyType({})


def mig_profiles(gpu_name: str, memory_mib: int) -> Mapping[str, MigProfile]:
    """MIG profiles of a GPU by name, smallest first; empty when the GPU has no MIG.

    ``memory_mib`` is EC2's figure in MiB.
    """
    return _PROFILES.get((gpu_name, memory_mib), _NONE)
