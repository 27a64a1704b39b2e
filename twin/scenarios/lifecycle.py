"""Scenarios about the end: what goes, in which order, and what must not go."""

from __future__ import annotations

from twin.destroy import destroy, instances, left_in_aws
from twin.scenarios.play import NAMESPACE, PATIENCE, Play


def consolidation(play: Play) -> None:
    """Nodes that are nearly empty: a busy model keeps its node, an empty node goes, nobody is moved."""
    pool = play.pool()
    slots = pool.slots_per_node()
    if slots < 2:
        play.check(True, "nothing to consolidate: a node of this pool has one slot")
        return
    play.make_room(pool, 2)
    play.deploy("busy", pool.name, pool.resource, 2 * slots)
    play.wait(lambda: play.running("busy") == 2 * slots, PATIENCE, "running pods")
    first, second = sorted(play.nodes_of("busy"))[:2]
    planned = play.plan.node_pool(pool.name)
    disruption = planned["spec"]["disruption"]
    play.check(
        disruption.get("consolidationPolicy") == "WhenEmpty", "the plan consolidates empty nodes only", str(disruption)
    )
    play.change_pool(pool.name, {**disruption, "consolidateAfter": "5s"})
    keep = {one_on(play, "busy", first), one_on(play, "busy", second)}
    keep_only(play, "busy", keep)
    play.tell(f"one busy model on each of two nodes, {2 * slots - 2} slots free: one node would do for both")
    calm = play.stays(lambda: keep <= {p["metadata"]["name"] for p in play.pods("busy")}, 45)
    play.check(calm, "45 s long no model is moved")
    play.check({first, second} <= {n.name for n in play.view.pool(pool.name)}, "and both nodes stay")
    keep_only(play, "busy", {next(iter(keep))})
    stays = next(p["spec"]["nodeName"] for p in play.pods("busy") if p["metadata"]["name"] in keep)
    seconds = play.wait(lambda: len(play.view.pool(pool.name)) == 1, PATIENCE, "the end of the empty node")
    play.figures["seconds until the empty node is gone"] = round(seconds, 1)
    play.check(play.view.pool(pool.name)[0].name == stays, "the empty node goes, the busy one stays")


def one_on(play: Play, name: str, node: str) -> str:
    """Name of one of a workload's pods on a node."""
    return next(str(p["metadata"]["name"]) for p in play.pods(name) if p["spec"].get("nodeName") == node)


def keep_only(play: Play, name: str, keep: set[str]) -> None:
    """Let a workload shrink to these pods: the cheapest to delete go first (`pod-deletion-cost`)."""
    # Those that stay first: what the controller of ReplicaSets has not read yet costs nothing, and goes before them.
    for pod in sorted(play.pods(name), key=lambda pod: pod["metadata"]["name"] not in keep):
        cost = "100" if pod["metadata"]["name"] in keep else "-100"
        play.kube.patch(
            {**pod, "apiVersion": "v1", "kind": "Pod"},
            {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}},
        )
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}}
    play.kube.patch(about, {"spec": {"replicas": len(keep)}})
    play.wait(lambda: {p["metadata"]["name"] for p in play.pods(name)} == keep, PATIENCE, "a smaller workload")


def drain_and_destroy(play: Play) -> None:
    """The plan's destroy order on live objects with busy nodes: everything goes by itself, and nothing is left."""
    pools = play.plan.slot_pools
    for pool in pools:
        play.make_room(pool, 2)
        play.deploy(f"last-{pool.name}", pool.name, pool.resource, pool.slots_per_node() + 1)
    play.wait(
        lambda: all(play.running(f"last-{pool.name}") == pool.slots_per_node() + 1 for pool in pools),
        PATIENCE,
        "running pods",
    )
    play.wait(play.instances_are_kept, 30, "the instances of the simulated EC2, written down")
    play.check(len(instances(play.kube)) == len(play.view.gpu_nodes), "each node has its instance")
    steps = destroy(play.state, play.plan, play.kube, play.tell)
    play.figures["seconds"] = round(sum(steps.values()), 1)
    play.figures |= {f"seconds for {step}": round(seconds, 1) for step, seconds in steps.items() if seconds >= 1}
    play.wait(lambda: not play.view.gpu_nodes, 60, "no nodes")
    play.check(not instances(play.kube), "no EC2 instance is left")
    play.check(not play.view.gpu_nodes, "no node is left")
    left = left_in_aws(play.run, play.plan)
    play.check(not left, "no instance profile of Karpenter's is left", ", ".join(left))
