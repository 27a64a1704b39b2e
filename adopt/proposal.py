"""What to buy for the GPU pods of a cluster: the pool, who moves there, and what both ways cost in a month.

How much memory a pod's model needs nobody can see from outside: it is said (an annotation, an option), or half of a GPU
is assumed. Prices, whole nodes and the comparison are those of any plan (`gpu.compare`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from adopt.inventory import FoundPool, Inventory
from adopt.objects import at, listed
from adopt.work import GpuNode, Work
from config.checks.sharing import MIN_SLOT_MIB
from gpu import prices
from gpu.bill import Consumer
from gpu.catalog import FAMILIES, UNSUPPORTED_FAMILIES, InstanceType
from gpu.compare import Comparison, compare
from gpu.contract import GPU_RESOURCE
from gpu.host_share import node_room
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH
from gpu.sharing import MAX_TIME_SLICING_REPLICAS, MIN_REPLICAS, NoSharing, TimeSlicing
from policy.reading import quantity

#: Where nothing tells which GPUs somebody has.
_USUAL: Final = ("g6", "g5")
#: How much dearer the nodes of a further family may be: more families are easier to get as Spot.
_DEARER: Final = 1.5
#: Whose prices say which nodes are dearer where a region has none that are known.
_COMPARED: Final = "us-east-1"

Why = Literal[
    "several GPUs",
    "a slot already",
    "too large for a slot",
    "on a node that stays",
    "on a node of a type that is not in the catalogue",
    "claimed by DRA",
]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a pod needs of a slot: GPU memory in MiB, and of the node millicores and MiB. said: by whom the first is."""

    mib: int
    said: Literal["the pod", "--pod-mib", "assumed: half of its GPU"]
    cpu_millis: int
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Stays:
    """Pods that keep what they have, and why."""

    work: Work
    why: Why


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A pool for the pods that fit slots. replicas: 0 where no GPU is shared."""

    families: tuple[str, ...]
    types: tuple[str, ...]
    counts: tuple[int, ...]
    replicas: int
    max_gpus: int
    moves: Sequence[tuple[Work, Need]]
    stays: Sequence[Stays]
    leaving: Sequence[GpuNode]
    """Nodes whose pods all move."""
    staying: Sequence[GpuNode]
    pool: Pool

    @property
    def pods(self) -> int:
        """How many move."""
        return sum(work.count for work, _ in self.moves)

    @cached_property
    def comparison(self) -> Comparison | None:
        """The same work in other ways; None where nothing moves, or a price is not known."""
        return compare([_consumer(work, need, self.pool) for work, need in self.moves])


def _consumer(work: Work, need: Need, pool: Pool) -> Consumer:
    return Consumer(
        name=work.name,
        kind="Deployment",
        pool=pool,
        slots=work.count,
        hours=float(HOURS_PER_MONTH),
        part="always",
        needs=(need.mib,),
        hours_from="as long as they are there now",
    )


def propose(there: Inventory, *, pod_mib: int | None = None) -> Proposal:
    """The pool on whose nodes the pods that move are cheapest together. The region must be known."""
    families = _families(there)
    nodes = {node.name: node for node in there.nodes}
    candidates: list[tuple[Work, Need]] = []
    kept: list[Stays] = []
    for work in there.work:
        if why := _why_not(work, there, nodes.get(work.node)):
            kept.append(Stays(work=work, why=why))
        else:
            candidates.append((work, _need(work, nodes.get(work.node), there.region, families, pod_mib)))
    held = _held(families, there.region, candidates)
    fits = [pair for pair in candidates if pair[1] in held]
    kept += [Stays(work=work, why="too large for a slot") for work, need in candidates if need not in held]
    busy = {each.work.node for each in kept} - {""}
    moves = [pair for pair in fits if pair[0].node not in busy]
    kept += [Stays(work=pair[0], why="on a node that stays") for pair in fits if pair[0].node in busy]
    used = {work.node for work in there.work if work.node}
    # Where nobody's pods were seen, two slots are a beginning; where none fits half of a GPU, none is shared.
    choice = _choice(there.region, families, moves or fits, shared=bool(fits) or not candidates)
    return Proposal(
        families=choice.families,
        types=choice.types,
        counts=choice.counts,
        replicas=choice.replicas,
        max_gpus=_max_gpus(moves, choice),
        moves=moves,
        stays=kept,
        leaving=[node for node in there.nodes if node.name not in busy and node.name in used],
        staying=[node for node in there.nodes if node.name in busy or node.name not in used],
        pool=_pool(choice, there.region, _max_gpus(moves, choice)),
    )


def _why_not(work: Work, there: Inventory, node: GpuNode | None) -> Why | None:
    """Why pods do not take a slot, as far as it can be told from them and their node alone."""
    if work.claims:
        return "claimed by DRA"
    if work.node in there.strange_nodes:
        return "on a node of a type that is not in the catalogue"
    if set(work.asks) != {GPU_RESOURCE} or (node and node.shared) or (node is None and _only_shared(work, there)):
        return "a slot already"
    return "several GPUs" if work.gpus > 1 else None


def _only_shared(work: Work, there: Inventory) -> bool:
    """Whether every pool on which pods may land shares its GPUs."""
    pools = [pool for pool in there.pools if not pool.open and work.template.may_land_on(pool.node_pool)]
    return bool(pools) and all(pool.sharing is not None and pool.sharing.shares for pool in pools)


# --- What a pod needs -------------------------------------------------------------------------------------------------


def _need(work: Work, node: GpuNode | None, region: str, families: Sequence[str], pod_mib: int | None) -> Need:
    cpu, memory = _host_requests(work.template.spec)
    if work.mib:
        return Need(mib=work.mib, said="the pod", cpu_millis=cpu, memory_mib=memory)
    if pod_mib:
        return Need(mib=pod_mib, said="--pod-mib", cpu_millis=cpu, memory_mib=memory)
    has = node.kind.gpu.usable_mib if node else min(_smallest(family, region)[0].gpu.usable_mib for family in families)
    return Need(mib=has // 2, said="assumed: half of its GPU", cpu_millis=cpu, memory_mib=memory)


def _host_requests(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Millicores and MiB that a pod asks of its node: its containers together, or the largest that runs before."""
    found = []
    for name in ("cpu", "memory"):
        together = sum(_request(each, name) for each in listed(spec.get("containers")))
        before = max((_request(each, name) for each in listed(spec.get("initContainers"))), default=0.0)
        found.append(max(together, before))
    return math.ceil(found[0] * 1000), math.ceil(found[1] / 2**20)


def _request(container: Mapping[str, Any], name: str) -> float:
    """What Kubernetes takes for the request: the limit where nothing else is said."""
    resources = at(container, "resources")
    given = at(resources, "requests").get(name, at(resources, "limits").get(name))
    return quantity(given) or 0.0


# --- Which GPUs -------------------------------------------------------------------------------------------------------


def _families(there: Inventory) -> list[str]:
    """Families that somebody has or may buy and that the region offers; those of nodes that run first."""
    running = [node.kind.family for node in there.nodes]
    allowed = [family for pool in there.pools if not pool.open for family in pool.families]
    for wanted in (running, allowed, _USUAL, tuple(FAMILIES)):
        known = [family for family in dict.fromkeys(wanted) if not _why_left(family, there.region)]
        x86 = [family for family in known if FAMILIES[family][0].arch == "amd64"]
        if x86 or known:
            return x86 or known
    raise ValueError(f"no GPU that is known is offered in {there.region}")


def left_out(there: Inventory, pool: FoundPool) -> dict[str, list[str]]:
    """Of the families and types that a pool names those that no pool of a stack here may buy, by the reason."""
    found: dict[str, list[str]] = {}
    x86 = any(
        FAMILIES[family][0].arch == "amd64" and not _why_left(family, there.region)
        for each in there.pools
        if not each.open
        for family in each.families
    )
    for name in pool.named:
        family = name.partition(".")[0]
        if name in pool.unknown:
            why = "not in the catalogue: docs/catalog.md"
        elif family not in pool.families:
            continue
        elif not (why := _why_left(family, there.region)):
            why = "arm64, and others are not" if x86 and FAMILIES[family][0].arch != "amd64" else ""
        if why:
            found.setdefault(why, []).append(name)
    return found


def _why_left(family: str, region: str) -> str:
    if family in UNSUPPORTED_FAMILIES:
        return f"not supported: {UNSUPPORTED_FAMILIES[family]}"
    return "" if _smallest(family, region) else f"not offered in {region}"


def _smallest(family: str, region: str) -> list[InstanceType]:
    """Types of a family in a region with the fewest GPUs that it has there."""
    offered = [kind for kind in FAMILIES[family] if region in kind.zone_ids]
    fewest = min((kind.gpu_count for kind in offered), default=0)
    return [kind for kind in offered if kind.gpu_count == fewest]


@dataclass(frozen=True, kw_only=True)
class _Choice:
    families: tuple[str, ...]
    types: tuple[str, ...]
    kinds: tuple[InstanceType, ...]
    replicas: int

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(sorted({kind.gpu_count for kind in self.kinds}))


def _held(families: Sequence[str], region: str, candidates: Sequence[tuple[Work, Need]]) -> Collection[Need]:
    """Needs of as many pods as two slots of a GPU of one type can hold: the others are too large for a slot."""
    pods: Counter[Need] = Counter()
    for work, need in candidates:
        pods[need] += work.count
    kinds = [kind for family in families for kind in _smallest(family, region)]
    held = ([need for need in pods if _slots(kind, [need]) >= MIN_REPLICAS] for kind in kinds)
    return frozenset(max(held, key=lambda needs: sum(pods[need] for need in needs), default=()))


def _choice(region: str, families: Sequence[str], pairs: Sequence[tuple[Work, Need]], *, shared: bool) -> _Choice:
    """The nodes that are cheapest for these pods together, and others that hold as many slots.

    A cheap slot of a node that they do not fill saves nothing.
    """
    pods, needs = max(1, sum(work.count for work, _ in pairs)), {need for _, need in pairs}
    table = {family: _smallest(family, region) for family in families}
    every = [kind for kinds in table.values() for kind in kinds]
    slots = {kind.name: _slots(kind, needs) if shared else 1 for kind in every}
    known = prices.of(region if prices.of(region).on_demand else _COMPARED)

    def usd(kind: InstanceType, replicas: int) -> float:
        nodes = -(-pods // (replicas * kind.gpu_count))
        return nodes * (known.node_usd_per_hour(kind.name, "spot") or math.inf)

    able = [kind for kind in every if slots[kind.name] >= (MIN_REPLICAS if shared else 1)]
    best = min(able, key=lambda kind: (usd(kind, slots[kind.name]), kind.gpu_count, kind.vcpus))
    replicas = slots[best.name]
    able = [kind for kind in able if slots[kind.name] >= replicas and kind.gpu_count == best.gpu_count]
    near = {kind.family for kind in able if usd(kind, replicas) <= usd(best, replicas) * _DEARER}
    chosen = tuple(kind for kind in able if kind.family in near)
    whole = all(kind in chosen for family in near for kind in table[family])
    return _Choice(
        families=tuple(family for family in table if family in near) if whole else (),
        types=() if whole else tuple(kind.name for kind in chosen),
        kinds=chosen,
        replicas=replicas if shared else 0,
    )


def _slots(kind: InstanceType, needs: Collection[Need]) -> int:
    """Most slots of a GPU of a type of which each holds every need; 2 where there is none."""
    if not needs:
        return MIN_REPLICAS
    room = node_room(kind)
    return min(
        MAX_TIME_SLICING_REPLICAS,
        kind.gpu.usable_mib // max(MIN_SLOT_MIB, *(need.mib for need in needs)),
        room.cpu_millis // (kind.gpu_count * max(1, *(need.cpu_millis for need in needs))),
        room.memory_mib // (kind.gpu_count * max(1, *(need.memory_mib for need in needs))),
    )


def _max_gpus(moves: Sequence[tuple[Work, Need]], choice: _Choice) -> int:
    """GPUs for all that move, in whole nodes of every size that the pool may buy."""
    pods = sum(work.count for work, _ in moves)
    gpus, step = -(-pods // (choice.replicas or 1)), max(choice.counts)
    return max(1, -(-gpus // step)) * step


def _pool(choice: _Choice, region: str, max_gpus: int) -> Pool:
    profile = TimeSlicing(choice.replicas) if choice.replicas else NoSharing()
    return Pool(name="shared", profile=profile, types=choice.kinds, max_gpus=max_gpus, prices=prices.of(region))
