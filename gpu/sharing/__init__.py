"""Sharing profiles: how the GPUs of a pool are cut into slots.

A slot is one schedulable share of a GPU. The profile is the single value from which everything else follows. A module a
strategy: `none`, `time_slicing`, `mps`, `mig`, `memory`. A module a format of others, written and read back:
`plugin_config` and `plugin_chart` (NVIDIA's device plugin), `bottlerocket` (user data), `al2023` (user data), `overlay`
(Karpenter).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gpu.sharing.ami import AMIS, Ami
from gpu.sharing.memory import MemoryClaims
from gpu.sharing.mig import Mig
from gpu.sharing.mps import MAX_MPS_REPLICAS, MPS_MEMORY, MPS_THREADS, Mps
from gpu.sharing.none import NoSharing
from gpu.sharing.overlay import overlay_capacities
from gpu.sharing.profile import MIN_REPLICAS, SharingError, Strategy
from gpu.sharing.time_slicing import MAX_TIME_SLICING_REPLICAS, TimeSlicing

__all__ = [
    "AMIS",
    "MAX_MPS_REPLICAS",
    "MAX_TIME_SLICING_REPLICAS",
    "MIN_REPLICAS",
    "MPS_MEMORY",
    "MPS_THREADS",
    "STRATEGIES",
    "Ami",
    "MemoryClaims",
    "Mig",
    "Mps",
    "NoSharing",
    "SharingError",
    "SharingProfile",
    "Strategy",
    "TimeSlicing",
    "overlay_capacities",
]

#: Closed: whoever matches on it ends with `assert_never`, so that a new member is an error wherever it must be known.
SharingProfile = NoSharing | TimeSlicing | Mps | Mig | MemoryClaims
STRATEGIES: Mapping[Strategy, type[SharingProfile]] = MappingProxyType(
    {kind.strategy: kind for kind in (NoSharing, TimeSlicing, Mps, Mig, MemoryClaims)}
)
