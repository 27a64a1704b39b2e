"""Scenarios in which something breaks: Spot takes a node, capacity ends, plugins are late or dumb, processes die."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from gpu.contract import CONFIG_LABEL, GPU_RESOURCE, INSTANCE_TYPE_LABEL
from twin.aws.account import client
from twin.play.agent.lost import REASON
from twin.scenarios.packing import nodes_needed
from twin.scenarios.play import PATIENCE, Play, instance_of


def spot_interruption(play: Play) -> None:
    """AWS takes a Spot node back with two minutes' notice: Karpenter hears of it through the interruption queue."""
    pool = play.pool()
    pods = 2 * pool.slots_per_node()
    play.make_room(pool, 3)
    play.deploy("spot", pool.name, pool.resource, pods)
    play.wait(lambda: play.running("spot") == pods, PATIENCE, f"{pods} running pods")
    victim = play.view.pool(pool.name)[0]
    before = {node.name for node in play.view.pool(pool.name)}
    claim = play.claim_of(victim.name)
    instance = instance_of(claim)
    play.tell(f"AWS warns: {instance}, {victim.instance_type} in {victim.zone}, ends in two minutes")
    send_interruption(play, instance)
    gone = play.wait(
        lambda: any(c["metadata"].get("deletionTimestamp") for c in [_now(play, claim)]), 60, "a node that is drained"
    )
    play.figures["seconds to the drain"] = round(gone, 1)
    moved = play.wait(lambda: play.running("spot") < pods, 60, "evicted pods")
    seconds = play.wait(
        lambda: play.running("spot") == pods and victim.name not in play.nodes_of("spot"), PATIENCE, "all pods again"
    )
    play.figures["seconds until all run again"] = round(gone + moved + seconds, 1)
    play.wait(lambda: all(node.name != victim.name for node in play.view.nodes), 120, "the old node's end")
    new = [node for node in play.view.pool(pool.name) if node.name not in before]
    play.check(bool(new), "another node has taken its place", ", ".join(f"{n.instance_type} {n.zone}" for n in new))
    play.check(
        all((node.instance_type, node.zone) != (victim.instance_type, victim.zone) for node in new),
        "not in the zone and of the type that Spot has just run out of",
    )
    play.check(len(play.claims_of(pool.name)) == 3, "one node was bought for the one that went")
    play.wait(lambda: _queue_length(play) == 0, 60, "a queue that is empty")
    play.check(True, "the message is off the queue")


def _now(play: Play, claim: dict[str, Any]) -> dict[str, Any]:
    gone = {"metadata": {"deletionTimestamp": "gone"}}
    return play.observed.get("NodeClaim", claim["metadata"]["name"]) or gone


def send_interruption(play: Play, instance: str) -> None:
    """Put the event into the queue that EventBridge's rule would put it into."""
    body = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "111122223333",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": play.plan.region,
        "resources": [f"arn:aws:ec2:{play.plan.region}:111122223333:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }
    play.faults.take_back()
    sqs, url = _queue(play)
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))


def _queue(play: Play) -> tuple[Any, str]:
    release = play.plan.release("karpenter")
    name = release.values["settings"]["interruptionQueue"] if release else ""
    sqs = client("sqs", play.run.aws, play.plan.region)
    return sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"]


def _queue_length(play: Play) -> int:
    sqs, url = _queue(play)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def no_capacity(play: Play) -> None:
    """EC2 has none of a pool's types any more: pods wait with the reason, nothing is bought; then it has them again.

    Not covered: an offering that runs out between Karpenter's choice and the launch (InsufficientInstanceCapacity).
    The provider's simulated EC2 never refuses a launch; the real one would mark the offering and try the next.
    """
    pool = play.pool()
    families = _families(play, pool.name)
    play.tell(f"EC2 has no more of {', '.join(f'{family}.*' for family in families)}, in any zone")
    play.faults.withdraw([(f"{family}.*", "*") for family in families])
    play.restart_karpenter()  # it asks for offerings when it starts, and then every twelve hours
    play.deploy("capacity", pool.name, pool.resource, 1)
    play.wait(lambda: bool(_karpenter_says(play)), PATIENCE, "Karpenter's reason")
    play.check(True, "the pod says why it waits", _karpenter_says(play)[:240])
    play.check(play.stays(lambda: not play.claims_of(pool.name), 10), "nothing is bought")
    if len(families) == 1:
        play.faults.clear()
        play.tell("EC2 has capacity again")
    else:
        play.faults.withdraw([(f"{families[0]}.*", "*")])
        play.tell(f"EC2 has capacity again, but none of the cheapest family, {families[0]}")
    play.restart_karpenter()
    play.wait(lambda: play.running("capacity") == 1, PATIENCE, "a running pod")
    bought = play.view.pool(pool.name)[0].instance_type
    if len(families) > 1:
        play.check(not bought.startswith(f"{families[0]}."), "the pool falls to its next family", bought)


def fallback(play: Play) -> None:
    """Spot is out: a pool with `fallback: on-demand` buys that; Spot is back: new nodes are Spot, the dear one stays.

    Karpenter takes an offering without a Spot price for one that is not there; that is how the twin takes Spot away.
    AWS refuses at the launch (InsufficientInstanceCapacity), after which Karpenter leaves the offering out for three
    minutes; the provider's simulated EC2 never refuses.
    """
    pool = play.pool_with_fallback()
    slots = pool.slots_per_node()
    play.make_room(pool, 2)
    play.faults.set_plugin(seconds=1)
    families = _families(play, pool.name)
    play.tell(f"EC2 has no Spot capacity of {', '.join(f'{family}.*' for family in families)}, in any zone")
    play.faults.withdraw_spot([(f"{family}.*", "*") for family in families])
    play.restart_karpenter()
    play.deploy("first", pool.name, pool.resource, slots)
    seconds = play.wait(lambda: play.running("first") == slots, PATIENCE, "running pods")
    play.figures["seconds until all run"] = round(seconds, 1)
    (dear,) = play.view.pool(pool.name)
    play.check(dear.capacity_type == "on-demand", "one node was bought, on demand", f"{dear.instance_type} {dear.zone}")
    play.check(dear.slots == slots, "and is shared like any other", f"{dear.slots} slots")
    play.faults.withdraw_spot([])
    play.tell("EC2 has Spot capacity again")
    play.restart_karpenter()
    play.deploy("second", pool.name, pool.resource, 1)
    play.wait(lambda: play.running("second") == 1, PATIENCE, "a pod on a second node")
    cheap = next(node for node in play.view.pool(pool.name) if node.name != dear.name)
    play.check(cheap.capacity_type == "spot", "the next node is Spot", f"{cheap.instance_type} {cheap.zone}")
    there = [node.name for node in play.view.pool(pool.name)]
    play.check(dear.name in there and play.running("first") == slots, "nobody is moved from the dear one")
    play.figures["USD per hour, on-demand"] = round(dear.usd_per_hour, 3)
    play.figures["USD per hour, Spot"] = round(cheap.usd_per_hour, 3)


def _karpenter_says(play: Play) -> str:
    pods = {pod["metadata"]["uid"] for pod in play.pods("capacity")}
    for event in reversed(play.warnings("FailedScheduling")):
        if event["involvedObject"].get("uid") in pods and event["source"].get("component") == "karpenter":
            return str(event["message"])
    return ""


def _families(play: Play, pool: str) -> list[str]:
    """Families of a pool's types, the one with the cheapest type first."""
    manifest = play.plan.node_pool(pool)
    types = next(
        r["values"] for r in manifest["spec"]["template"]["spec"]["requirements"] if r["key"] == INSTANCE_TYPE_LABEL
    )
    usd = {t: price for t in types if (price := play.prices.node_usd_per_hour(t, "spot")) is not None}
    by_price = sorted(usd, key=lambda t: usd[t])
    return list(dict.fromkeys(t.partition(".")[0] for t in by_price))


def plugin_late(play: Play) -> None:
    """Device plugins come 25 seconds late: Karpenter waits for the nodes it has bought and buys no others."""
    pool = play.pool()
    pods = 2 * pool.slots_per_node()
    play.make_room(pool, 2)
    play.faults.set_plugin(seconds=25)
    play.deploy("late", pool.name, pool.resource, pods)
    seconds = play.wait(lambda: play.running("late") == pods, PATIENCE, f"{pods} running pods")
    play.figures["seconds until all run"] = round(seconds, 1)
    bought = len(play.claims_of(pool.name))
    play.check(bought == 2, "2 nodes were bought although they offered nothing for 25 s", f"bought {bought}")


def plugin_never(play: Play) -> None:
    """A node whose device plugin never speaks: it is reported, and replaced; its successor works."""
    pool = play.pool()
    play.make_room(pool, 2)
    play.faults.set_plugin(never=[pool.name], give_up=15)
    play.deploy("never", pool.name, pool.resource, 1)
    play.wait(lambda: bool(play.warnings(REASON)), PATIENCE, "a report")
    report = play.warnings(REASON)[0]
    dumb = report["involvedObject"]["name"]
    play.check(report["involvedObject"]["kind"] == "Node", "the node is reported", report["message"][:160])
    play.speak_again(dumb, "device plugins speak")
    play.wait(lambda: play.running("never") == 1, PATIENCE, "a running pod")
    play.check(dumb not in play.nodes_of("never"), "the pod runs on another node")
    play.wait(lambda: all(node.name != dumb for node in play.view.nodes), 120, "the end of the dumb node")
    play.check(len(play.claims_of(pool.name)) == 2, "one node was bought for the one that went")


def plugin_unknown(play: Play) -> None:
    """A label that asks for a configuration which does not exist: reported by name, replaced twice, then left alone."""
    pool = play.pool()
    planned = play.plan.node_pool(pool.name)
    labels = {**planned["spec"]["template"]["metadata"]["labels"], CONFIG_LABEL: "misspelt"}
    template = {**planned["spec"]["template"], "metadata": {"labels": labels}}
    play.kube.apply({**planned, "metadata": {"name": "misspelt"}, "spec": {**planned["spec"], "template": template}})
    play.faults.set_plugin(give_up=3)
    play.deploy("misspelt", "misspelt", GPU_RESOURCE, 1)

    def pool_reported() -> bool:
        return any(e["involvedObject"]["kind"] == "NodePool" for e in play.warnings(REASON))

    play.wait(pool_reported, 240, "a report about the pool")
    message = play.warnings(REASON)[-1]["message"]
    play.check("'misspelt'" in message, "the report names the configuration", message[:200])
    bought = len(play.claims_of("misspelt"))
    play.check(bought == 3, "two nodes were replaced, the third was not", f"bought {bought}")


def controller_restart(play: Play) -> None:
    """Every controller dies in the middle of its work: nothing is bought twice, nothing is lost."""
    pool = play.pool()
    slots = pool.slots_per_node()
    play.make_room(pool, 3)
    play.deploy("before", pool.name, pool.resource, 2 * slots)
    play.wait(lambda: play.running("before") == 2 * slots, PATIENCE, "running pods")
    nodes = {node.name for node in play.view.pool(pool.name)}
    play.deploy("during", pool.name, pool.resource, slots)
    play.wait(lambda: len(list(filter(instance_of, play.claims_of(pool.name)))) == 3, 60, "a third node, bought")
    play.wait(play.instances_are_kept, 60, "its instance, written down")
    for process in ("karpenter", "kube-controller-manager", "kube-scheduler", "kwok", "agent", "aws"):
        play.tell(f"{process} is killed")
        play.kill(process)
    play.wait(lambda: play.running("during") == slots, PATIENCE, "the pods that waited meanwhile")
    play.tell("the API server is killed")
    play.kill("kube-apiserver")
    play.wait(play.kube.ready, PATIENCE, "the API server", down=True)
    play.stays(lambda: True, 10)
    play.check(play.running("before") == 2 * slots, "every pod that ran still runs")
    play.check(nodes <= {node.name for node in play.view.pool(pool.name)}, "on the same nodes")
    bought = len(play.claims_of(pool.name))
    play.check(bought == nodes_needed(3 * slots, slots), "nothing was bought twice", f"{bought} nodes")
