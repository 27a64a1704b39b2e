"""What pods with slots ask of the CPU and memory of their nodes: whether that takes more nodes than their slots do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpu.bill import Consumer, NodesNeeded, node_of, nodes_needed, room_of, room_on
from gpu.estimate import SlotPrice
from gpu.pool import Pool


@dataclass(frozen=True, kw_only=True)
class HostFigures:
    """The pods of a pool, if all run at once, on the type on which that is cheapest."""

    pool: Pool
    holders: tuple[Consumer, ...]
    node: SlotPrice | None
    """None where no price is known: the node is then the one with the smallest slots."""

    @property
    def instance_type(self) -> str:
        """The type that the figures are of."""
        return self.node.instance_type if self.node else self.pool.smallest.name

    @property
    def slots(self) -> int:
        """Slots that they hold."""
        return sum(each.slots for each in self.holders)

    @property
    def needed(self) -> NodesNeeded:
        """Nodes that hold them."""
        return nodes_needed(self.holders, room_of(self.pool, self.node))

    @property
    def cheapest(self) -> SlotPrice | None:
        """The type that they would be on if slots alone counted; None where no price is known."""
        return self.pool.price

    @property
    def on_cheapest(self) -> NodesNeeded:
        """Nodes of that type that hold them."""
        return nodes_needed(self.holders, room_of(self.pool, self.cheapest))

    @property
    def waits(self) -> bool:
        """Whether the pool may have so many of none of its types."""
        pool = self.pool
        return self.needed.nodes > pool.most_nodes(self.instance_type) and all(
            nodes_needed(self.holders, room_on(each)).nodes > pool.most_nodes(each.instance_type)
            for each in pool.node_prices
        )


def host_figures(pools: Sequence[Pool], consumers: Sequence[Consumer]) -> Iterator[HostFigures]:
    """Of each pool that has pods with slots. Of claims: `plan.claims`."""
    for pool in pools:
        holders = tuple(
            each
            for each in consumers
            # Who holds slots of nodes that always stand adds nothing to them.
            if each.pool is pool and each.slots and each.kind != "static nodes"
        )
        if holders and not pool.claims:
            yield HostFigures(pool=pool, holders=holders, node=node_of(pool, holders))
