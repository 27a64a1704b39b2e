"""Nodes whose GPU nobody can use: they are reported, replaced, and after some in a row left alone.

Neither Karpenter nor EKS's node monitoring agent does that: Karpenter waits for ever for a resource or a device that
was asked for, and the agent looks at the hardware, not at what the kubelet was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpu.contract import NODE_POOL_LABEL
from twin.kube.client import Kube, Object
from twin.kube.events import warn
from twin.kube.observe import Observed

#: Seconds after which a node that offers nothing is given up.
DEADLINE = 120.0
#: Nodes of a pool that are replaced one after another before the pool itself is taken to be wrong.
TRIES = 2

REASON = "GpuNeverOffered"


@dataclass
class _Seen:
    """What is known of a node that offers nothing yet."""

    since: float
    """When it got ready (monotonic)."""
    running_since: float | None = None
    """When the pod ran that makes it offer something."""
    reported: bool = False


class Lost:
    """Watches nodes that offer nothing yet, and counts those in a row that never did, by pool."""

    def __init__(self, kube: Kube, observed: Observed) -> None:
        self._kube = kube
        self._observed = observed
        self._seen: dict[str, _Seen] = {}
        self._lost: dict[str, int] = {}

    def forget_all_but(self, waiting: Iterable[Object]) -> None:
        """Forget nodes that wait no longer, or are gone."""
        uids = {node["metadata"]["uid"] for node in waiting}
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in uids}

    def is_due(self, node: Object, now: float, *, running: bool, delay: float, deadline: float, lacks: str) -> bool:
        """Whether what a node waits for comes now: so many seconds after the pod that brings it was first seen running.

        lacks: why nothing ever will come, or empty; such a node is given up at the deadline. All in seconds, now by
        `time.monotonic()`.
        """
        seen = self._seen.setdefault(node["metadata"]["uid"], _Seen(since=now))
        if running and seen.running_since is None:
            seen.running_since = now
        if not lacks:
            # Only this machine's load decides when: no such node is given up.
            return seen.running_since is not None and now - seen.running_since >= delay
        if now - seen.since >= deadline and not seen.reported:
            seen.reported = True
            self._give_up(node, lacks)
        return False

    def came(self, pool: str) -> None:
        """A node of the pool works."""
        self._lost.pop(self._known_as(pool), None)

    def _give_up(self, node: Object, lacks: str) -> None:
        """Say what is wrong with a node and have it replaced; after a few in a row, say it of its pool and stop."""
        name, pool = node["metadata"]["name"], node_pool(node)
        message = f"node {name} of pool {pool} {lacks}"
        warn(self._kube, node, REASON, message)
        count = self._lost[self._known_as(pool)] = self._lost.get(self._known_as(pool), 0) + 1
        if count > TRIES:
            if bought := self._observed.get("NodePool", pool):
                warn(self._kube, bought, REASON, f"{message}; {count} nodes in a row: not replaced any more")
            return
        claim = next((c for c in self._observed.all("NodeClaim") if _claims(c, name)), None)
        if claim is not None:
            # Karpenter drains the node, returns the instance, and buys another for the pods that still wait.
            self._kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])

    def _known_as(self, pool: str) -> str:
        """A pool that was deleted and made anew under its name begins to count anew."""
        found = self._observed.get("NodePool", pool)
        return str(found["metadata"].get("uid", pool)) if found else pool


def _claims(claim: Object, node: str) -> bool:
    return (claim.get("status") or {}).get("nodeName") == node


def node_pool(node: Object) -> str:
    """Name of a node's pool."""
    return str((node["metadata"].get("labels") or {}).get(NODE_POOL_LABEL, ""))
