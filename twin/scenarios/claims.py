"""Scenarios about GPUs whose memory pods claim: what is bought, who fits where, and what goes wrong. Memory in MiB."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from gpu.catalog import INSTANCE_TYPES
from gpu.claims import bought, bound, equal_slots, pools_by_size
from gpu.contract import DEVICE_CLASS, DEVICE_MEMORY, GPU_RESOURCE, INSTANCE_TYPE_LABEL
from gpu.host_share import node_room
from gpu.sharing.memory import template_name
from twin.play.agent.dra import OTHERWISE
from twin.play.agent.lost import REASON
from twin.play.dra_driver import DEVICES_API
from twin.scenarios.failures import send_interruption
from twin.scenarios.play import NAMESPACE, Failed, Play, workload

_PATIENCE = 150.0
#: Three models of unequal size that share an L4, one that fits beside them, and one that does not.
_UNEQUAL = (5632, 6554, 3277)
_FOURTH, _FIFTH = 4000, 10240
#: Sizes of pods in the larger runs: 1.4 to 11.2 GiB in steps of about half a GiB.
SIZES = tuple(range(1434, 11469, 557))
#: GPUs that many mixed pods may take, of those that no placing can do without.
MOST_OVER_BOUND = 1.15


def claim_pool(play: Play) -> str:
    """Name of the first pool whose pods claim memory. Raises Failed without any."""
    if not play.plan.claim_pools:
        raise Failed(
            f"stack {play.plan.stack} has no pool with `sharing: {{strategy: memory}}`; stack memory has one: "
            "`slices scenario NAME memory`"
        )
    return play.plan.claim_pools[0].name


def largest_mib(play: Play, pool: str) -> int:
    """Memory of the largest GPU that a pool may buy, as its driver shows it."""
    return max(INSTANCE_TYPES[name].gpu.memory.total_mib for name in types_of(play, pool))


def types_of(play: Play, pool: str) -> Sequence[str]:
    """Instance types that a pool may buy."""
    requirements = play.plan.node_pool(pool)["spec"]["template"]["spec"]["requirements"]
    found: Sequence[str] = next(each["values"] for each in requirements if each["key"] == INSTANCE_TYPE_LABEL)
    return found


def make_room(play: Play, pool: str, gpus: int) -> None:
    """Let a pool have so many GPUs in this run, where its limit of processors is lower; say so."""
    vcpus = min(INSTANCE_TYPES[name].vcpus // INSTANCE_TYPES[name].gpu_count for name in types_of(play, pool))
    limits = play.plan.node_pool(pool)["spec"].get("limits") or {}
    if int(limits.get("cpu", gpus * vcpus)) < gpus * vcpus:
        play.tell(f"for this run only: pool {pool} may have {gpus} GPUs, that is {gpus * vcpus} vCPUs")
        play.limit(pool, {"cpu": str(gpus * vcpus)})


def claim(play: Play, name: str, pool: str, mib: int, replicas: int = 1, *, host: bool = False) -> None:
    """Pods that claim so much of a GPU each; called again, it changes their number.

    host: they also ask for processors and memory of the host in proportion to it, as the stack's own pods do.
    """
    play.kube.apply(
        {
            "apiVersion": DEVICES_API,
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": template_name(mib), "namespace": NAMESPACE},
            "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": _request(mib)}]}}},
        }
    )
    requests = _host(types_of(play, pool)[0], mib) if host else {"cpu": "50m", "memory": "64Mi"}
    made = workload(name, pool, replicas, {"requests": requests, "claims": [{"name": "gpu"}]})
    made["spec"]["template"]["spec"]["resourceClaims"] = [
        {"name": "gpu", "resourceClaimTemplateName": template_name(mib)}
    ]
    play.kube.apply(made)


def _request(mib: int) -> dict[str, Any]:
    return {"deviceClassName": DEVICE_CLASS, "count": 1, "capacity": {"requests": {DEVICE_MEMORY: f"{mib}Mi"}}}


def _host(instance_type: str, mib: int) -> Mapping[str, str]:
    kind = INSTANCE_TYPES[instance_type]
    room, part = node_room(kind), mib / kind.gpu.memory.total_mib
    return {"cpu": f"{int(room.cpu_millis * part)}m", "memory": f"{int(room.memory_mib * part)}Mi"}


def unequal(play: Play, pool: str, sizes: Sequence[int] = _UNEQUAL) -> list[str]:
    """Ask for pods of these sizes at once and wait until all run; their names."""
    names = [f"model-{mib}" for mib in sizes]
    for name, mib in zip(names, sizes, strict=True):
        claim(play, name, pool, mib)
    seconds = play.wait(lambda: all(play.running(name) for name in names), _PATIENCE, "running pods")
    play.figures["seconds until all run"] = round(seconds, 1)
    return names


def check_devices(play: Play) -> None:
    """No GPU is promised more often than it has memory."""
    over = play.devices.overfull()
    play.check(not over, "no GPU's claims are more than its memory", ", ".join(f"{k}: {v}" for k, v in over.items()))


# --- Scenarios --------------------------------------------------------------------------------------------------------


def claims(play: Play) -> None:
    """Unequal models share one GPU; a fourth joins, a fifth gets a second, one is too large; and back to zero."""
    pool = claim_pool(play)
    make_room(play, pool, 3)
    play.empty_soon(pool)
    names = unequal(play, pool)
    nodes = play.view.pool(pool)
    play.check(len(play.claims_of(pool)) == 1, f"{', '.join(map(str, _UNEQUAL))} MiB on one GPU", _types(play, pool))
    play.check(nodes[0].claimed_mib == sum(_UNEQUAL), f"{nodes[0].claimed_mib} of {nodes[0].mib} MiB are claimed")
    claim(play, "fourth", pool, _FOURTH)
    seconds = play.wait(lambda: play.running("fourth") == 1, _PATIENCE, f"a fourth pod of {_FOURTH} MiB")
    play.figures["seconds to the fourth"] = round(seconds, 1)
    play.check(len(play.claims_of(pool)) == 1, f"{_FOURTH} MiB more fit on it, and nothing is bought")
    too_large = largest_mib(play, pool) + 1
    claim(play, "too-large", pool, too_large)
    claim(play, "fifth", pool, _FIFTH)
    seconds = play.wait(lambda: play.running("fifth") == 1, _PATIENCE, f"a fifth pod of {_FIFTH} MiB")
    play.figures["seconds to the fifth"] = round(seconds, 1)
    play.check(len(play.claims_of(pool)) == 2, f"for {_FIFTH} MiB a second GPU is bought")
    said = _waits(play, "too-large")
    play.check("no instance type" in said, f"{too_large} MiB wait with Karpenter's reason", said[:200])
    check_devices(play)
    for name in (*names, "fourth", "fifth", "too-large"):
        play.scale(name, 0)
    seconds = play.wait(lambda: not play.observed.all("ResourceClaim"), 60, "no claims")
    play.figures["seconds to zero claims"] = round(seconds, 1)
    seconds = play.wait(lambda: not play.view.gpu_nodes, _PATIENCE, "zero nodes")
    play.figures["seconds to zero nodes"] = round(seconds, 1)
    play.wait(lambda: not play.observed.all("ResourceSlice"), 30, "no devices")
    play.check(True, "when nobody claims any more, no claim, no node and no ResourceSlice is left")


def claims_lost(play: Play) -> None:
    """AWS takes the node under three unequal models: they come back together on one other, and the old devices go."""
    pool = claim_pool(play)
    make_room(play, pool, 2)
    names = unequal(play, pool)
    old = play.view.pool(pool)[0]
    found = next(c for c in play.observed.all("NodeClaim") if c["status"].get("nodeName") == old.name)
    instance = found["status"]["providerID"].rpartition("/")[2]
    play.tell(f"AWS warns: {instance}, {old.instance_type} in {old.zone}, ends in two minutes")
    send_interruption(play, instance)
    seconds = play.wait(
        lambda: all(play.running(name) and old.name not in play.nodes_of(name) for name in names),
        _PATIENCE,
        "all models on another node",
    )
    play.figures["seconds until all run again"] = round(seconds, 1)
    play.check(len({node for name in names for node in play.nodes_of(name)}) == 1, "on one GPU again")
    play.wait(lambda: not play.devices.of_node(old.name), 60, "the end of the old node's devices")
    play.check(True, "the ResourceSlice went with its node")
    play.check(len(play.claims_of(pool)) == 2, "one node was bought for the one that went")
    check_devices(play)


def both_worlds(play: Play) -> None:
    """Pods with a slot, a claim or neither, thrown at both kinds of pool: each lands where it may, or says why not."""
    pool, slots = claim_pool(play), play.pool()
    make_room(play, pool, 2)
    play.make_room(slots, 2)
    whole = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {GPU_RESOURCE: "1"}}
    nothing = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    for where in (pool, slots.name):
        play.kube.apply(workload(f"slot-at-{where}", where, 1, whole))
        play.kube.apply(workload(f"neither-at-{where}", where, 1, nothing, tolerations=()))
        claim(play, f"claim-at-{where}", where, _FOURTH)
    right = [f"claim-at-{pool}", f"slot-at-{slots.name}"]
    wrong = [f"slot-at-{pool}", f"claim-at-{slots.name}", f"neither-at-{pool}", f"neither-at-{slots.name}"]
    seconds = play.wait(lambda: all(play.running(name) for name in right), _PATIENCE, "the pods that are right")
    play.figures["seconds until the right ones run"] = round(seconds, 1)
    play.stays(lambda: True, 10)  # a purchase for one of the others would follow now
    for name in wrong:
        play.check(not play.nodes_of(name), f"{name} has no node", _waits(play, name)[:160])
    play.check(all(_waits(play, name) for name in wrong), "each says why it waits")
    play.check(len(play.claims_of(pool)) == 1 and len(play.claims_of(slots.name)) == 1, "one node of each was bought")
    play.check(
        not any(node.slots for node in play.view.pool(pool)), "no device plugin offers what the driver has published"
    )
    play.check(
        not any(play.devices.of_node(node.name) for node in play.view.pool(slots.name)),
        "and no driver publishes what a device plugin offers",
    )


def driver_late(play: Play) -> None:
    """Drivers publish 25 seconds late: Karpenter waits for the nodes it has bought, and buys no others."""
    pool = claim_pool(play)
    make_room(play, pool, 2)
    play.faults.set_plugin(seconds=25)
    unequal(play, pool)
    play.check(len(play.claims_of(pool)) == 1, "one node was bought although it had no devices for 25 s")


def driver_never(play: Play) -> None:
    """A node whose driver never publishes: it is reported, and replaced; its successor works."""
    pool = claim_pool(play)
    make_room(play, pool, 2)
    play.faults.set_plugin(never=[pool], give_up=5)
    claim(play, "never", pool, _FOURTH)
    play.wait(lambda: bool(play.warnings(REASON)), _PATIENCE, "a report")
    report = play.warnings(REASON)[0]
    dumb = report["involvedObject"]["name"]
    play.check("has no devices" in report["message"], "the node is reported", report["message"][:160])
    play.faults.clear()
    play.tell("from now on drivers publish again")
    play.wait(lambda: play.running("never") == 1, _PATIENCE, "a running pod")
    play.check(dumb not in play.nodes_of("never"), "the pod runs on another node")
    play.check(len(play.claims_of(pool)) == 2, "one node was bought for the one that went")


def driver_wrong(play: Play) -> None:
    """A driver that shares no GPU although Karpenter counts on it: each pod gets one alone; the node is reported."""
    pool = claim_pool(play)
    make_room(play, pool, 2)
    play.faults.set_plugin(consumable_shares="disabled")
    for name in ("first", "second"):
        claim(play, name, pool, _FOURTH)
    play.wait(lambda: bool(play.warnings(OTHERWISE)), _PATIENCE, "a report")
    report = play.warnings(OTHERWISE)[0]
    play.check("consumableShares: disabled" in report["message"], "the node is reported", report["message"][:200])

    def running() -> int:
        return play.running("first") + play.running("second")

    play.wait(lambda: running() == 1, 30, "one running pod")
    play.check(play.stays(lambda: running() == 1, 5), "the GPU is for one pod alone")
    play.wait(lambda: running() == 2, _PATIENCE, "the other pod")
    play.check(len(play.claims_of(pool)) == 2, "and another GPU is bought for the other")


def mixed(play: Play, pods: int = 60) -> None:
    """Many pods of mixed sizes at once: how many GPUs they take, beside the bound, equal slots, and a pool per size."""
    pool = claim_pool(play)
    play_mixed(play, pool, draw(pods, 1))


def draw(pods: int, seed: int) -> list[int]:
    """Sizes of so many pods, in MiB."""
    chance = random.Random(seed)
    return [chance.choice(SIZES) for _ in range(pods)]


def play_mixed(play: Play, pool: str, sizes: Sequence[int]) -> None:
    """Ask for pods of these sizes, with their share of the host, and check what was bought for them."""
    gpu = largest_mib(play, pool)
    least = bound(sizes, gpu)
    make_room(play, pool, 2 * least)
    play.tell(f"{len(sizes)} pods of {min(sizes)} to {max(sizes)} MiB on GPUs of {gpu} MiB")
    names = {f"mixed-{mib}": mib for mib in sizes}
    for name, mib in names.items():
        claim(play, name, pool, mib, sizes.count(mib), host=True)
    seconds = play.wait(
        lambda: sum(map(play.running, names)) == len(sizes), _PATIENCE + 2 * len(sizes), f"{len(sizes)} running pods"
    )
    gpus = len(play.claims_of(pool))
    play.check(gpus <= MOST_OVER_BOUND * least, f"{gpus} GPUs, at most {MOST_OVER_BOUND} x the bound of {least}")
    check_devices(play)
    play.figures |= {
        "seconds until all run": round(seconds, 1),
        "GPUs bought": gpus,
        "GPUs used": len({node for name in names for node in play.nodes_of(name)}),
        "bound": least,
        "model of Karpenter's choice": len(bought(sorted(sizes, reverse=True), gpu)),
        "equal slots": equal_slots(sizes, gpu),
        "a pool per size": pools_by_size(sizes, gpu),
        "USD per hour": round(sum(node.usd_per_hour for node in play.view.pool(pool)), 3),
    }


def _types(play: Play, pool: str) -> str:
    return ", ".join(f"{node.instance_type} {node.capacity_type}" for node in play.view.pool(pool))


def _waits(play: Play, name: str) -> str:
    """Why a workload's pod waits: Karpenter's word, or the scheduler's."""
    return next((pod.reason for pod in play.view.pending if pod.owner == name), "")
