"""MPS, NVIDIA's Multi-Process Service: processes run on a GPU at the same time, each within its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from gpu.contract import GPU_RESOURCE, SHARED_RESOURCE
from gpu.sharing.profile import MIN_REPLICAS, Profile, SharingError, Strategy

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing.ami import Ami

#: Most clients of one MPS server from this compute capability on, and of older GPUs (k8s-device-plugin
#: cmd/mps-control-daemon/mps/device.go): with more replicas the daemon does not start.
MAX_MPS_REPLICAS = 48
MAX_MPS_REPLICAS_BEFORE = 16
MPS_48_CLIENTS_FROM = 7.5
#: Variables of an MPS client's own limits. They can only be lower than the daemon's: docs.nvidia.com/deploy/mps,
#: "this environment variable will only further constrain the limit set by the control daemon".
MPS_MEMORY = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
MPS_THREADS = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"


def max_mps_clients(gpu: Gpu) -> int:
    """Most processes that one MPS server takes on a GPU."""
    return MAX_MPS_REPLICAS if gpu.compute_capability >= MPS_48_CLIENTS_FROM else MAX_MPS_REPLICAS_BEFORE


@dataclass(frozen=True, slots=True)
class Mps(Profile):
    """`replicas` processes run at the same time, each with an equal, enforced share of memory and threads."""

    strategy: ClassVar[Strategy] = "mps"
    title: ClassVar[str] = "MPS"
    isolated: ClassVar[bool] = False
    needs_daemon: ClassVar[bool] = True

    replicas: int
    rename: bool = False

    def __post_init__(self) -> None:
        if not MIN_REPLICAS <= self.replicas <= MAX_MPS_REPLICAS:
            raise SharingError(f"MPS replicas must be {MIN_REPLICAS} to {MAX_MPS_REPLICAS}")

    @property
    def words(self) -> str:
        """In a few words. The threads' limit holds also for a client that is alone: unlike time it is not lent."""
        return f"mps, {self.replicas} replicas ≤ {self.active_thread_percentage} %"

    def slots_per_gpu(self, gpu: Gpu) -> int:
        """The replicas."""
        return self.replicas

    def resource_name(self, ami: Ami) -> str:
        """The GPU's own, or the plugin's name for shared ones."""
        return SHARED_RESOURCE if self.rename else GPU_RESOURCE

    def slot_memory_mib(self, gpu: Gpu) -> int:
        """An equal share of what applications can have, in MiB.

        The enforced limit is a little larger (`memory_limit_mib`), for it divides what the driver keeps as well.
        """
        return gpu.usable_mib // self.replicas

    def slot_share(self, gpu: Gpu) -> Fraction:
        """An equal part. Of threads MPS counts whole percents (`active_thread_percentage`), rounded down."""
        return Fraction(1, self.replicas)

    @property
    def node_labels(self) -> Mapping[str, str]:
        """The chart's control daemon runs on nodes with this label only."""
        return {"nvidia.com/mps.capable": "true"}

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
