"""MIG, NVIDIA's Multi-Instance GPU: hardware cuts a GPU into isolated instances. Its profiles: `gpu.mig`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from gpu.contract import GPU_RESOURCE, NVIDIA_PREFIX
from gpu.mig import MigProfile
from gpu.sharing.ami import AMIS
from gpu.sharing.profile import Profile, SharingError, Strategy

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing.ami import Ami


@dataclass(frozen=True, slots=True)
class Mig(Profile):
    """Each GPU is cut by hardware into equal instances of one MIG profile: memory and faults are isolated."""

    strategy: ClassVar[Strategy] = "mig"
    title: ClassVar[str] = "MIG"
    isolated: ClassVar[bool] = True

    profile: str

    @property
    def words(self) -> str:
        """In a few words."""
        return f"mig {self.profile}"

    def slots_per_gpu(self, gpu: Gpu) -> int:
        """As many instances as fit. Raises SharingError when the GPU has no MIG, or no such MIG profile."""
        return self.cut(gpu).max_per_gpu

    def resource_name(self, ami: Ami) -> str:
        """The plugin's `mixed` strategy names the profile; `single` calls every instance like a whole GPU."""
        return mig_resource(self.profile) if AMIS[ami].mig_strategy == "mixed" else GPU_RESOURCE

    def slot_memory_mib(self, gpu: Gpu) -> int:
        """An instance's memory and no more, in MiB. Raises like `slots_per_gpu`."""
        return self.cut(gpu).memory_mib

    def slot_share(self, gpu: Gpu) -> Fraction:
        """The lesser of an instance's parts of processors and of memory. Raises like `slots_per_gpu`."""
        own = self.cut(gpu)
        of_all = max(profile.compute_slices for profile in gpu.mig_profiles.values())
        return min(Fraction(own.compute_slices, of_all), Fraction(own.memory_slices, own.total_memory_slices))

    def cut(self, gpu: Gpu) -> MigProfile:
        """The profile on a GPU. Raises SharingError when the GPU has none of that name."""
        if self.profile not in gpu.mig_profiles:
            raise SharingError(f"{gpu.product} has no MIG profile {self.profile}")
        return gpu.mig_profiles[self.profile]


def mig_resource(profile: str) -> str:
    """What the plugin's `mixed` strategy calls instances of a profile (internal/rm/rm.go)."""
    return f"{NVIDIA_PREFIX}mig-{profile.replace('+', '.')}"
