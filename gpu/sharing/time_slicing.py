"""Time-slicing: slots take turns on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from gpu.contract import GPU_RESOURCE, SHARED_RESOURCE
from gpu.sharing.profile import MIN_REPLICAS, Profile, SharingError, Strategy

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing.ami import Ami

#: The plugin has no limit. This one is ours: beyond it a slot of the largest GPU that AWS rents holds no CUDA context
#: any more, so a larger number can only be a mistake.
MAX_TIME_SLICING_REPLICAS = 256


@dataclass(frozen=True, slots=True)
class TimeSlicing(Profile):
    """GPU time is divided among `replicas` slots; memory and faults are not isolated."""

    strategy: ClassVar[Strategy] = "time-slicing"
    title: ClassVar[str] = "time-slicing"
    isolated: ClassVar[bool] = False

    replicas: int
    rename: bool = False

    def __post_init__(self) -> None:
        if not MIN_REPLICAS <= self.replicas <= MAX_TIME_SLICING_REPLICAS:
            raise SharingError(f"time-slicing replicas must be {MIN_REPLICAS} to {MAX_TIME_SLICING_REPLICAS}")

    @property
    def words(self) -> str:
        """In a few words."""
        return f"time-slicing, {self.replicas} replicas"

    def slots_per_gpu(self, gpu: Gpu) -> int:
        """The replicas."""
        return self.replicas

    def resource_name(self, ami: Ami) -> str:
        """The GPU's own, or the plugin's name for shared ones."""
        return SHARED_RESOURCE if self.rename else GPU_RESOURCE

    def slot_memory_mib(self, gpu: Gpu) -> int:
        """An equal share, in MiB: a promise that all workloads must keep, for nothing enforces it."""
        return gpu.usable_mib // self.replicas

    def slot_share(self, gpu: Gpu) -> Fraction:
        """An equal part: of time, and of memory by promise."""
        return Fraction(1, self.replicas)
