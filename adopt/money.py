"""What the GPU nodes of a cluster cost in a month today, and what they would cost with the proposal, in USD.

As they are now, for 730 hours: who runs for an hour a day pays less in all ways, and the parts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adopt.proposal import Proposal
from adopt.work import GpuNode
from gpu.compare import OWN_ON_DEMAND_ALWAYS, WORDS, WRITTEN, Way
from gpu.estimate import MONTH
from gpu.prices import RegionPrices
from gpu.why import Why, given, plus, times

#: Sharing, and no other lever: what was bought on demand is so again.
SHARING_ALONE = Way(shared=True, spot=False, sleeps=False)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way to do the work: nodes at once, and a month of them; None where a price is not known."""

    name: str
    nodes: int
    why: Why

    @property
    def usd_per_month(self) -> float | None:
        """The sum."""
        return self.why.value


def rows(nodes: list[GpuNode], proposal: Proposal, prices: RegionPrices) -> list[Row]:
    """Today first, then the ways that the proposal has; nothing where there is no work with GPUs."""
    found = []
    stays = _nodes(proposal.staying, prices)
    if nodes:
        found.append(Row(name="today", nodes=len(nodes), why=_nodes(nodes, prices)))
    comparison = proposal.comparison
    if comparison is None:
        return found
    ways = (SHARING_ALONE, WRITTEN) if nodes else (OWN_ON_DEMAND_ALWAYS, SHARING_ALONE, WRITTEN)
    for way in ways if proposal.replicas else ways[:-2]:
        cost = comparison.ways[way]
        name = f"{WORDS[way]}{', on-demand' if way == SHARING_ALONE else ''}"
        found.append(Row(name=name, nodes=cost.nodes + len(proposal.staying), why=plus(cost.why, stays)))
    return found


def _nodes(nodes: Iterable[GpuNode], prices: RegionPrices) -> Why:
    each = [times(prices.why_node(node.kind.name, node.bought), MONTH) for node in nodes]
    return plus(*each) if each else given("nodes that stay", 0, "USD")
