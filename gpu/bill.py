"""What GPU nodes cost in a month: who holds slots and for how long, whole nodes for these, and what they could cost.

Nodes are whole, and who is awake is so at the same hours: a pool's nodes begin together, and each leaves when the last
of its slots does. Prices are USD of the pool's region; Spot figures are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.estimate import SlotPrice, dedicated_gpu
from gpu.models import ModelMemory
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH, CapacityType, RegionPrices, ServicePrices, product, total

Part = Literal["floor", "always", "on demand", "traffic and logs"]
Kind = Literal["model", "server", "Deployment", "Job", "CronJob", "example", "warm slots"]

#: What a gp3 volume has at no extra charge (EBS user guide, "General Purpose SSD volumes").
_FREE_IOPS, _FREE_MIBPS = 3000, 125


@dataclass(frozen=True, slots=True)
class Spread:
    """A sum of money: the least that is likely, what is expected, and the most, in USD per month."""

    low: float
    expected: float
    high: float

    @classmethod
    def even(cls, usd: float) -> Spread:
        """A sum that is known."""
        return cls(usd, usd, usd)

    def __add__(self, other: Spread) -> Spread:
        return Spread(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __sub__(self, other: Spread) -> Spread:
        return Spread(self.low - other.low, self.expected - other.expected, self.high - other.high)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill; its sum is None where a price is not known."""

    part: Part
    name: str
    detail: str
    usd: Spread | None


def sum_of(lines: Iterable[Line]) -> Spread | None:
    """The sum; None where one is not known, since a sum would mislead."""
    every = [line.usd for line in lines]
    known = [usd for usd in every if usd is not None]
    return sum(known, Spread.even(0.0)) if len(known) == len(every) else None


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """Who holds slots of a pool, and for how many hours of a month.

    part: `always` for what is there whether anybody asks or not. sleeps: whether its hours follow use, so that without
    sleep they would be all. needs: GPU memory in MiB of each thing that would have a GPU of its own if nothing were
    shared; empty where nobody said it, which counts as a whole slot.
    """

    name: str
    kind: Kind
    pool: Pool
    slots: int
    hours: float
    part: Literal["always", "on demand"]
    sleeps: bool = False
    needs: tuple[int, ...] = ()

    @property
    def slot_hours(self) -> float:
        """Slots times hours of a month."""
        return self.slots * self.hours

    def own_usd_per_hour(self, capacity_type: CapacityType) -> float | None:
        """What GPUs of its own cost while it holds its slots; None where no single GPU with a known price holds it."""
        needs = self.needs or (self.pool.slot_memory_mib,)
        prices = self.pool.prices
        found = [own_type(need, capacity_type, prices) for need in needs]
        each = [prices.node_usd_per_hour(own.name, capacity_type) if own else None for own in found]
        return product(self.slots, total(each))


@lru_cache(maxsize=4096)
def own_type(need_mib: int, capacity_type: CapacityType, prices: RegionPrices) -> InstanceType | None:
    """Cheapest single-GPU type that holds so many MiB alone."""
    return dedicated_gpu(ModelMemory(need_mib, 0, 0), capacity_type, prices)


def node_hours(consumers: Iterable[Consumer], slots_per_node: int, most_nodes: int | None = None) -> float:
    """Hours of whole nodes in a month. most_nodes: what the pool may have; who finds no slot waits."""
    holding = [consumer for consumer in consumers if consumer.slot_hours > 0]
    hours, before = 0.0, 0.0
    for edge in sorted({consumer.hours for consumer in holding}):
        held = sum(consumer.slots for consumer in holding if consumer.hours >= edge)
        nodes = -(-held // slots_per_node)
        hours += (nodes if most_nodes is None else min(nodes, most_nodes)) * (edge - before)
        before = edge
    return hours


def node_peak(consumers: Iterable[Consumer], slots_per_node: int) -> int:
    """Whole nodes for all of them at once."""
    return -(-sum(consumer.slots for consumer in consumers if consumer.hours > 0) // slots_per_node)


def most_nodes(pool: Pool, instance_type: str) -> int:
    """Nodes of a type that `maxGpus` allows: whole ones."""
    return pool.max_gpus // INSTANCE_TYPES[instance_type].gpu_count


def node_spread(pool: Pool, price: SlotPrice) -> Spread:
    """A node's price by the hour: Spot between the largest and the least discount seen.

    Where nobody saw one, at most the on-demand price, above which Spot never is.
    """
    usd = price.usd_per_hour(pool.capacity_type)
    if pool.capacity_type == "on-demand":
        return Spread.even(usd)
    discount = pool.prices.spot_discount(INSTANCE_TYPES[price.instance_type].family)
    least = price.on_demand_usd_per_hour * (1 - (discount.largest or discount.fraction))
    return Spread(least, usd, usd if discount.sampled else price.on_demand_usd_per_hour)


def standing_usd(pool: Pool, standing: Sequence[Consumer]) -> Spread | None:
    """A month of the nodes that always run; None where no price is known.

    Low: Spot at the largest discount seen. Expected: the cheapest node. High: the dearest type that the pool may buy.
    """
    if pool.price is None:
        return None
    hours, usd = _hours(pool, pool.price, standing), node_spread(pool, pool.price)
    high = max(_hours(pool, each, standing) * node_spread(pool, each).high for each in pool.node_prices)
    return Spread(hours * usd.low, hours * usd.expected, high)


def asked_usd(pool: Pool, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> Spread | None:
    """A month of the nodes that come on top of those that always run; None where no price is known.

    Low and expected: all are there at the same hours. High: at different hours, each slot on a node of its own,
    the dearest that the pool may buy.
    """
    if pool.price is None:
        return None
    hours, usd = more_hours(pool, pool.price, standing, asked), node_spread(pool, pool.price)
    high = max(_apart(pool, each, standing, asked) * node_spread(pool, each).high for each in pool.node_prices)
    return Spread(hours * usd.low, hours * usd.expected, high)


def more_hours(pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> float:
    """Hours of nodes of a type on top of those that always run, where all are there at the same hours."""
    return _hours(pool, node, [*standing, *asked]) - _hours(pool, node, standing)


def most_hours(pool: Pool, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> float:
    """The same where they are there at different hours, of the type for which that is most."""
    return max((_apart(pool, node, standing, asked) for node in pool.node_prices), default=0.0)


def _apart(pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> float:
    room = most_nodes(pool, node.instance_type) * HOURS_PER_MONTH - _hours(pool, node, standing)
    alone = sum(consumer.slot_hours for consumer in asked)
    return max(more_hours(pool, node, standing, asked), min(alone, room))


def _hours(pool: Pool, node: SlotPrice, consumers: Sequence[Consumer]) -> float:
    return node_hours(consumers, node.slots, most_nodes(pool, node.instance_type))


def ceiling_usd_per_hour(pool: Pool) -> float | None:
    """An hour of all GPUs that `maxGpus` allows, of the type that makes it dearest."""
    return max(
        (most_nodes(pool, each.instance_type) * node_spread(pool, each).high for each in pool.node_prices), default=None
    )


def volume_usd_per_hour(size_gib: int, iops: int, mib_per_s: int, services: ServicePrices) -> float | None:
    """A gp3 volume while its node is there."""
    month = total(
        [
            product(size_gib, services.gp3_per_gb_month),
            product(max(0, iops - _FREE_IOPS), services.gp3_per_iops_month),
            product(max(0, mib_per_s - _FREE_MIBPS), services.gp3_per_mibps_month),
        ]
    )
    return product(month, 1 / HOURS_PER_MONTH)
