"""Catalogue of the NVIDIA instance types that AWS rents.

The rows are generated (`gpu._catalog_data`, see docs/catalog.md); what EC2 does not tell of a GPU, such as its compute
capability and MIG profiles, stands in `gpu.gpus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from gpu._catalog_data import GENERATED_ON, ROWS
from gpu.gpus import GPUS
from gpu.memory import GpuMemory, gpu_memory
from gpu.mig import MigProfile, mig_profiles

__all__ = [
    "CAPACITY_BLOCK_FAMILIES",
    "FAMILIES",
    "GENERATED_ON",
    "INSTANCE_TYPES",
    "REGIONS",
    "Gpu",
    "InstanceType",
    "types_in",
]


@dataclass(frozen=True)
class Gpu:
    """A GPU model as EC2 offers it. ``name`` is Karpenter's `instance-gpu-name`; memory is EC2's figure in MiB."""

    name: str
    product: str
    memory_mib: int
    compute_capability: float

    @cached_property
    def memory(self) -> GpuMemory:
        """What the driver shows and applications can have, in MiB, and where the figures are from."""
        return gpu_memory(self.name, self.memory_mib)

    @property
    def usable_mib(self) -> int:
        """Memory that all applications on the GPU together can have, in MiB."""
        return self.memory.usable_mib

    @cached_property
    def mig_profiles(self) -> Mapping[str, MigProfile]:
        """MIG profiles by name; empty when the GPU has no MIG."""
        return mig_profiles(self.name, self.memory_mib)


@dataclass(frozen=True)
class InstanceType:
    """An EC2 instance type with at least one whole NVIDIA GPU. Memory in MiB. What it costs: `gpu.prices`."""

    name: str
    family: str
    generation: int
    arch: str
    gpu: Gpu
    gpu_count: int
    vcpus: int
    memory_mib: int
    local_nvme_gb: int
    zone_ids: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> str:
        """The part of the name behind the family, such as `xlarge`."""
        return self.name.partition(".")[2]


def _load() -> Mapping[str, InstanceType]:
    gpus: dict[tuple[str, int], Gpu] = {}
    types = {}
    for row in ROWS:
        key = (row.gpu, row.gpu_memory_mib)
        if key not in GPUS:
            raise LookupError(f"gpu/gpus.py has no row for {row.gpu} with {row.gpu_memory_mib} MiB ({row.name})")
        if key not in gpus:
            known = GPUS[key]
            gpus[key] = Gpu(row.gpu, known.product, row.gpu_memory_mib, known.compute_capability)
        types[row.name] = InstanceType(
            name=row.name,
            family=row.family,
            generation=row.generation,
            arch=row.arch,
            gpu=gpus[key],
            gpu_count=row.gpu_count,
            vcpus=row.vcpus,
            memory_mib=row.memory_mib,
            local_nvme_gb=row.local_nvme_gb,
            zone_ids=row.zone_ids,
        )
    return MappingProxyType(types)


def _by_family(types: Iterable[InstanceType]) -> Mapping[str, tuple[InstanceType, ...]]:
    families: dict[str, tuple[InstanceType, ...]] = {}
    for instance_type in types:
        families[instance_type.family] = (*families.get(instance_type.family, ()), instance_type)
    return MappingProxyType(families)


#: Every instance type by name.
INSTANCE_TYPES = _load()
#: Instance types of each family, in the catalogue's order: smallest first.
FAMILIES = _by_family(INSTANCE_TYPES.values())
#: Families that the pinned AMIs cannot drive, with the reason.
UNSUPPORTED_FAMILIES: Mapping[str, str] = MappingProxyType(
    {row.family: why for row in ROWS if (why := GPUS[row.gpu, row.gpu_memory_mib].unsupported)}
)
#: Families with whole NVIDIA GPUs that the catalogue's source does not know, and the GPU: those that AWS withdraws, and
#: UltraServers (AWS, EC2 instance types: accelerated computing, and previous generations).
LEFT_OUT_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "g2": "K520",
        "g3": "M60",
        "g3s": "M60",
        "p2": "K80",
        "p3": "V100",
        "p6e-gb200": "GB200",
        "p6e-gb300": "GB300",
    }
)
#: Families of which AWS sells capacity blocks: types whose `SupportedUsageClasses` have `capacity-block` (EC2's
#: DescribeInstanceTypes).
CAPACITY_BLOCK_FAMILIES = frozenset({"p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300"})
#: Regions in which at least one of the types is offered.
REGIONS = frozenset(region for t in INSTANCE_TYPES.values() for region in t.zone_ids)


def types_in(families: Iterable[str] = (), names: Iterable[str] = ()) -> tuple[InstanceType, ...]:
    """Instance types of the families and with the names given, in the catalogue's order, each once.

    Raises ValueError for a family or name that is not in the catalogue.
    """
    families, names = _listed(families), _listed(names)
    if unknown := [
        *(each for each in families if each not in FAMILIES),
        *(n for n in names if n not in INSTANCE_TYPES),
    ]:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"no instance type or family with GPUs is called {', '.join(unknown)}; families are {known}")
    wanted = {t.name for family in families for t in FAMILIES[family]} | {INSTANCE_TYPES[name].name for name in names}
    return tuple(t for t in INSTANCE_TYPES.values() if t.name in wanted)


def _listed(given: Iterable[str]) -> list[str]:
    """One name alone is not a list of letters."""
    return [given] if isinstance(given, str) else list(given)
