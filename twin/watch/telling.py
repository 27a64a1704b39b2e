"""Parts of a scene in sentences: the same in the terminal, on the page and in the exported picture."""

from __future__ import annotations

from collections import Counter

from twin.prices import NODES_ALONE
from twin.watch.feed import Entry
from twin.watch.scene import Box, Pool, Scene, Slot, Sum
from twin.watch.waiting import Waiting
from twin.watch.words import STAGES, clock, count, dollars, duration, gib, joined, share

_PRICES = "On-demand prices are AWS's list prices, Spot prices are estimates by instance family."


def figures(scene: Scene) -> list[tuple[str, str, str]]:
    """What is read first: figure, what it is, and more about it."""
    waiting = scene.pending
    coming = sum(len(each.pods) for each in scene.waiting if each.coming)
    why = f"{coming:,} with a node on its way" if coming else "none has a node yet" if waiting else "nobody waits"
    nodes = f"on {count(scene.gpu_nodes, 'GPU node')}"
    slots = [(f"{scene.taken:,} of {scene.slots:,}", "GPU slots taken", nodes)] if scene.slots or not scene.mib else []
    claimed = share(scene.taken_mib, scene.mib).removesuffix(" GiB")
    memory = [(claimed, "GiB of GPUs claimed", nodes)] if scene.mib else []
    return [
        (dollars(scene.usd_per_hour), "per hour now", f"{dollars(scene.usd_per_hour * 730)} a month at this pace"),
        (
            dollars(scene.usd, fine=True),
            "since start",
            f"{duration(scene.at - scene.started)} ago, at {clock(scene.started)[:5]}",
        ),
        *slots,
        *memory,
        (f"{scene.nodes:,}", "node" if scene.nodes == 1 else "nodes", stages(scene)),
        (f"{waiting:,}", "pod waits" if waiting == 1 else "pods wait", why),
    ]


def prices(scene: Scene) -> list[str]:
    """What the dollars are, in sentences."""
    return [_PRICES, NODES_ALONE, *filter(None, [scene.prices])]


def stages(scene: Scene) -> str:
    """How many nodes are where between purchase and end."""
    found = Counter(node.stage for pool in scene.pools for node in pool.nodes)
    return ", ".join(f"{found[stage]:,} {stage}" for stage in STAGES if found[stage]) or "none"


def summary(scene: Scene) -> str:
    """The scene in one sentence."""
    now = f"{dollars(scene.usd_per_hour)} per hour, {dollars(scene.usd, fine=True)} since the start"
    slots = f"{scene.taken:,} of {count(scene.slots, 'GPU slot')} taken" if scene.slots or not scene.mib else ""
    memory = f"{share(scene.taken_mib, scene.mib)} of GPU memory claimed" if scene.mib else ""
    who = f"{', '.join(filter(None, (slots, memory)))} on {count(scene.gpu_nodes, 'GPU node')}"
    return f"{now}; {who}; {count(scene.pending, 'pod')} waiting."


def pool_what(pool: Pool) -> str:
    """How a pool shares its GPUs, and how far it may grow."""
    most = f"at most {count(pool.limit, 'slot')}" if pool.limit else ""
    most = f"at most {count(pool.most_gpus, 'GPU')}" if pool.most_gpus else most
    return joined(pool.sharing, pool.resource, most)


def pool_sum(pool: Pool) -> str:
    """What a pool has, and what it costs."""
    if not pool.nodes:
        return "no nodes"
    if pool.mib:
        each = f"{dollars(pool.usd_per_hour / pool.taken_mib * 1024)} a claimed GiB" if pool.taken_mib else ""
        return joined(share(pool.taken_mib, pool.mib), f"{dollars(pool.usd_per_hour)}/h", each)
    slots = f"{pool.taken:,} of {count(pool.slots, 'slot')}" if pool.slots else count(len(pool.nodes), "node")
    each = f"{dollars(pool.usd_per_hour / pool.taken)} a taken slot" if pool.taken else ""
    return joined(slots, f"{dollars(pool.usd_per_hour)}/h", each)


def group(each: Sum) -> tuple[str, str]:
    """Nodes alike: what they are, and how many with which slots and price."""
    slots = f"{each.taken:,} of {count(each.slots, 'slot')}, " if each.slots else ""
    slots = f"{share(each.taken_mib, each.mib)}, " if each.mib else slots
    told = f"{count(each.nodes, 'node')}, {each.stage}: {slots}{dollars(each.usd_per_hour)}/h"
    return joined(each.instance_type, each.capacity, each.zone), told


def box(node: Box) -> str:
    """A node, for those who do not see it."""
    kind = ", ".join(filter(None, (node.instance_type, node.capacity, node.gpu, node.zone)))
    said = [f"{node.name}: {kind}; {node.stage}; {dollars(node.usd_per_hour)} per hour."]
    if node.slots:
        held = Counter((slot.owner, slot.state) for slot in node.slots if slot.owner)
        names = [
            f"{owner}{'' if state == 'ready' else f' ({state})'}{f' × {number}' if number > 1 else ''}"
            for (owner, state), number in held.items()
        ]
        said.append(f"{node.taken} of {count(len(node.slots), 'slot')} taken{': ' if names else ''}{', '.join(names)}.")
    for bar in node.bars:
        claims = ", ".join(f"{part.owner} {gib(part.mib)}{_unless_ready(part)}" for part in bar.parts if part.owner)
        said.append(f"{share(bar.taken, bar.mib)} of {bar.name} claimed{': ' if claims else ''}{claims}.")
    if node.other_pods:
        said.append(f"{count(node.other_pods, 'pod')} without GPU: {', '.join(node.others[:8])}.")
    return " ".join(said)


def _unless_ready(part: Slot) -> str:
    return "" if part.state == "ready" else f" ({part.state})"


def slot(each: Slot) -> str:
    """Who sits in a slot, in a word or two; of a claim also how much it is."""
    if each.mib:
        return f"{each.owner or each.state} {gib(each.mib)}"
    return each.owner or ("for a pod" if each.state == "coming" else each.state)


def who(owners: tuple[tuple[str, int], ...], most: int = 4) -> str:
    """`mistral × 2, llama2 and 3 more`."""
    names = [f"{owner} × {number:,}" if number > 1 else owner for owner, number in owners[:most]]
    rest = len(owners) - most
    return ", ".join(names) + (f" and {rest:,} more" if rest > 0 else "")


def how_long(each: Waiting, at: float) -> str:
    """What for, and since when."""
    slots = count(each.slots, "slot") if each.slots else ""
    memory = gib(each.mib) if each.mib else ""
    since = f"for {duration(at - each.since)}" if each.since else ""
    return ", ".join(filter(None, (slots, memory, since)))


def why(each: Waiting) -> str:
    """The reason, and who says so."""
    return f"{each.source}: {each.reason}" if each.source else each.reason


def about(entry: Entry) -> str:
    """What an event is about."""
    more = f" and {entry.count - 1:,} more" if entry.count > 1 else ""
    return f"{entry.kind} {entry.name}{more}"
