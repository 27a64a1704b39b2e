"""Memory of each GPU: what NVIDIA's library shows, and what applications can have of it. MiB throughout.

EC2 states a rounded figure, and one that can lie on either side of what the driver shows: 22,888 MiB for an L4 that has
23,034, 144,384 for an H200 that has 143,360. Whatever is divided among slots must come from the driver's own figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: Share of a GPU that the driver keeps for itself, and the least that it does, where nobody has published a figure
#: (kai-scheduler/KAI-Scheduler#2212). PyTorch's messages show less: 22.03 GiB of an L4's 22.49 are 2 %.
DRIVER_KEEPS_RATIO = 0.03
DRIVER_KEEPS_AT_LEAST_MIB = 256
#: For GPUs whose figure nobody has published: the lower of two ratios of the driver's figure to EC2's in NVIDIA's
#: gpu-feature-discovery README, 15360 of 16384 MiB (T4) and 39538 of 40960 (A100). The driver's own part is in it.
UNMEASURED_RATIO = 15360 / 16384

#: The Karpenter AWS provider's release whose table of GPUs was read, scraped from instances of each type
#: (pkg/providers/drametadata/zz_generated_gpu_metadata.go). On GPUs with MIG it gives the largest instance.
KARPENTER_TABLE_VERSION = "1.15.0"
KARPENTER = f"Karpenter AWS provider v{KARPENTER_TABLE_VERSION}"
_T4_KEEPS_MIB = 450  # kai-scheduler/KAI-Scheduler#2212

#: GPU (Karpenter's `instance-gpu-name`, MiB as EC2 labels it) to what NVML shows, in MiB, and the source.
TOTALS: Mapping[tuple[str, int], tuple[int, str]] = MappingProxyType(
    {
        ("t4", 16384): (15360, KARPENTER),
        ("t4g", 16384): (15360, KARPENTER),  # g5g.metal shows 16384, its smaller sisters 15360
        ("a10g", 22888): (23028, KARPENTER),
        ("l4", 22888): (23034, KARPENTER),
        ("l40s", 45776): (46068, KARPENTER),
        ("v100", 32768): (32768, KARPENTER),
        ("a100", 40960): (40320, KARPENTER),
        ("a100", 81920): (81920, KARPENTER),
        ("h100", 81920): (81152, KARPENTER),
        ("h200", 144384): (143360, KARPENTER),
        ("b200", 183359): (182784, KARPENTER),
        ("b300", 275040): (274432, KARPENTER),
        ("rtx-pro-server-6000", 98304): (97280, "its largest MIG instance, bigstack-oss/cubecos#312"),
    }
)


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
    if (gpu_name, ec2_mib) not in TOTALS:
        usable = int(ec2_mib * UNMEASURED_RATIO)
        return GpuMemory(usable, usable, f"{UNMEASURED_RATIO:.2%} of EC2's figure: not measured", measured=False)
    total, source = TOTALS[gpu_name, ec2_mib]
    kept = _T4_KEEPS_MIB if gpu_name == "t4" else max(DRIVER_KEEPS_AT_LEAST_MIB, -int(-total * DRIVER_KEEPS_RATIO // 1))
    return GpuMemory(total, total - kept, source, measured=True)
