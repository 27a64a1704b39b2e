"""Memory of each GPU: what NVIDIA's library shows, and what applications can have of it. MiB throughout.

EC2 states a rounded figure, and one that can lie on either side of what the driver shows: 22,888 MiB for an L4 that has
23,034, 144,384 for an H200 that has 143,360. Whatever is divided among slots must come from the driver's own figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpu.gpus import GPUS

#: Share of a GPU that the driver keeps for itself, and the least that it does, where nobody has published a figure
#: (kai-scheduler/KAI-Scheduler#2212). PyTorch's messages show less: 22.03 GiB of an L4's 22.49 are 2 %.
DRIVER_KEEPS_RATIO = 0.03
DRIVER_KEEPS_AT_LEAST_MIB = 256
#: For GPUs whose figure nobody has published: the lower of two ratios of the driver's figure to EC2's in NVIDIA's
#: gpu-feature-discovery README, 15360 of 16384 MiB (T4) and 39538 of 40960 (A100). The driver's own part is in it.
UNMEASURED_RATIO = 15360 / 16384


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of one GPU in MiB.

    total_mib: what NVML shows, of which MPS gives each client a share. usable_mib: what all applications together can
    have. source: where total_mib is from, for people. measured: False where both are estimates from EC2's figure.
    """

    total_mib: int
    usable_mib: int
    source: str
    measured: bool


def gpu_memory(gpu_name: str, ec2_mib: int) -> GpuMemory:
    """Memory of a GPU by Karpenter's `instance-gpu-name` and EC2's figure in MiB."""
    row = GPUS.get((gpu_name, ec2_mib))
    if row is None or row.driver_mib is None:
        usable = int(ec2_mib * UNMEASURED_RATIO)
        return GpuMemory(usable, usable, f"{UNMEASURED_RATIO:.2%} of EC2's figure: not measured", measured=False)
    total, kept = row.driver_mib, row.driver_keeps_mib
    if kept is None:
        kept = max(DRIVER_KEEPS_AT_LEAST_MIB, -int(-total * DRIVER_KEEPS_RATIO // 1))
    return GpuMemory(total, total - kept, row.driver_source, measured=True)
