"""The one table of GPUs: what EC2 does not tell of those that AWS rents. A new GPU is a row of `GPUS`.

Memory has three figures: EC2's, which is rounded and identifies a GPU together with its name (A100 and A100 80GB share
one); the driver's, from which slots are cut (`gpu.memory`); and a MIG instance's (`gpu.mig`). Sources:

* compute capability: developer.nvidia.com/cuda-gpus;
* driver's memory: each row says it;
* MIG layouts: NVIDIA MIG User Guide, "Supported MIG Profiles" (docs.nvidia.com/datacenter/tesla/mig-user-guide), read
  in 2026-10; the same table stands in the EKS user guide, "device-management-nvidia-mig". Profiles that not every
  instance of a GPU can have at the same time ("+me", "+gfx") are left out: a pool cuts all its GPUs alike;
* memory of instances: `nvidia-smi mig -lgip`, the lowest where drivers differ. A100 and H100 in NVIDIA's user guide and
  many listings, H200 in NVIDIA/mig-parted#120, B200 in NVIDIA/gpu-operator#1351 (earlier drivers showed 22.00 for its
  1g), RTX PRO 6000 in bigstack-oss/cubecos#312; all of B200 and B300 in Karpenter's table;
* Bottlerocket's keys: its documentation of `mig.profile` names these GPUs and no others that AWS rents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from versions import KARPENTER_VERSION

#: Its table of GPUs, scraped from instances of each type (pkg/providers/drametadata/zz_generated_gpu_metadata.go). On
#: GPUs with MIG it gives the largest instance.
KARPENTER = f"Karpenter AWS provider v{KARPENTER_VERSION}"


@dataclass(frozen=True, slots=True)
class MigShape:
    """Equal instances of one MIG profile. gib: memory of an instance in GiB; None where nobody has published it."""

    name: str
    memory_slices: int
    max_per_gpu: int
    gib: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """One GPU. Memory in MiB."""

    name: str
    """Karpenter's `instance-gpu-name`."""
    ec2_mib: int
    """Memory as EC2 labels it."""
    product: str
    compute_capability: float
    driver_mib: int | None = None
    """What NVML shows; None where nobody has published it."""
    driver_source: str = KARPENTER
    """Where that figure is from, for people."""
    driver_keeps_mib: int | None = None
    """What the driver keeps for itself of it; None where nobody has published it."""
    memory_slices: int = 0
    """Memory slices of a GPU with MIG."""
    mig: tuple[MigShape, ...] = ()
    """How it can be cut, smallest first."""
    bottlerocket_key: str | None = None
    """Key of Bottlerocket's setting `mig.profile`; None where it cannot cut this GPU."""
    unsupported: str | None = None
    """Why the pinned AMIs cannot drive it."""


def _seven_way(one: int, double: int, quad: int, full: int, *gib: float | None) -> tuple[MigShape, ...]:
    """The A100 layout that all later data-centre GPUs share: 7 compute slices, 8 memory slices; sizes in GB.

    gib: memory of an instance of each profile, in the order of the profiles.
    """
    shapes = (
        (f"1g.{one}gb", 1, 7),
        (f"1g.{double}gb", 2, 4),
        (f"2g.{double}gb", 2, 3),
        (f"3g.{quad}gb", 4, 2),
        (f"4g.{quad}gb", 4, 1),
        (f"7g.{full}gb", 8, 1),
    )
    return tuple(MigShape(*shape, memory) for shape, memory in zip(shapes, gib, strict=True))


_ROWS = (
    GpuRow(
        name="t4",
        ec2_mib=16384,
        product="NVIDIA T4",
        compute_capability=7.5,
        driver_mib=15360,
        driver_keeps_mib=450,  # kai-scheduler/KAI-Scheduler#2212
    ),
    # g5g.metal shows 16384, its smaller sisters 15360.
    GpuRow(name="t4g", ec2_mib=16384, product="NVIDIA T4G", compute_capability=7.5, driver_mib=15360),
    GpuRow(name="v100", ec2_mib=32768, product="NVIDIA V100", compute_capability=7.0, driver_mib=32768),
    GpuRow(name="a10g", ec2_mib=22888, product="NVIDIA A10G", compute_capability=8.6, driver_mib=23028),
    GpuRow(name="l4", ec2_mib=22888, product="NVIDIA L4", compute_capability=8.9, driver_mib=23034),
    GpuRow(name="l40s", ec2_mib=45776, product="NVIDIA L40S", compute_capability=8.9, driver_mib=46068),
    GpuRow(
        name="a100",
        ec2_mib=40960,
        product="NVIDIA A100",
        compute_capability=8.0,
        driver_mib=40320,
        memory_slices=8,
        mig=_seven_way(5, 10, 20, 40, 4.75, 9.62, 9.62, 19.50, 19.50, 39.25),
        bottlerocket_key="a100.40gb",
    ),
    GpuRow(
        name="a100",
        ec2_mib=81920,
        product="NVIDIA A100",
        compute_capability=8.0,
        driver_mib=81920,
        memory_slices=8,
        mig=_seven_way(10, 20, 40, 80, 9.50, 19.50, 19.50, 39.25, 39.25, 79.00),
        bottlerocket_key="a100.80gb",
    ),
    GpuRow(
        name="h100",
        ec2_mib=81920,
        product="NVIDIA H100",
        compute_capability=9.0,
        driver_mib=81152,
        memory_slices=8,
        mig=_seven_way(10, 20, 40, 80, 9.75, 19.62, 19.62, 39.50, 39.50, 79.25),
        bottlerocket_key="h100.80gb",
    ),
    GpuRow(
        name="h200",
        ec2_mib=144384,
        product="NVIDIA H200",
        compute_capability=9.0,
        driver_mib=143360,
        memory_slices=8,
        mig=_seven_way(18, 35, 71, 141, 16.00, 32.25, 32.25, 69.50, 69.50, 140.00),
        bottlerocket_key="h200.141gb",
    ),
    GpuRow(
        name="b200",
        ec2_mib=183359,
        product="NVIDIA B200",
        compute_capability=10.0,
        driver_mib=182784,
        memory_slices=8,
        mig=_seven_way(23, 45, 90, 180, 20.50, 44.25, 44.25, None, None, 178.50),
    ),
    GpuRow(
        name="b300",
        ec2_mib=275040,
        product="NVIDIA B300",
        compute_capability=10.3,
        driver_mib=274432,
        memory_slices=8,
        mig=_seven_way(34, 67, 135, 269, None, None, None, None, None, 268.00),
    ),
    GpuRow(
        name="rtx-pro-4500",
        ec2_mib=32768,
        product="NVIDIA RTX PRO 4500",
        compute_capability=12.0,
        unsupported="its GPU needs NVIDIA driver 595, and the EKS AMIs ship 580",
    ),
    GpuRow(
        name="rtx-pro-server-6000",
        ec2_mib=98304,
        product="NVIDIA RTX PRO 6000",
        compute_capability=12.0,
        driver_mib=97280,
        driver_source="its largest MIG instance, bigstack-oss/cubecos#312",
        memory_slices=4,
        mig=(MigShape("1g.24gb", 1, 4, 23.12), MigShape("2g.48gb", 2, 2, 47.38), MigShape("4g.96gb", 4, 1, 95.00)),
    ),
)

#: By name and EC2's MiB, which together say which GPU it is.
GPUS: Mapping[tuple[str, int], GpuRow] = MappingProxyType({(row.name, row.ec2_mib): row for row in _ROWS})
