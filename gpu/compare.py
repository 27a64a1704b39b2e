"""What sharing, Spot and sleep each save: the same work in eight ways, in USD per month of GPU nodes alone.

Like is compared with like: all ways do the same work at the same hours, shared ways on whole nodes. A GPU of its own is
the cheapest single one that holds the work, of any family; where a pool shares nothing, it is the pool's own node, so
that not sharing saves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from types import MappingProxyType
from typing import assert_never

from gpu.bill import Consumer, cheapest_for, node_peak, room_on, why_node_hours
from gpu.pool import Pool
from gpu.prices import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH, CapacityType
from gpu.why import Why, given, over, plus, times


@dataclass(frozen=True, slots=True)
class Way:
    """A way to do the work. spot: where the pool is Spot; an on-demand pool stays so."""

    shared: bool
    spot: bool
    sleeps: bool


WRITTEN = Way(shared=True, spot=True, sleeps=True)
OWN_ALIKE = Way(shared=False, spot=True, sleeps=True)
OWN_ON_DEMAND_ALWAYS = Way(shared=False, spot=False, sleeps=False)
WORDS: Mapping[Way, str] = MappingProxyType(
    {
        OWN_ON_DEMAND_ALWAYS: "a GPU each, on-demand, always on",
        Way(shared=True, spot=False, sleeps=False): "sharing alone",
        Way(shared=False, spot=True, sleeps=False): "Spot alone, where the pool is Spot",
        Way(shared=False, spot=False, sleeps=True): "sleeping alone",
        OWN_ALIKE: "a GPU each, bought and asleep as written",
        WRITTEN: "the stack as written",
    }
)
"""The ways that are shown, and what they are called."""
MORE_WORDS: Mapping[Way, str] = MappingProxyType(
    {
        Way(shared=True, spot=True, sleeps=False): "sharing and Spot, always on",
        Way(shared=True, spot=False, sleeps=True): "sharing and sleep, on-demand",
    }
)
"""The other ways, which machines get too."""
WAYS = tuple(Way(*each) for each in product((False, True), repeat=3))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way comes to. nodes: at once, at most. why: how the sum comes about."""

    nodes: int
    usd_per_month: float
    why: Why


@dataclass(frozen=True, slots=True)
class Sides:
    """Two sums that are compared: of shared nodes, and of a GPU each."""

    shared: Why
    own: Why


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All ways; and the uses at which the stack as written is dearer than a GPU each, bought and asleep alike.

    dearer: ranges of hours a day, for all that sleeps, as far as tenths tell them apart. pays_from: by name of a pool
    that shares, the slots that must be taken at once so that sharing is not dearer, by these or more; None where it is
    dearer with all of them.
    """

    ways: Mapping[Way, Cost]
    dearer: tuple[tuple[float, float], ...]
    pays_from: Mapping[str, int | None]
    why_pays_from: Mapping[str, Sides]
    """By pool, USD per hour at so many slots; with all of them where sharing never pays."""

    work: tuple[Consumer, ...]

    def sides(self, hours_per_day: float) -> Sides | None:
        """USD per month where all that sleeps is awake so many hours a day; None where a price is not known."""
        hours = hours_per_day * HOURS_PER_MONTH / HOURS_PER_DAY
        written, own = _both(self.work, hours)
        return Sides(written.why, own.why) if written and own else None

    def saving(self, way: Way, against: Way = OWN_ON_DEMAND_ALWAYS) -> float:
        """Fraction that a way saves; negative where it is dearer, 0 where there is nothing to save."""
        base = self.ways[against].usd_per_month
        return 1 - self.ways[way].usd_per_month / base if base else 0.0


def compare(consumers: Sequence[Consumer]) -> Comparison | None:
    """The comparison; None where nothing holds a slot, or a price is missing and a sum would mislead."""
    # What nobody starts is no work; what sleeps all day would be up in a way without sleep. Nodes that are paid anyway
    # are so in every way alike.
    work = [
        consumer
        for consumer in consumers
        if consumer.slots > 0 and (consumer.sleeps or consumer.hours > 0) and not consumer.pool.always_paid
    ]
    if not work:
        return None
    found = {way: _cost(work, way) for way in WAYS}
    ways = {way: cost for way, cost in found.items() if cost is not None}
    if len(ways) < len(found):
        return None
    by_pool = _by_pool(work)
    # Of claims it depends on which they are, and not on how many: the ways above say whether they pay.
    shares = [pool for pool in by_pool if pool.profile.shares and not pool.claims]
    found_slots = {pool.name: _pays_from(pool, by_pool[pool]) for pool in shares}
    return Comparison(
        ways=ways,
        dearer=_dearer(work),
        pays_from={name: slots for name, (slots, _) in found_slots.items()},
        why_pays_from={name: sides for name, (_, sides) in found_slots.items() if sides},
        work=tuple(work),
    )


def _by_pool(consumers: Iterable[Consumer]) -> dict[Pool, list[Consumer]]:
    found: dict[Pool, list[Consumer]] = {}
    for consumer in consumers:
        found.setdefault(consumer.pool, []).append(consumer)
    return found


def _bought(pool: Pool, way: Way) -> CapacityType:
    return pool.capacity_type if way.spot else "on-demand"


def _as_done(consumer: Consumer, way: Way) -> Consumer | None:
    """Hours in this way: without sleep all of them, and nobody needs slots that are kept warm."""
    if way.sleeps:
        return consumer
    match consumer.kind:
        case "warm slots" | "static nodes":
            return None
        case "model" | "server" | "Deployment" | "KnativeService" | "Job" | "CronJob" | "example":
            return (
                replace(consumer, hours=float(HOURS_PER_MONTH), hours_from="always on") if consumer.sleeps else consumer
            )
        case _:
            assert_never(consumer.kind)


def _cost(work: Sequence[Consumer], way: Way) -> Cost | None:
    done = [found for consumer in work if (found := _as_done(consumer, way)) is not None]
    costs = [_pool_cost(pool, own, way) for pool, own in _by_pool(done).items()]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    return _as_cost(sum(cost.nodes for cost in known), plus(*(cost.why for cost in known)))


def _as_cost(nodes: int, why: Why) -> Cost | None:
    return None if why.value is None else Cost(nodes, why.value, why)


def _pool_cost(pool: Pool, work: Sequence[Consumer], way: Way) -> Cost | None:
    bought = _bought(pool, way)
    if way.shared or not pool.profile.shares:
        node = cheapest_for(pool, bought, work)
        if node is None:
            return None
        # Without the pool's limit: it would count less work on shared nodes than on GPUs of their own.
        room = room_on(node)
        why = times(why_node_hours(work, room), pool.prices.why_node(node.instance_type, bought))
        return _as_cost(node_peak(work, room), why)
    nodes = sum(consumer.slots * max(1, len(consumer.needs)) for consumer in work if consumer.hours > 0)
    return _as_cost(nodes, plus(*(times(each.why_own(bought), each.why_paid_hours) for each in work)))


def _dearer(work: Sequence[Consumer]) -> tuple[tuple[float, float], ...]:
    """Ranges of hours a day. Both costs are straight lines between the hours of what does not sleep."""
    if not any(consumer.sleeps for consumer in work):
        return ()
    fixed = {consumer.paid_hours / DAYS_PER_MONTH for consumer in work if not consumer.sleeps}
    edges = sorted({0.0, float(HOURS_PER_DAY), *(hours for hours in fixed if hours < HOURS_PER_DAY)})
    more = {edge: _more(work, edge * DAYS_PER_MONTH) for edge in edges}
    ranges: list[tuple[float, float]] = []
    for start, end in pairwise(edges):
        here, there = more[start], more[end]
        if max(here, there) <= _CENT:
            continue
        crossing = start + (end - start) * here / (here - there) if here != there else start
        begin, stop = (start if here > _CENT else crossing), (end if there > _CENT else crossing)
        if ranges and _apart(ranges[-1][1], begin) <= 0:
            ranges[-1] = (ranges[-1][0], stop)
        else:
            ranges.append((begin, stop))
    return tuple((start, end) for start, end in ranges if _apart(start, end) > 0)


def _apart(start: float, end: float) -> float:
    """Hours a day between two uses, in tenths, as they are shown."""
    return round(end, 1) - round(start, 1)


#: Differences of sums of floats below this are none.
_CENT = 0.005


def _more(work: Sequence[Consumer], hours: float) -> float:
    """How much dearer the stack as written is than a GPU each, where all that sleeps is awake so many hours a month."""
    written, own = _both(work, hours)
    return written.usd_per_month - own.usd_per_month if written and own else 0.0


def _both(work: Sequence[Consumer], hours: float) -> tuple[Cost | None, Cost | None]:
    """The stack as written, and a GPU each, where all that sleeps is awake so many hours a month."""
    used = [replace(consumer, hours=hours, hours_from="compared") if consumer.sleeps else consumer for consumer in work]
    return _cost(used, WRITTEN), _cost(used, OWN_ALIKE)


def _pays_from(pool: Pool, work: Sequence[Consumer]) -> tuple[int | None, Sides | None]:
    """The worst case: those are awake whose own GPUs are cheapest."""
    node = pool.price
    each = [over(consumer.why_own(pool.capacity_type), given("slots of it", consumer.slots)) for consumer in work]
    slots_of = [(why, consumer.slots) for why, consumer in zip(each, work, strict=True) if why.value is not None]
    own = [why for why, slots in sorted(slots_of, key=lambda found: found[0].value or 0.0) for _ in range(slots)]
    if node is None or not own:
        return None, None
    usd = pool.prices.why_node(node.instance_type, pool.capacity_type)
    found, alone = None, 0.0
    for slots, why in enumerate(own, start=1):
        alone += why.value or 0.0
        shared = -(-slots // node.slots) * (usd.value or 0.0)
        found = None if shared > alone + 1e-9 else found or slots
    taken = found or len(own)
    nodes = given(f"nodes for {taken} slots, {node.slots} to a node", -(-taken // node.slots))
    return found, Sides(times(nodes, usd), plus(*own[:taken]))
