"""GPU memory as the unit: pods claim so many MiB of a GPU by Kubernetes' dynamic resource allocation (DRA).

NVIDIA's DRA driver publishes each GPU with its memory as consumable capacity, and the scheduler lets claims in until it
is full. There are no slots and no device plugin: `slots_per_gpu` is the GPU that the largest claim may fill alone.
Alpha: NVIDIA's gate `ConsumableShares` and Karpenter's `DRANVIDIAGPU`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final

from gpu.contract import DEVICE_CLASS
from gpu.sharing.profile import Profile, Strategy

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing.ami import Ami

#: Value of Karpenter's annotation of the EC2NodeClass, and of the driver chart's `consumableShares`: the memory of a
#: GPU is what claims share. Both must say the same; neither can read the other.
CONSUMABLE: Final = "memory"
#: Capacity of the driver's devices, in bytes as a Kubernetes quantity: ResourceSlices -> claims.
DEVICE_MEMORY: Final = "memory"
#: Kubernetes has consumable capacity of devices, and policies that change objects, without a gate of one's own from
#: here (`DRAConsumableCapacity`, `MutatingAdmissionPolicy`); EKS lets nobody set gates.
FIRST_KUBERNETES: Final = "1.36"


@dataclass(frozen=True, slots=True)
class MemoryClaims(Profile):
    """Pods claim MiB of a GPU; nothing enforces what they claimed, and faults are not isolated."""

    strategy: ClassVar[Strategy] = "memory"
    title: ClassVar[str] = "memory claims"
    isolated: ClassVar[bool] = False
    claims: ClassVar[bool] = True

    @property
    def words(self) -> str:
        """In a few words."""
        return "memory claims (alpha)"

    def slots_per_gpu(self, gpu: Gpu) -> int:
        """One: what a claim may fill alone."""
        return 1

    def resource_name(self, ami: Ami) -> str:
        """The DeviceClass that claims name; pods request no extended resource."""
        return DEVICE_CLASS

    def slot_memory_mib(self, gpu: Gpu) -> int:
        """The most that the claim of one pod can promise, in MiB: all that applications can have."""
        return gpu.usable_mib

    def slot_share(self, gpu: Gpu) -> Fraction:
        """All of it: claims are of memory, and whoever computes alone has the whole GPU."""
        return Fraction(1)


def template_name(claim_mib: int) -> str:
    """Name of the ResourceClaimTemplate of a size, one of which is in each namespace that has pods of that size."""
    return f"gpu-{claim_mib}mi"
