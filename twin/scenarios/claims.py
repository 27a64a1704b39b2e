"""Scenarios about GPUs whose memory pods claim: what is bought, who fits where, and what goes wrong. Memory in MiB."""

from __future__ import annotations

from gpu.contract import DEVICE_CLASS, DEVICE_CLASS_PREFIX, GPU_RESOURCE
from twin.kube.client import ApiError
from twin.play.agent.dra import OTHERWISE
from twin.play.agent.lost import REASON
from twin.scenarios import claiming
from twin.scenarios.claiming import Claiming, Kill, claim_template
from twin.scenarios.failures import send_interruption
from twin.scenarios.play import NAMESPACE, PATIENCE, Play, instance_of, workload

#: Three models of unequal size that share an L4, one that fits beside them, and one that does not.
_UNEQUAL = (5632, 6554, 3277)
_FOURTH, _FIFTH = 4000, 10240
#: Of what the API server says by one of the plan's policies.
_REFUSED = "ValidatingAdmissionPolicy"


def claims(play: Play) -> None:
    """Unequal models share one GPU; a fourth joins, a fifth gets a second, one is too large; and back to zero."""
    on = Claiming.of(play)
    on.make_room(3)
    play.empty_soon(on.pool)
    names = on.together(_UNEQUAL)
    (node,) = play.view.pool(on.pool)
    play.check(on.bought == 1, f"{', '.join(map(str, _UNEQUAL))} MiB on one GPU", node.instance_type)
    play.check(node.claimed_mib == sum(_UNEQUAL), f"{node.claimed_mib} of {node.mib} MiB are claimed")
    on.ask("fourth", _FOURTH)
    seconds = play.wait(lambda: play.running("fourth") == 1, PATIENCE, f"a fourth pod of {_FOURTH} MiB")
    play.figures["seconds to the fourth"] = round(seconds, 1)
    play.check(on.bought == 1, f"{_FOURTH} MiB more fit on it, and nothing is bought")
    on.ask("too-large", on.gpu_mib + 1)
    on.ask("fifth", _FIFTH)
    seconds = play.wait(lambda: play.running("fifth") == 1, PATIENCE, f"a fifth pod of {_FIFTH} MiB")
    play.figures["seconds to the fifth"] = round(seconds, 1)
    play.check(on.bought == 2, f"for {_FIFTH} MiB a second GPU is bought")
    said = on.why("too-large")
    play.check(
        "no instance type can satisfy" in said, f"{on.gpu_mib + 1} MiB wait, and Karpenter says why", said[-200:]
    )
    on.check_devices()
    _to_zero(play, [*names, "fourth", "fifth", "too-large"])


def _to_zero(play: Play, names: list[str]) -> None:
    for name in names:
        play.scale(name, 0)
    seconds = play.wait(lambda: not play.observed.all("ResourceClaim"), PATIENCE, "no claims")
    play.figures["seconds to zero claims"] = round(seconds, 1)
    seconds = play.wait(lambda: not play.view.gpu_nodes, PATIENCE, "zero nodes")
    play.figures["seconds to zero nodes"] = round(seconds, 1)
    play.wait(lambda: not play.observed.all("ResourceSlice"), PATIENCE, "no devices")
    play.check(True, "when nobody claims any more, no claim, no node and no ResourceSlice is left")


def claims_lost(play: Play) -> None:
    """AWS takes the node under three unequal models: they come back together on one other, and the old devices go."""
    on = Claiming.of(play)
    on.make_room(2)
    names = on.together(_UNEQUAL)
    old = play.view.pool(on.pool)[0]
    instance = instance_of(play.claim_of(old.name))
    play.tell(f"AWS warns: {instance}, {old.instance_type} in {old.zone}, ends in two minutes")
    send_interruption(play, instance)
    seconds = play.wait(
        lambda: all(play.running(name) and old.name not in play.nodes_of(name) for name in names),
        PATIENCE,
        "all models on another node",
    )
    play.figures["seconds until all run again"] = round(seconds, 1)
    play.check(len({node for name in names for node in play.nodes_of(name)}) == 1, "on one GPU again")
    play.wait(lambda: not play.devices.of_node(old.name), PATIENCE, "the end of the old node's devices")
    play.check(True, "the ResourceSlice went with its node")
    play.check(on.bought == 2, "one node was bought for the one that went")
    on.check_devices()


def both_worlds(play: Play) -> None:
    """Pods with a slot, a claim or neither, thrown at both kinds of pool: each lands where it may, or says why not. Who
    would take a claimed GPU whole is refused."""
    on, slots = Claiming.of(play), play.pool()
    on.make_room(2)
    play.make_room(slots, 2)
    host = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    for where in (on.pool, slots.name):
        play.kube.apply(workload(f"slot-at-{where}", where, 1, {**host, "limits": {GPU_RESOURCE: "1"}}))
        play.kube.apply(workload(f"neither-at-{where}", where, 1, host, tolerations=()))
        on.ask(f"claim-at-{where}", _FOURTH, pool=where)
    right = [f"claim-at-{on.pool}", f"slot-at-{slots.name}"]
    wrong = [f"slot-at-{on.pool}", f"claim-at-{slots.name}", f"neither-at-{on.pool}", f"neither-at-{slots.name}"]
    seconds = play.wait(lambda: all(map(play.running, right)), PATIENCE, "the pods that are right")
    play.figures["seconds until the right ones run"] = round(seconds, 1)
    _whole(play, on)
    play.stays(lambda: True, 10)  # a purchase for one of the others would follow now
    for name in wrong:
        why = on.why(name)
        play.check(not play.nodes_of(name) and bool(why), f"{name} waits with a reason", why[-160:])
    bought = [len(play.claims_of(pool)) for pool in (on.pool, slots.name)]
    play.check(bought == [1, 1], "one node of each pool was bought", f"{bought}")
    play.check(not any(n.slots for n in play.view.pool(on.pool)), "no device plugin offers what a driver has published")
    play.check(
        not any(play.devices.of_node(node.name) for node in play.view.pool(slots.name)),
        "and no driver publishes what a device plugin offers",
    )


def _whole(play: Play, on: Claiming) -> None:
    """Ask for a whole GPU of the pool, by the resource of its class and by a claim without a size."""
    resource = f"{DEVICE_CLASS_PREFIX}{DEVICE_CLASS}"
    play.kube.apply(workload("whole", on.pool, 1, {"limits": {resource: "1"}}))
    play.wait(lambda: bool(_no_pods("whole", play)), 30, f"a word about pods that request {resource}")
    said = _no_pods("whole", play)
    play.check(_REFUSED in said, f"no pod is made that requests {resource}", _last(said))
    try:
        play.kube.apply(claim_template("whole", {"deviceClassName": DEVICE_CLASS, "count": 1}))
    except ApiError as error:
        said = str(error)
    else:
        said = "it is there"
    play.check(_REFUSED in said, "nor a template of claims without a size", _last(said))


def _last(said: str) -> str:
    """What a policy says, without the words of the API server before it."""
    return said.rpartition("denied request: ")[2]


def _no_pods(name: str, play: Play) -> str:
    """Why no pods of a workload are made; empty where they are."""
    found = play.kube.get("apps/v1", "Deployment", name, NAMESPACE) or {}
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((str(each["message"]) for each in conditions if each["type"] == "ReplicaFailure"), "")


def driver_late(play: Play) -> None:
    """Drivers publish 25 seconds late: Karpenter waits for the nodes it has bought, and buys no others."""
    on = Claiming.of(play)
    on.make_room(2)
    play.faults.set_plugin(seconds=25)
    on.together(_UNEQUAL)
    play.check(on.bought == 1, "one node was bought although it had no devices for 25 s")


def driver_never(play: Play) -> None:
    """A node whose driver never publishes: it is reported, and replaced; its successor works."""
    on = Claiming.of(play)
    on.make_room(2)
    play.faults.set_plugin(never=[on.pool], give_up=5)
    on.ask("never", _FOURTH)
    play.wait(lambda: bool(play.warnings(REASON)), PATIENCE, "a report")
    report = play.warnings(REASON)[0]
    dumb = report["involvedObject"]["name"]
    play.check("has no devices" in report["message"], "the node is reported", report["message"][:160])
    play.speak_again(dumb, "drivers publish")
    play.wait(lambda: play.running("never") == 1, PATIENCE, "a running pod")
    play.check(dumb not in play.nodes_of("never"), "the pod runs on another node")
    play.check(on.bought == 2, "one node was bought for the one that went")


def driver_wrong(play: Play) -> None:
    """A driver that shares no GPU although Karpenter counts on it: each pod gets one alone; the node is reported."""
    on = Claiming.of(play)
    on.make_room(2)
    play.faults.set_plugin(consumable_shares="disabled")
    names = ("first", "second")
    for name in names:
        on.ask(name, _FOURTH)
    play.wait(lambda: bool(play.warnings(OTHERWISE)), PATIENCE, "a report")
    report = play.warnings(OTHERWISE)[0]
    play.check("consumableShares: disabled" in report["message"], "the node is reported", report["message"][:200])
    play.wait(lambda: sum(map(play.running, names)) == 1, 60, "one running pod")
    play.check(play.stays(lambda: sum(map(play.running, names)) == 1, 5), "the GPU is for one pod alone")
    play.wait(lambda: sum(map(play.running, names)) == 2, PATIENCE, "the other pod")
    play.check(on.bought == 2, "and another GPU is bought for the other")


def claims_limit(play: Play) -> None:
    """Twice as many claims as `maxGpus` holds, from zero and on nodes that run, Karpenter killed: never more GPUs."""
    on = Claiming.of(play)
    kills: list[tuple[str, Kill]] = [("from-zero", "bought"), ("on-nodes", "asked")]
    for name, kill in kills:
        most = on.burst(name, kill)
        play.check(most == on.most_gpus, f"{name}: {most} GPUs at most, as maxGpus says", on.why(name)[-160:])
        on.end(name)
    on.check_devices()


def mixed(play: Play, pods: int = 60) -> None:
    """Many pods of mixed sizes at once: how many GPUs they take, beside the bound, equal slots, a pool per size."""
    play.figures |= Claiming.of(play).mixed(claiming.draw(pods, 1))
