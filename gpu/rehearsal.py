"""What two rooms agree on for a rehearsal: `adopt.played` says what of somebody's is played, `twin.theirs` plays it.

Plain data; objects are as Kubernetes writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PlayedWork:
    """Pods that are alike. spec: of one, as far as it decides where it may run, without images.

    moves: whether they would take slots of the stack. runs: whether they are played where they run now, before the
    stack comes; else only copies of them are, on slots.
    """

    name: str
    namespace: str
    pods: int
    spec: Mapping[str, Any]
    moves: bool
    runs: bool = True


@dataclass(frozen=True, kw_only=True)
class PlayedNode:
    """A node with GPUs of a node group, which no Karpenter buys and none ends.

    manifest: with its status. stays: whether it is paid for when the pods that move are gone from it.
    """

    manifest: Mapping[str, Any]
    stays: bool


@dataclass(frozen=True, kw_only=True)
class Played:
    """What is somebody's own. charts: values of device plugins, and whether each leaves nodes of the stack alone.

    left_out: what is not played, and why.
    """

    manifests: Sequence[Mapping[str, Any]]
    charts: Sequence[tuple[Mapping[str, Any], bool]]
    work: Sequence[PlayedWork]
    nodes: Sequence[PlayedNode] = ()
    left_out: Sequence[str] = ()

    @property
    def running(self) -> list[PlayedWork]:
        """What runs before the stack comes."""
        return [work for work in self.work if work.runs]
