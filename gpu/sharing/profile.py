"""What every way of sharing a GPU answers. A new one is a module beside this one and a member of `SharingProfile`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.mig import MigProfile
    from gpu.sharing.ami import Ami

Strategy = Literal["none", "time-slicing", "mps", "mig", "memory"]

#: The device plugin refuses fewer (NVIDIA/k8s-device-plugin v0.20.0 api/config/v1/replicas.go).
MIN_REPLICAS = 2


class SharingError(ValueError):
    """A sharing profile that NVIDIA's software would refuse, ignore or hang on."""


class Profile(ABC):
    """How the GPUs of a pool are cut into slots."""

    __slots__ = ()

    strategy: ClassVar[Strategy]
    """Name as it stands in stack files and labels."""
    title: ClassVar[str]
    """Name as people write it; empty where nothing is shared."""
    shares: ClassVar[bool] = True
    """Whether a GPU is cut: overlays say how many slots there are, and a slot is less than a GPU."""
    isolated: ClassVar[bool]
    """Whether hardware keeps memory and faults of those apart who share a node."""
    needs_daemon: ClassVar[bool] = False
    """Whether a slot is there only after a control daemon runs."""
    claims: ClassVar[bool] = False
    """Whether pods get their part by a claim of memory, and not as a slot that NVIDIA's device plugin offers."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The profile in a few words, such as `time-slicing, 3 replicas`."""

    @abstractmethod
    def slots_per_gpu(self, gpu: Gpu) -> int:
        """Slots that one GPU gives. Raises SharingError when the GPU cannot be shared that way."""

    @abstractmethod
    def resource_name(self, ami: Ami) -> str:
        """Extended resource that a workload requests to get a slot."""

    @abstractmethod
    def slot_memory_mib(self, gpu: Gpu) -> int:
        """GPU memory that a slot can count on, in MiB, when all slots are in use. Raises like `slots_per_gpu`."""

    @abstractmethod
    def slot_share(self, gpu: Gpu) -> Fraction:
        """Part of the GPU that a slot has for itself when all are in use: 1 is a whole one. Raises like the others."""

    def cut(self, gpu: Gpu) -> MigProfile | None:
        """Instances that hardware must cut the GPU into before the plugin starts; None where it is left whole."""
        return None

    @property
    def node_labels(self) -> Mapping[str, str]:
        """Labels that NVIDIA's pods look for on AL2023 nodes that share this way."""
        return {}
