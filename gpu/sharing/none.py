"""No sharing: every GPU is one slot."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from gpu.contract import GPU_RESOURCE
from gpu.sharing.profile import Profile, Strategy

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing.ami import Ami


@dataclass(frozen=True, slots=True)
class NoSharing(Profile):
    """Every GPU is one slot."""

    strategy: ClassVar[Strategy] = "none"
    title: ClassVar[str] = ""
    shares: ClassVar[bool] = False
    isolated: ClassVar[bool] = True

    @property
    def words(self) -> str:
        """In a few words."""
        return "one slot per GPU"

    def slots_per_gpu(self, gpu: Gpu) -> int:
        """One."""
        return 1

    def resource_name(self, ami: Ami) -> str:
        """The GPU's own."""
        return GPU_RESOURCE

    def slot_memory_mib(self, gpu: Gpu) -> int:
        """All that applications can have, in MiB."""
        return gpu.usable_mib

    def slot_share(self, gpu: Gpu) -> Fraction:
        """All of it."""
        return Fraction(1)
