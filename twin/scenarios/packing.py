"""Scenarios about how many nodes Karpenter buys: with overlays as few as there can be, without them one per pod."""

from __future__ import annotations

from gpu.contract import CAPACITY_TYPE_LABEL, GPU_RESOURCE, INSTANCE_TYPE_LABEL
from gpu.estimate import BOUGHT
from gpu.scheduler import PACKING_SCHEDULER
from twin.plan import PlannedPool
from twin.scenarios.play import PATIENCE, Play

#: Seconds more for each pod of many: at least 20 s for each hundred nodes on two busy cores.
_PATIENCE_PER_POD = 0.5


def nodes_needed(pods: int, slots: int) -> int:
    """Fewest single-GPU nodes that hold so many pods of one slot each."""
    return -(-pods // slots)


def pack(play: Play, pods: int = 9) -> None:
    """Pods of one slot each, in every GPU pool at the same time: as many nodes as needed and never one more."""
    pools = play.plan.slot_pools
    for pool in pools:
        play.make_room(pool, nodes_needed(pods, pool.slots_per_node()))
        play.deploy(f"pack-{pool.name}", pool.name, pool.resource, pods)
    play.tell(f"{pods} pods of one slot each in every pool: {', '.join(pool.name for pool in pools)}")
    seconds = play.wait(
        lambda: all(play.running(f"pack-{pool.name}") == pods for pool in pools),
        PATIENCE + _PATIENCE_PER_POD * pods * len(pools),
        f"{pods} running pods",
    )
    play.figures["seconds until all run"] = round(seconds, 1)
    play.stays(lambda: True, 5)  # a purchase too many would follow now
    for pool in pools:
        _check_packed(play, pool, pods)


def _check_packed(play: Play, pool: PlannedPool, pods: int) -> None:
    needed = nodes_needed(pods, pool.slots_per_node())
    bought = play.claims_of(pool.name)
    nodes = play.view.pool(pool.name)
    play.check(
        len(bought) == needed,
        f"{pool.name}: {pods} pods on {needed} nodes of {pool.slots_per_node()} slots",
        f"bought {len(bought)}",
    )
    play.check(
        all(node.slots == pool.slots_per_node() and node.resource == pool.resource for node in nodes),
        f"{pool.name}: each node offers {pool.slots_per_node()} {pool.resource}",
        ", ".join(sorted({f"{node.slots} {node.resource}" for node in nodes})),
    )
    cheapest = _cheapest(play, pool)
    play.check(
        all(node.usd_per_hour <= cheapest for node in nodes),
        f"{pool.name}: each node is of the pool's cheapest type, {cheapest:.3f} USD per hour",
        ", ".join(sorted({node.instance_type for node in nodes})),
    )
    play.figures[f"{pool.name}: nodes"] = len(bought)
    play.figures[f"{pool.name}: USD per hour"] = round(sum(node.usd_per_hour for node in nodes), 3)


def _cheapest(play: Play, pool: PlannedPool) -> float:
    """USD per hour of the cheapest that a pool may buy."""
    manifest = play.plan.node_pool(pool.name)
    allowed = {r["key"]: r["values"] for r in manifest["spec"]["template"]["spec"]["requirements"] if "values" in r}
    bought = [c for c in BOUGHT if c in allowed[CAPACITY_TYPE_LABEL]]
    usd = [play.prices.node_usd_per_hour(t, c) for t in allowed[INSTANCE_TYPE_LABEL] for c in bought]
    return min(price for price in usd if price is not None)


def no_overlay(play: Play) -> None:
    """The same pool without its NodeOverlay, as users have it today: Karpenter buys a GPU for every slot."""
    pods = 8
    pool = next((p for p in play.plan.slot_pools if p.slots and p.resource == GPU_RESOURCE), play.pool())
    planned = play.plan.node_pool(pool.name)
    # Overlays choose their pool by name: under another one it has none. The device plugin still gives each node its
    # replicas, by the label that the copy keeps.
    spec = {key: value for key, value in planned["spec"].items() if key != "limits"}
    copy = {**planned, "metadata": {"name": "no-overlay"}, "spec": spec}
    play.kube.apply(copy)
    needed = nodes_needed(pods, pool.slots_per_node())
    play.tell(f"pool {pool.name} under the name no-overlay, {pods} pods; {needed} nodes would do")
    play.deploy("no-overlay", "no-overlay", GPU_RESOURCE, pods)
    play.wait(lambda: play.running("no-overlay") == pods, PATIENCE, f"{pods} running pods")
    play.wait(lambda: all(n.slots for n in play.view.pool("no-overlay")), PATIENCE, "slots on each of the nodes")
    play.stays(lambda: True, 5)
    nodes = play.view.pool("no-overlay")
    offered = sum(node.slots for node in nodes)
    bought = len(play.claims_of("no-overlay"))
    paid = sum(node.usd_per_hour for node in nodes)
    cheapest = min(node.usd_per_hour for node in nodes)
    play.check(bought > needed, "without overlays more nodes are bought than needed", f"{bought} instead of {needed}")
    play.check(bought == pods, "one node for each slot that was asked for", f"{bought} nodes, {pods} slots")
    play.check(offered == bought * pool.slots_per_node(), "and most of their slots stand free", f"{pods} of {offered}")
    play.figures |= {
        "nodes bought": bought,
        "nodes needed": needed,
        "nodes without a pod": bought - len(play.nodes_of("no-overlay")),
        "USD per hour": round(paid, 3),
        "USD per hour with overlays": round(cheapest * needed, 3),
    }


def burst(play: Play, pods: int = 40) -> None:
    """Many pods at once, then none: the nodes come as one, and all of them go again."""
    pool = play.pool()
    # The plan keeps empty nodes for minutes, so that a model which is asked again finds its node warm.
    play.empty_soon(pool.name)
    needed = nodes_needed(pods, pool.slots_per_node())
    play.make_room(pool, needed)
    play.deploy("burst", pool.name, pool.resource, pods)
    patience = PATIENCE + _PATIENCE_PER_POD * pods
    seconds = play.wait(lambda: play.running("burst") == pods, patience, f"{pods} running pods")
    play.figures["seconds up"] = round(seconds, 1)
    play.check(len(play.claims_of(pool.name)) == needed, f"{pods} pods on {needed} nodes, bought at once")
    play.figures["USD per hour at the top"] = round(sum(n.usd_per_hour for n in play.view.pool(pool.name)), 3)
    play.deploy("burst", pool.name, pool.resource, 0)
    seconds = play.wait(lambda: not play.view.pool(pool.name), patience, "zero nodes")
    play.figures["seconds down"] = round(seconds, 1)
    play.check(not play.view.gpu_nodes, "no GPU node is left, and none costs anything")
    play.check(len(play.claims_of(pool.name)) == needed, "none was bought on the way down")


def scoring(play: Play, pods: int = 24) -> None:
    """Half as many pods come back to nodes that stand: the default scheduler keeps all of them, the other half."""
    pool = play.pool()
    whole, half = (nodes_needed(count, pool.slots_per_node()) for count in (pods, pods // 2))
    play.make_room(pool, whole)
    play.change_pool(pool.name, {"consolidateAfter": "1h", "consolidationPolicy": "WhenEmpty"})
    _come_and_go(play, pool, "first", pods, "default-scheduler")
    spread = _come_and_go(play, pool, "spread", pods // 2, "default-scheduler")
    packed = _come_and_go(play, pool, "packed", pods // 2, PACKING_SCHEDULER, stay=True)
    play.check(packed == half, f"{PACKING_SCHEDULER} lays {pods // 2} pods on {half} of {whole} nodes", f"{packed}")
    play.check(spread > half, "the default scheduler lays them on more", f"{spread}")
    before = {pod["metadata"]["uid"] for pod in play.pods("packed")}
    paid = sum(node.usd_per_hour for node in play.view.pool(pool.name))
    play.empty_soon(pool.name)
    play.wait(lambda: len(play.view.pool(pool.name)) == half, PATIENCE, f"{half} nodes")
    play.check({pod["metadata"]["uid"] for pod in play.pods("packed")} == before, "no pod was moved for that")
    play.figures |= {
        "nodes used, default-scheduler": spread,
        f"nodes used, {PACKING_SCHEDULER}": packed,
        "USD per hour before": round(paid, 3),
        "USD per hour after": round(sum(node.usd_per_hour for node in play.view.pool(pool.name)), 3),
    }


def _come_and_go(play: Play, pool: PlannedPool, name: str, pods: int, scheduler: str, *, stay: bool = False) -> int:
    """Nodes that so many pods took; they are gone again unless they stay."""
    play.deploy(name, pool.name, pool.resource, pods, scheduler)
    play.wait(
        lambda: play.running(name) == pods, PATIENCE + _PATIENCE_PER_POD * pods, f"{pods} running pods by {scheduler}"
    )
    taken = len(play.nodes_of(name))
    if not stay:
        play.deploy(name, pool.name, pool.resource, 0, scheduler)
        play.wait(lambda: not play.pods(name), PATIENCE, "no pods")
    return taken
