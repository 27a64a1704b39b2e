"""Sharing profiles: how the GPUs of a pool are cut into slots.

A slot is one schedulable share of a GPU. The profile is the single value from which the device-plugin configuration,
the Karpenter NodeOverlays, the slot request of every workload and the memory a model may use are derived: see
`overlay_capacities`, `gpu.device_plugin` and `gpu.bottlerocket`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gpu.catalog import Gpu, InstanceType

Ami = Literal["al2023", "bottlerocket"]
Strategy = Literal["none", "time-slicing", "mps", "mig"]

GPU_RESOURCE = "nvidia.com/gpu"
SHARED_RESOURCE = "nvidia.com/gpu.shared"

#: The device plugin refuses fewer (NVIDIA/k8s-device-plugin v0.20.0 api/config/v1/replicas.go).
MIN_REPLICAS = 2
#: Most clients of one MPS server on compute capability 7.5 and above (cmd/mps-control-daemon/mps/device.go).
MAX_MPS_REPLICAS = 48
#: Variables of an MPS client's own limits. They can only be lower than the daemon's: docs.nvidia.com/deploy/mps,
#: "this environment variable will only further constrain the limit set by the control daemon".
MPS_MEMORY = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
MPS_THREADS = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
#: Time-slicing has no limit in the plugin. This one is ours: beyond it a slot of the largest GPU that AWS rents holds
#: no CUDA context any more, so a larger number can only be a mistake.
MAX_TIME_SLICING_REPLICAS = 256


class SharingError(ValueError):
    """A sharing profile that NVIDIA's software would refuse, ignore or hang on."""


@dataclass(frozen=True, slots=True)
class NoSharing:
    """Every GPU is one slot."""

    @property
    def strategy(self) -> Strategy:
        """Name of the strategy as it stands in stack files and labels."""
        return "none"


@dataclass(frozen=True, slots=True)
class TimeSlicing:
    """GPU time is divided among `replicas` slots; memory and faults are not isolated."""

    replicas: int
    rename: bool = False

    def __post_init__(self) -> None:
        if not MIN_REPLICAS <= self.replicas <= MAX_TIME_SLICING_REPLICAS:
            raise SharingError(f"time-slicing replicas must be {MIN_REPLICAS} to {MAX_TIME_SLICING_REPLICAS}")

    @property
    def strategy(self) -> Strategy:
        """Name of the strategy as it stands in stack files and labels."""
        return "time-slicing"


@dataclass(frozen=True, slots=True)
class Mps:
    """`replicas` processes run at the same time, each with an equal, enforced share of memory and threads."""

    replicas: int
    rename: bool = False

    def __post_init__(self) -> None:
        if not MIN_REPLICAS <= self.replicas <= MAX_MPS_REPLICAS:
            raise SharingError(f"MPS replicas must be {MIN_REPLICAS} to {MAX_MPS_REPLICAS}")

    @property
    def strategy(self) -> Strategy:
        """Name of the strategy as it stands in stack files and labels."""
        return "mps"

    @property
    def active_thread_percentage(self) -> int:
        """Most of the GPU's threads that a client may use, in percent, also when it is alone.

        The daemon's `set_default_active_thread_percentage` (k8s-device-plugin v0.20.0, mps/daemon.go).
        """
        return 100 // self.replicas

    def memory_limit_mib(self, gpu: Gpu) -> int:
        """Most memory that a client process may allocate, in MiB: the daemon's `set_default_device_pinned_mem_limit`.

        It divides NVML's total, so that all clients together may ask for more than the driver leaves them.
        """
        return gpu.memory.total_mib // self.replicas


@dataclass(frozen=True, slots=True)
class Mig:
    """Each GPU is cut by hardware into equal instances of one MIG profile: memory and faults are isolated."""

    profile: str

    @property
    def strategy(self) -> Strategy:
        """Name of the strategy as it stands in stack files and labels."""
        return "mig"


SharingProfile = NoSharing | TimeSlicing | Mps | Mig


def slots_per_gpu(profile: SharingProfile, gpu: Gpu) -> int:
    """Slots that one GPU gives.

    Raises SharingError when the GPU cannot be shared that way: no MIG, or no such MIG profile.
    """
    match profile:
        case NoSharing():
            return 1
        case TimeSlicing() | Mps():
            return profile.replicas
        case Mig():
            if profile.profile not in gpu.mig_profiles:
                raise SharingError(f"{gpu.product} has no MIG profile {profile.profile}")
            return gpu.mig_profiles[profile.profile].max_per_gpu


def resource_name(profile: SharingProfile, ami: Ami) -> str:
    """Extended resource that a workload requests to get a slot.

    MIG: the chart's plugin runs with the `mixed` strategy, which names the profile; Bottlerocket only has `single`,
    which calls every instance `nvidia.com/gpu` (bottlerocket-os/bottlerocket#4483).
    """
    match profile:
        case NoSharing():
            return GPU_RESOURCE
        case TimeSlicing() | Mps():
            return SHARED_RESOURCE if profile.rename else GPU_RESOURCE
        case Mig():
            return GPU_RESOURCE if ami == "bottlerocket" else f"nvidia.com/mig-{profile.profile}"


def slot_memory_mib(profile: SharingProfile, gpu: Gpu) -> int:
    """GPU memory that a slot can count on, in MiB, when all slots of the GPU are in use.

    With time-slicing it is a promise that all workloads must keep. MPS enforces a limit that is a little larger
    (`Mps.memory_limit_mib`), for it divides what the driver keeps as well. A MIG instance has its memory and no more.
    Raises SharingError like `slots_per_gpu`.
    """
    match profile:
        case NoSharing():
            return gpu.usable_mib
        case TimeSlicing() | Mps():
            return gpu.usable_mib // profile.replicas
        case Mig():
            slots_per_gpu(profile, gpu)  # raises when the GPU has no such profile
            return gpu.mig_profiles[profile.profile].memory_mib


def overlay_capacities(profile: SharingProfile, ami: Ami, types: Iterable[InstanceType]) -> dict[int, dict[str, int]]:
    """Capacity that a Karpenter NodeOverlay must state, by GPU count of the instance type.

    NodeOverlay capacity is an absolute value per instance type that replaces EC2's figure, so each GPU count needs an
    overlay of its own (sigs.k8s.io/karpenter pkg/cloudprovider/types.go ApplyCapacityOverlay). Where slots have
    another name, the physical `nvidia.com/gpu` is set to 0: the node will never offer it. Empty without sharing:
    EC2's own figure is right. Raises SharingError when a type cannot be shared that way, or when types with one GPU
    count would give different slots.
    """
    if isinstance(profile, NoSharing):
        return {}
    resource = resource_name(profile, ami)
    capacities: dict[int, dict[str, int]] = {}
    for instance_type in types:
        count = instance_type.gpu_count
        capacity = {resource: slots_per_gpu(profile, instance_type.gpu) * count}
        if resource != GPU_RESOURCE:
            capacity[GPU_RESOURCE] = 0
        if capacities.setdefault(count, capacity) != capacity:
            raise SharingError(f"{instance_type.name} gives other slots than the pool's other types with {count} GPUs")
    return dict(sorted(capacities.items()))
