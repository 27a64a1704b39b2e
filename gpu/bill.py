"""What GPU nodes cost in a month: who holds slots and for how long, whole nodes for these, and what they could cost.

Nodes are whole, and who is awake is so at the same hours: a pool's nodes begin together, and each leaves when the last
of its slots does. Prices are USD of the pool's region; Spot figures are estimates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, assert_never

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.claims import bought, bought_with_hosts
from gpu.estimate import BOUGHT, MONTH, SlotPrice, dedicated_gpu
from gpu.gp3 import BASE_IOPS, BASE_MIBPS
from gpu.host_share import HostNodes, HostShare, host_nodes, most_room
from gpu.models import ModelMemory
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH, SPOT_CASES, CapacityType, RegionPrices, ServicePrices
from gpu.why import Why, given, least, minus, most, over, plus, times

Part = Literal["floor", "always", "on demand", "traffic and logs"]
Kind = Literal[
    "model", "server", "Deployment", "KnativeService", "Job", "CronJob", "example", "warm slots", "static nodes"
]


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
class Reasons:
    """What a sum is made of: the least that is likely, what is expected, and the most."""

    low: Why
    expected: Why
    high: Why

    @classmethod
    def even(cls, why: Why) -> Reasons:
        """Of a sum that is known."""
        return cls(why, why, why)

    @property
    def usd(self) -> Spread | None:
        """The sum; None where something is not known."""
        low, expected, high = self.low.value, self.expected.value, self.high.value
        return None if low is None or expected is None or high is None else Spread(low, expected, high)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill; its sum is None where a price is not known.

    reasons: how the sum comes about; None where somebody else reckoned it. pool: whose nodes it is about; None for what
    is no pool's. once: whether it is paid in one month alone.
    """

    part: Part
    name: str
    detail: str
    usd: Spread | None
    reasons: Reasons | None = None
    pool: str | None = None
    once: bool = False

    @classmethod
    def reckoned(cls, part: Part, name: str, detail: str, reasons: Reasons, pool: str | None = None) -> Line:
        """A line with the sum that its reasons come to."""
        return cls(part, name, detail, reasons.usd, reasons, pool)


def sum_of(lines: Iterable[Line]) -> Spread | None:
    """The sum; None where one is not known, since a sum would mislead."""
    every = [line.usd for line in lines]
    known = [usd for usd in every if usd is not None]
    return sum(known, Spread.even(0.0)) if len(known) == len(every) else None


def known_of(lines: Iterable[Line]) -> list[Line]:
    """The lines whose price is known: their sum is the least that all cost."""
    return [line for line in lines if line.usd is not None]


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """Who holds slots of a pool, and for how many hours of a month.

    part: `always` for what is there whether anybody asks or not. sleeps: whether its hours follow use, so that without
    sleep they would be all. needs: GPU memory in MiB of each thing that would have a GPU of its own if nothing were
    shared; empty where nobody said it, which counts as a whole slot. hours_from: who says the hours. idle: hours of a
    month for which a node that it has left stays, empty, until Karpenter takes it away.
    claim_mib: where the pool's pods claim memory, what each of them claims; slots are then pods. per_pod: slots that
    each pod holds. host: what a pod asks of its node, where that is known; None for the part of its slots or its claim.
    """

    name: str
    kind: Kind
    pool: Pool
    slots: int
    hours: float
    part: Literal["always", "on demand"]
    sleeps: bool = False
    needs: tuple[int, ...] = ()
    hours_from: str = ""
    idle: float = 0.0
    claim_mib: int = 0
    per_pod: int = 1
    host: HostShare | None = None

    @property
    def slot_memory_mib(self) -> int:
        """GPU memory in MiB that each slot has: where the pool's pods claim memory, what one of them claims."""
        return self.claim_mib or self.pool.slot_memory_mib

    @property
    def pods(self) -> int:
        """Its pods at a time."""
        return self.slots // self.per_pod

    @property
    def asks(self) -> HostShare:
        """What a pod of it asks of its node."""
        if self.host:
            return self.host
        share = self.pool.claim_share(self.claim_mib) if self.claim_mib else self.pool.host_share
        return HostShare(share.cpu_millis * self.per_pod, share.memory_mib * self.per_pod)

    @property
    def paid_hours(self) -> float:
        """Hours of a month for which it has a node to be there."""
        return min(self.hours + self.idle, HOURS_PER_MONTH) if self.hours else 0.0

    @property
    def paid_hours_from(self) -> str:
        """Who says these hours."""
        return f"{self.hours_from}, and consolidateAfter of the pool" if self.idle and self.hours else self.hours_from

    @property
    def why_paid_hours(self) -> Why:
        """These hours, as a figure."""
        return given(f"hours of {self.name}", self.paid_hours, "h", self.paid_hours_from)

    @property
    def slot_hours(self) -> float:
        """Slots times hours of a month."""
        return self.slots * self.hours

    def own_usd_per_hour(self, capacity_type: CapacityType) -> float | None:
        """What GPUs of its own cost while it holds its slots; None where no single GPU with a known price holds it."""
        return self.why_own(capacity_type).value

    def why_own(self, capacity_type: CapacityType) -> Why:
        """The same, with what it is made of. Where nothing is shared it is the pool's own node.

        Of a capacity block nothing is bought by the hour, neither its nodes nor what would stand in their place.
        """
        if self.pool.block:
            return self.pool.why_block_hour
        if not self.pool.profile.shares:
            return times(given(f"slots of {self.name}", self.slots), self.pool.why_slot(capacity_type))
        needs, prices = self.needs or (self.slot_memory_mib,), self.pool.prices
        found = [(need, own_type(need, capacity_type, prices)) for need in needs]
        each = [
            prices.why_node(own.name, capacity_type) if own else given(f"a single GPU of {need} MiB", None, "USD/h")
            for need, own in found
        ]
        return times(given(f"slots of {self.name}", self.slots), plus(*each))


@lru_cache(maxsize=4096)
def own_type(need_mib: int, capacity_type: CapacityType, prices: RegionPrices) -> InstanceType | None:
    """Cheapest single-GPU type that holds so many MiB alone."""
    return dedicated_gpu(ModelMemory(need_mib, 0, 0), capacity_type, prices)


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """What pods have of a node: slots, or MiB of its GPU where they claim memory; and of the host, where it counts."""

    slots: int
    gpu_mib: int = 0
    host: HostShare | None = None


def room_on(node: SlotPrice) -> NodeRoom:
    """What pods have of a node of a type."""
    return NodeRoom(node.slots, gpu_mib_of(node), most_room(INSTANCE_TYPES[node.instance_type]))


def room_of(pool: Pool, node: SlotPrice | None) -> NodeRoom:
    """The same; where no price says which type is bought, of that which decides what fits."""
    if node:
        return room_on(node)
    kind = pool.smallest
    return NodeRoom(pool.slots[kind.name] * kind.gpu_count, kind.gpu.memory.total_mib, most_room(kind))


def why_node_hours(consumers: Iterable[Consumer], room: NodeRoom, most_nodes: int | None = None) -> Why:
    """Hours of whole nodes in a month. most_nodes: what the pool may have; who finds no slot waits."""
    holding = [consumer for consumer in consumers if consumer.slot_hours > 0]
    steps, before = [], 0.0
    for edge in sorted({consumer.paid_hours for consumer in holding}):
        here = [consumer for consumer in holding if consumer.paid_hours >= edge]
        held, needed = sum(consumer.slots for consumer in here), nodes_needed(here, room)
        few = needed.nodes if most_nodes is None else min(needed.nodes, most_nodes)
        slots = f"{held} {'claim' if largest_claim(here) else 'slot'}{'' if held == 1 else 's'}"
        by = f", by their {needed.scarce}" if needed.scarce else ""
        to_a_node = f"{room.gpu_mib} MiB" if largest_claim(here) else f"{room.slots}"
        within = "" if few == needed.nodes else ", within maxGpus"
        words = f"nodes for {slots}{by or f', {to_a_node} to a node'}{within}"
        sayers = [each.paid_hours_from for each in holding if each.paid_hours == edge]
        said = "; ".join(dict.fromkeys(filter(None, sayers)))
        hours = given(f"hours in which {slots} {'is' if held == 1 else 'are'} held", edge - before, "h", said)
        steps.append(times(given(words, few), hours))
        before = edge
    return plus(*steps)


def node_peak(consumers: Iterable[Consumer], room: NodeRoom) -> int:
    """Whole nodes for all of them at once."""
    return nodes_needed([consumer for consumer in consumers if consumer.hours > 0], room).nodes


@dataclass(frozen=True, slots=True)
class NodesNeeded:
    """Whole nodes that hold pods at once: by the slots or claims of GPUs, and by what they ask of the host."""

    by_gpu: int
    by_cpu: int = 0
    by_memory: int = 0

    @property
    def nodes(self) -> int:
        """By the scarcest."""
        return max(self.by_gpu, self.by_cpu, self.by_memory)

    @property
    def scarce(self) -> str:
        """What of the host makes it more nodes than the GPUs do; empty where nothing does."""
        if self.nodes == self.by_gpu:
            return ""
        if self.by_cpu == self.by_memory:
            return "CPU and memory"
        return "CPU" if self.by_cpu > self.by_memory else "memory"


def nodes_needed(consumers: Sequence[Consumer], room: NodeRoom) -> NodesNeeded:
    """Whole nodes that hold all of these, of one pool, at once.

    What asks for more than a node has, of its GPU or of the host, would have one of another type: it counts as one.
    """
    if largest_claim(consumers):
        return _for_claims(consumers, room)
    by_slots = -(-sum(consumer.slots for consumer in consumers) // room.slots)
    # Who takes no more than the part of its slots never makes it more.
    if room.host is None or not any(consumer.host for consumer in consumers):
        return NodesNeeded(by_slots)
    pods = Counter[HostShare]()
    for consumer in consumers:
        pods[consumer.asks] += consumer.pods
    found: HostNodes = host_nodes(pods, room.host)
    return NodesNeeded(by_slots, found.by_cpu, found.by_memory)


def _for_claims(consumers: Sequence[Consumer], room: NodeRoom) -> NodesNeeded:
    """Nodes that Karpenter buys, which tries them one by one: how many of it are the host's, by both together."""
    pods = [(min(each.claim_mib, room.gpu_mib), each.asks) for each in consumers for _ in range(each.slots)]
    by_gpu = len(bought(sorted((claim for claim, _ in pods), reverse=True), room.gpu_mib))
    if room.host is None or not any(consumer.host for consumer in consumers):
        return NodesNeeded(by_gpu)
    nodes = bought_with_hosts(pods, room.gpu_mib, room.host)
    return NodesNeeded(by_gpu, nodes, nodes)


def largest_claim(consumers: Iterable[Consumer]) -> int:
    """MiB of the largest claim among them; 0 where they hold slots."""
    return max((consumer.claim_mib for consumer in consumers), default=0)


def gpu_mib_of(node: SlotPrice) -> int:
    """Memory that claims may share of the GPU of a node that has one, in MiB."""
    return INSTANCE_TYPES[node.instance_type].gpu.memory.total_mib


def node_of(pool: Pool, standing: Sequence[Consumer], asked: Sequence[Consumer] = ()) -> SlotPrice | None:
    """The type that they are expected on: of what always runs, or where nothing does of what is asked for.

    One type for both: what asks for more than a node of it has, and comes now and then, counts as one of it.
    """
    claim_mib = largest_claim([*standing, *asked])
    return cheapest_for(pool, pool.capacity_type, standing or asked, claim_mib)


def cheapest_for(
    pool: Pool, capacity_type: CapacityType, consumers: Sequence[Consumer], claim_mib: int = 0
) -> SlotPrice | None:
    """The type on whose nodes these are cheapest at once; None where no price is known.

    That with the cheapest node, unless they ask for more of its CPU or memory than their slots' part: Karpenter puts
    pods that wait together on a larger type as long as one of the pool holds them (core v1.15.0,
    pkg/controllers/provisioning/scheduling/scheduler.go, addToInflightNode). Nodes that always stand are made without a
    look at pods. claim_mib: what its GPU must hold at least, where pods claim memory.
    """
    claim_mib = max(claim_mib, largest_claim(consumers))
    first = pool.cheapest(capacity_type, claim_mib)
    if first is None or pool.static is not None:
        return first
    if _holds_each(first, consumers) and not nodes_needed(consumers, room_on(first)).scarce:
        return first
    able = [each for each in pool.node_prices if gpu_mib_of(each) >= claim_mib]
    holding = [each for each in able if _holds_each(each, consumers)] or able

    def together(each: SlotPrice) -> tuple[bool, float, str]:
        nodes = nodes_needed(consumers, room_on(each)).nodes
        beyond = nodes > pool.most_nodes(each.instance_type)
        return beyond, nodes * each.usd_per_hour(capacity_type), each.instance_type

    return min(holding, key=together)


def _holds_each(node: SlotPrice, consumers: Iterable[Consumer]) -> bool:
    """Whether a node of this type has the CPU and the memory that each of the pods asks for."""
    room = most_room(INSTANCE_TYPES[node.instance_type])
    return all(room.holds(consumer.host) for consumer in consumers if consumer.host)


def node_reasons(pool: Pool, price: SlotPrice) -> Reasons:
    """A node's price by the hour: Spot between the least and the most that was seen (`RegionPrices.why_spot`).

    What is reserved costs the same whether it runs or not (`reserved_reasons`): here its hours are worth that much. Of
    a capacity block nobody knows what one hour of a node is worth.
    """
    if pool.block:
        return Reasons.even(pool.why_block_hour)
    match pool.capacity_type:
        case "on-demand":
            return Reasons.even(pool.prices.why_node(price.instance_type, "on-demand"))
        case "spot":
            low, usual, high = (pool.prices.why_spot(price.instance_type, case) for case in SPOT_CASES)
            # Where there is no Spot capacity it buys on-demand, which Spot never costs more than.
            return Reasons(
                low, usual, pool.prices.why_node(price.instance_type, "on-demand") if pool.fallback else high
            )
        case _:
            assert_never(pool.capacity_type)


def bought_words(pool: Pool) -> str:
    """How a pool gets its nodes, as tables and the bill say it."""
    if pool.purchase == "reserved":
        return "capacity block" if pool.block else "reserved"
    return f"{BOUGHT[pool.capacity_type]}, else on-demand" if pool.fallback else BOUGHT[pool.capacity_type]


def block_reasons(pool: Pool, upfront_fee_usd: float | None) -> Reasons:
    """A capacity block in the month in which it is paid: all of it, once, whether its nodes run or not.

    upfront_fee_usd: what AWS took for it, in USD; None where nobody said it.
    """
    return Reasons.even(given(f"upfront fee of the capacity block of {pool.name}", upfront_fee_usd, "USD"))


def reserved_reasons(pool: Pool) -> Reasons:
    """A month of a reservation for all GPUs of the pool: paid whether nodes run or not.

    Expected: of the cheapest type. High: of the types that make it dearest, where the pool names several.
    """
    if pool.price is None:
        return _UNPRICED
    nodes = given(f"{pool.price.instance_type} within maxGpus", pool.most_nodes(pool.price.instance_type))
    usual = times(nodes, node_reasons(pool, pool.price).expected, MONTH)
    return Reasons(usual, usual, _most_usd(pool))


_UNPRICED = Reasons.even(given("price of a node", None, "USD/h"))


def standing_reasons(pool: Pool, standing: Sequence[Consumer], asked: Sequence[Consumer] = ()) -> Reasons:
    """A month of the nodes that always run; None where no price is known. asked: who comes on top.

    Low: the least seen on Spot. Expected: the cheapest node. High: the dearest type that the pool may buy, as far as
    `maxGpus` leaves room for what is expected of who comes on top.
    """
    node = node_of(pool, standing, asked)
    if node is None:
        return _UNPRICED
    hours, usd = _hours(pool, node, standing), node_reasons(pool, node)
    high = most(*(times(_hours(pool, each, standing), node_reasons(pool, each).high) for each in pool.node_prices))
    room = minus(_most_usd(pool), times(why_more_hours(pool, node, standing, asked), usd.expected))
    return Reasons(times(hours, usd.low), times(hours, usd.expected), least(high, room))


def asked_reasons(pool: Pool, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> Reasons:
    """A month of the nodes that come on top of those that always run; None where no price is known.

    Low and expected: all are there at the same hours. High: at different hours, each slot on a node of its own,
    the dearest that the pool may buy, as far as those that always run leave money within `maxGpus`. Not as far as they
    leave nodes: they may be of another type, and one slot more that always runs would make the sum smaller.
    """
    node = node_of(pool, standing, asked)
    if node is None:
        return _UNPRICED
    hours, usd = why_more_hours(pool, node, standing, asked), node_reasons(pool, node)
    alone = _each_alone(asked)
    apart = [
        times(_apart(pool, each, standing, asked, alone, _node_hours(pool, each)), node_reasons(pool, each).high)
        for each in pool.node_prices
    ]
    room = minus(_most_usd(pool), standing_reasons(pool, standing, asked).high)
    return Reasons(times(hours, usd.low), times(hours, usd.expected), least(most(*apart), room))


def _most_usd(pool: Pool) -> Why:
    """A month of all GPUs: nothing that the pool does costs more."""
    return times(why_ceiling(pool), MONTH)


def why_more_hours(pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> Why:
    """Hours of nodes of a type on top of those that always run, where all are there at the same hours."""
    return minus(_hours(pool, node, [*standing, *asked]), _hours(pool, node, standing))


def why_most_standing_hours(
    pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer]
) -> Why:
    """Hours of the nodes that always run, of the type for which that is most.

    As far as `maxGpus` leaves room for what is expected of who comes on top, on nodes of the type of `node`.
    """
    room = minus(_all_hours(pool), why_more_hours(pool, node, standing, asked))
    return least(most(*(_hours(pool, each, standing) for each in pool.node_prices)), room)


def why_most_hours(pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer]) -> Why:
    """What `why_more_hours` is where they are there at different hours, of the type for which that is most.

    As far as those that always run leave room, which may be of another type.
    """
    alone = _each_alone(asked)
    apart = [
        _apart(pool, each, standing, asked, alone, minus(_node_hours(pool, each), _hours(pool, each, standing)))
        for each in pool.node_prices
    ]
    return least(most(*apart), minus(_all_hours(pool), why_most_standing_hours(pool, node, standing, asked)))


def _all_hours(pool: Pool) -> Why:
    """Hours of a month of as many nodes as `maxGpus` allows at all."""
    nodes = max(pool.most_nodes(each.instance_type) for each in pool.node_prices)
    return times(given(f"nodes within maxGpus of {pool.name}", nodes), MONTH)


def _each_alone(asked: Sequence[Consumer]) -> Why:
    """Hours of nodes of which each holds one slot: the same for every type, and long where many hold slots."""
    return plus(*(times(given(f"slots of {each.name}", each.slots), each.why_paid_hours) for each in asked))


def _node_hours(pool: Pool, node: SlotPrice) -> Why:
    """Hours of a month of all nodes of a type that `maxGpus` allows."""
    return times(given(f"{node.instance_type} within maxGpus", pool.most_nodes(node.instance_type)), MONTH)


def _apart(
    pool: Pool, node: SlotPrice, standing: Sequence[Consumer], asked: Sequence[Consumer], alone: Why, room: Why
) -> Why:
    """Hours of nodes of a type where nobody's overlap, at most `room`."""
    return most(why_more_hours(pool, node, standing, asked), least(alone, room))


def _hours(pool: Pool, node: SlotPrice, consumers: Sequence[Consumer]) -> Why:
    return why_node_hours(consumers, room_on(node), pool.most_nodes(node.instance_type))


def why_ceiling(pool: Pool) -> Why:
    """USD for an hour of all GPUs that `maxGpus` allows, of the types that make them dearest.

    These may be several: nodes are whole, and smaller ones fill what the dearest leave free.
    """
    dearest: dict[int, tuple[Why, SlotPrice]] = {}
    for each in pool.node_prices:
        why, size = node_reasons(pool, each).high, pool.takes(each.instance_type)
        if size not in dearest or (why.value or 0.0) > (dearest[size][0].value or 0.0):
            dearest[size] = why, each
    if not dearest:
        return given(f"price of a node of {pool.name}", None, "USD/h")
    counts = _dearest_fleet(pool.room, {size: why.value or 0.0 for size, (why, _) in dearest.items()})
    return plus(
        *(
            times(given(f"{dearest[size][1].instance_type} within maxGpus of {pool.name}", nodes), dearest[size][0])
            for size, nodes in counts.items()
        )
    )


def _dearest_fleet(limit: int, usd_per_node: Mapping[int, float]) -> Mapping[int, int]:
    """How many whole nodes of which size come to the most within a limit. usd_per_node: by size (`Pool.takes`)."""
    best: list[tuple[float, Mapping[int, int]]] = [(0.0, {})]
    for room in range(1, limit + 1):
        found = best[room - 1]
        for size, usd in usd_per_node.items():
            if size <= room and best[room - size][0] + usd > found[0]:
                before = best[room - size][1]
                found = best[room - size][0] + usd, {**before, size: before.get(size, 0) + 1}
        best.append(found)
    return best[limit][1]


def why_volume(size_gib: int, iops: int, mib_per_s: int, services: ServicePrices) -> Why:
    """USD for an hour of a gp3 volume while its node is there."""
    terms = [times(given("volume", size_gib, "GiB"), services.why("gp3_per_gb_month"))]
    if iops > BASE_IOPS:
        more = given(f"IOPS beyond {BASE_IOPS}", iops - BASE_IOPS)
        terms.append(times(more, services.why("gp3_per_iops_month")))
    if mib_per_s > BASE_MIBPS:
        more = given(f"MiB/s beyond {BASE_MIBPS}", mib_per_s - BASE_MIBPS)
        terms.append(times(more, services.why("gp3_per_mibps_month")))
    return over(plus(*terms), MONTH)
