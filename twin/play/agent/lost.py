"""Nodes whose GPU nobody can use: they are reported, replaced, and after some in a row left alone.

Neither Karpenter nor EKS's node monitoring agent does that: Karpenter waits for ever for a resource or a device that
was asked for, and the agent looks at the hardware, not at what the kubelet was told.
"""

from __future__ import annotations

from twin.kube.client import Kube, Object
from twin.kube.events import warn
from twin.kube.observe import Observed

#: Seconds after which a node that offers nothing is given up.
DEADLINE = 120.0
#: Nodes of a pool that are replaced one after another before the pool itself is taken to be wrong.
TRIES = 2

REASON = "GpuNeverOffered"


class Lost:
    """Counts nodes in a row that never offered anything, by pool."""

    def __init__(self, kube: Kube, observed: Observed) -> None:
        self._kube = kube
        self._observed = observed
        self._lost: dict[str, int] = {}

    def came(self, pool: str) -> None:
        """A node of the pool works."""
        self._lost.pop(pool, None)

    def give_up(self, node: Object, pool: str, lacks: str) -> None:
        """Say what is wrong with a node and have it replaced; after a few in a row, say it of its pool and stop."""
        name = node["metadata"]["name"]
        message = f"node {name} of pool {pool} {lacks}"
        warn(self._kube, node, REASON, message)
        self._lost[pool] = self._lost.get(pool, 0) + 1
        node_pool = self._observed.get("NodePool", pool)
        if self._lost[pool] > TRIES:
            if node_pool:
                count = self._lost[pool]
                warn(self._kube, node_pool, REASON, f"{message}; {count} nodes in a row: not replaced any more")
            return
        claim = next((c for c in self._observed.all("NodeClaim") if _claims(c, name)), None)
        if claim is not None:
            # Karpenter drains the node, returns the instance, and buys another for the pods that still wait.
            self._kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])


def _claims(claim: Object, node: str) -> bool:
    return (claim.get("status") or {}).get("nodeName") == node
