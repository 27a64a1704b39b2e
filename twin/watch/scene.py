"""What the picture shows: pools of nodes, the slots of each node and who sits there, who waits and why, and dollars.

Pure: from a view of the cluster and copies of its objects to plain data. Terminal, page and SVG all draw this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from twin.view import NodeView, PodView, View
from twin.watch.feed import Entry
from twin.watch.waiting import Coming, Waiting
from twin.watch.words import moment

#: Up to so many nodes of a pool are boxes; more are told in sums.
MOST_BOXES = 24
#: Colours that pictures have for those who sit in slots.
COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One slot of a node."""

    state: str
    """`ready`, `starting` or `leaving` where somebody is, else `coming`, `free`, or `not offered yet`."""
    owner: str = ""
    """What the pod belongs to, such as a model; empty for a slot of nobody."""
    pod: str = ""
    """Namespace and name."""
    colour: int = 0
    """Of the owner, below COLOURS."""
    mib: int = 0
    """GPU memory, in MiB, of a claim or of what claims have left free; 0 for a slot."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A GPU whose memory pods claim."""

    name: str
    mib: int
    """All of its memory."""
    parts: tuple[Slot, ...]
    """Claims, then those that are on their way, then what is free; none of nothing."""

    @property
    def taken(self) -> int:
        """MiB that somebody claims or will."""
        return sum(part.mib for part in self.parts if part.owner)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A node. Prices in USD per hour."""

    name: str
    """Of the NodeClaim, which the node keeps from the purchase on; the node's own where there is none."""
    node: str
    """Name in the cluster."""
    instance_type: str
    zone: str
    capacity: str
    """`Spot`, `on-demand`, or empty."""
    gpu: str
    """The GPU's name, such as `L4`; empty for a CPU node."""
    stage: str
    """One of `words.STAGES`."""
    slots: tuple[Slot, ...]
    others: tuple[str, ...]
    """Owners of pods without a slot, the most frequent first."""
    other_pods: int
    daemon_pods: int
    usd_per_hour: float
    since: float
    """When it was bought, in seconds since 1970."""
    bars: tuple[Bar, ...] = ()
    """GPUs whose memory pods claim; then there are no slots."""

    @property
    def taken(self) -> int:
        """Slots that somebody holds or is coming to."""
        return sum(bool(slot.owner) or slot.state == "coming" for slot in self.slots)

    @property
    def mib(self) -> int:
        """GPU memory that can be claimed."""
        return sum(bar.mib for bar in self.bars)

    @property
    def taken_mib(self) -> int:
        """GPU memory that somebody claims or will."""
        return sum(bar.taken for bar in self.bars)

    @property
    def fill(self) -> float:
        """How much of its GPUs is taken, from 0 to 1."""
        return self.taken_mib / self.mib if self.mib else self.taken / len(self.slots) if self.slots else 0.0

    @property
    def held(self) -> tuple[Slot, ...]:
        """Its slots, or the claims of its GPUs."""
        return self.slots or tuple(part for bar in self.bars for part in bar.parts if part.owner)


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Nodes that differ only in who sits there."""

    instance_type: str
    capacity: str
    zone: str
    stage: str
    nodes: int
    slots: int
    taken: int
    usd_per_hour: float
    mib: int = 0
    """GPU memory that can be claimed."""
    taken_mib: int = 0


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A node pool, also one without nodes."""

    title: str
    """Its name, or what nodes without a pool are."""
    sharing: str = ""
    """How its GPUs are shared, in words; empty for CPU pools."""
    resource: str = ""
    """What a workload asks for to get a slot; empty for CPU pools."""
    limit: int | None = None
    """Slots at which Karpenter stops buying."""
    most_gpus: int | None = None
    """GPUs at which it does, where pods claim memory."""
    problem: str = ""
    """Why it cannot be used; empty when it can."""
    nodes: tuple[Box, ...] = ()

    @property
    def slots(self) -> int:
        """Slots that its nodes offer or will."""
        return sum(len(node.slots) for node in self.nodes)

    @property
    def taken(self) -> int:
        """Slots that somebody holds or is coming to."""
        return sum(node.taken for node in self.nodes)

    @property
    def mib(self) -> int:
        """GPU memory of its nodes that can be claimed."""
        return sum(node.mib for node in self.nodes)

    @property
    def taken_mib(self) -> int:
        """GPU memory that somebody claims or will."""
        return sum(node.taken_mib for node in self.nodes)

    @property
    def usd_per_hour(self) -> float:
        """Of its nodes together."""
        return sum(node.usd_per_hour for node in self.nodes)

    @property
    def crowded(self) -> bool:
        """Whether it has too many nodes for a box each."""
        return len(self.nodes) > MOST_BOXES

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Its nodes in groups, the largest first."""
        groups: dict[tuple[str, str, str, str], list[Box]] = {}
        for node in self.nodes:
            groups.setdefault((node.instance_type, node.capacity, node.zone, node.stage), []).append(node)
        sums = [
            Sum(
                instance_type=key[0],
                capacity=key[1],
                zone=key[2],
                stage=key[3],
                nodes=len(nodes),
                slots=sum(len(node.slots) for node in nodes),
                taken=sum(node.taken for node in nodes),
                usd_per_hour=sum(node.usd_per_hour for node in nodes),
                mib=sum(node.mib for node in nodes),
                taken_mib=sum(node.taken_mib for node in nodes),
            )
            for key, nodes in groups.items()
        ]
        return tuple(sorted(sums, key=lambda each: -each.nodes))

    @property
    def owners(self) -> tuple[tuple[str, int], ...]:
        """Who has slots or claims of it: name and how many, the most first."""
        return tuple(Counter(slot.owner for node in self.nodes for slot in node.held if slot.owner).most_common())


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a picture shows, at one moment."""

    stack: str
    at: float
    """Seconds since 1970."""
    started: float
    """When the twin was first started."""
    usd: float
    """What its nodes would have cost since then."""
    pools: tuple[Pool, ...]
    waiting: tuple[Waiting, ...]
    feed: tuple[Entry, ...]
    stale: str = ""
    """Why this is no longer the truth; empty while it is."""
    prices: str = ""
    """Whose prices these are, where they are not those of the twin's region."""
    colours: Mapping[str, int] = field(default_factory=dict)
    """Of the owners."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What nodes are called here, by their names in the cluster; also some that are gone."""

    @property
    def usd_per_hour(self) -> float:
        """Of all nodes together."""
        return sum(pool.usd_per_hour for pool in self.pools)

    @property
    def nodes(self) -> int:
        """All nodes."""
        return sum(len(pool.nodes) for pool in self.pools)

    @property
    def gpu_nodes(self) -> int:
        """Nodes with GPUs."""
        return sum(bool(node.gpu) for pool in self.pools for node in pool.nodes)

    @property
    def slots(self) -> int:
        """Slots of all nodes."""
        return sum(pool.slots for pool in self.pools)

    @property
    def taken(self) -> int:
        """Slots that somebody holds or is coming to."""
        return sum(pool.taken for pool in self.pools)

    @property
    def mib(self) -> int:
        """GPU memory of all nodes that can be claimed."""
        return sum(pool.mib for pool in self.pools)

    @property
    def taken_mib(self) -> int:
        """GPU memory that somebody claims or will."""
        return sum(pool.taken_mib for pool in self.pools)

    @property
    def pending(self) -> int:
        """Pods without a node."""
        return sum(len(each.pods) for each in self.waiting)


def pools(seen: View, plans: Sequence[Pool], coming: Coming, colours: Mapping[str, int]) -> tuple[Pool, ...]:
    """The pools with their nodes, then system nodes, then nodes of nobody's."""
    by_title: dict[str, list[Box]] = {plan.title: [] for plan in plans}
    strays: dict[str, list[Box]] = {}
    for node in seen.nodes:
        box = _box(node, coming, colours)
        if node.pool:
            by_title.setdefault(node.pool, []).append(box)
        else:
            strays.setdefault("System nodes" if node.system else "Other nodes", []).append(box)
    known = {plan.title: plan for plan in plans}
    return tuple(
        replace(known.get(title, Pool(title=title)), nodes=tuple(boxes))
        for title, boxes in [*by_title.items(), *sorted(strays.items(), reverse=True)]
    )


def _box(node: NodeView, coming: Coming, colours: Mapping[str, int]) -> Box:
    without = Counter(pod.owner for pod in node.pods if not pod.wants_gpu)
    return Box(
        name=coming.called.get(node.name, node.name),
        node=node.name,
        instance_type=node.instance_type,
        zone=node.zone,
        capacity="Spot" if node.capacity_type == "spot" else node.capacity_type,
        gpu=node.gpu.upper(),
        stage=node.stage,
        slots=() if node.devices else tuple(_slots(node, coming, colours)),
        bars=tuple(_bars(node, coming, colours)),
        others=tuple(owner for owner, _ in without.most_common()),
        other_pods=sum(without.values()),
        daemon_pods=node.daemon_pods,
        usd_per_hour=node.usd_per_hour,
        since=moment(node.created),
    )


def _slots(node: NodeView, coming: Coming, colours: Mapping[str, int]) -> list[Slot]:
    """Held slots first, then those that somebody is coming to, then the rest."""
    slots: list[Slot] = []
    for pod in sorted((p for p in node.pods if p.slots), key=lambda p: (p.owner, p.name)):
        slot = Slot(state=_state(pod), owner=pod.owner, pod=pod.key, colour=colours.get(pod.owner, 0))
        slots += [slot] * pod.slots
    if node.stage == "leaving":  # nobody gets what is free there
        return slots
    total = max(node.slots, node.expected_slots, len(slots))
    guests = coming.to(node.name)[: total - len(slots)]
    slots += [Slot(state="coming", owner=g.owner, pod=g.pod, colour=colours.get(g.owner, 0)) for g in guests]
    if node.stage != "ready":
        # Karpenter does not say of every pod where it expects it, but it does say how many slots it needs there.
        slots += [Slot(state="coming")] * (min(coming.reserved(node.name), total) - len(slots))
    return slots + [Slot(state="free" if node.slots else "not offered yet")] * (total - len(slots))


def _bars(node: NodeView, coming: Coming, colours: Mapping[str, int]) -> list[Bar]:
    """Its GPUs, each with the claims that it holds; who is on the way gets the first GPU that has room."""
    guests = [] if node.stage == "leaving" else [guest for guest in coming.to(node.name) if guest.mib]
    bars = []
    for device in node.devices:
        pods = (pod for pod in node.pods if pod.mib and pod.device == device.name)
        parts = [_part(pod, colours) for pod in sorted(pods, key=lambda p: (p.owner, p.name))]
        free = device.mib - sum(part.mib for part in parts)
        for guest in [guest for guest in guests if guest.mib <= free]:
            if guest.mib <= free:
                guests.remove(guest)
                free -= guest.mib
                colour = colours.get(guest.owner, 0)
                parts.append(Slot(state="coming", owner=guest.owner, pod=guest.pod, colour=colour, mib=guest.mib))
        if free > 0 and node.stage != "leaving":
            parts.append(Slot(state="free" if device.offered else "not offered yet", mib=free))
        bars.append(Bar(name=device.name, mib=device.mib, parts=tuple(parts)))
    return bars


def _part(pod: PodView, colours: Mapping[str, int]) -> Slot:
    return Slot(state=_state(pod), owner=pod.owner, pod=pod.key, colour=colours.get(pod.owner, 0), mib=pod.mib)


def _state(pod: PodView) -> str:
    return "leaving" if pod.phase == "Terminating" else "ready" if pod.ready else "starting"


def colour_owners(known: Mapping[str, int], owners: Iterable[str]) -> dict[str, int]:
    """A colour for each of the owners. Who has one keeps it; a new one gets the one that fewest others have."""
    present = sorted(set(owners))
    colours = {owner: known[owner] for owner in present if owner in known}
    in_use = Counter(colours.values())
    for owner in present:
        if owner not in colours:
            colours[owner] = min(range(COLOURS), key=lambda colour: (in_use[colour], colour))
            in_use[colours[owner]] += 1
    return colours
