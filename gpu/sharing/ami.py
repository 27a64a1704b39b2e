"""Operating systems of GPU nodes, and in what they differ: a new one is a member of `Ami` and a row of `AMIS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Ami = Literal["al2023", "bottlerocket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiTraits:
    """What others ask about an operating system."""

    plugin_by_chart: bool
    """Whether a chart brings NVIDIA's device plugin; else it is a service of the host."""
    mig_strategy: Literal["single", "mixed"]
    """How the device plugin names MIG instances: all like whole GPUs, or by their profile."""
    mig_by_gpu: bool
    """Whether there is a MIG setting for each GPU; else one script cuts all GPUs of a pool alike."""
    system_volume_gib: int
    """GiB of the system's own volume; 0 where images and weights are on it too. Where they have one apart, a snapshot
    can fill that."""
    pulls_to_own_disks: bool
    """Whether the parallel puller writes to the node's own disks, where the pool uses them."""


AMIS: Mapping[Ami, AmiTraits] = MappingProxyType(
    {
        "al2023": AmiTraits(
            plugin_by_chart=True, mig_strategy="mixed", mig_by_gpu=False, system_volume_gib=0, pulls_to_own_disks=True
        ),
        # MIG: bottlerocket-os/bottlerocket#4483. Volume: as large as the snapshot of the newest image at least, or EC2
        # starts nothing; Karpenter's own default (provider v1.15.0, pkg/providers/amifamily/bottlerocket.go).
        "bottlerocket": AmiTraits(
            plugin_by_chart=False, mig_strategy="single", mig_by_gpu=True, system_volume_gib=6, pulls_to_own_disks=False
        ),
    }
)
