"""Scenarios about work of different importance: what is critical stays, what is batch gives way first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gpu.contract import CAPACITY_TYPE_LABEL, IMPORTANCE_LABEL
from gpu.importance import placing, priorities
from twin.kube.client import Object
from twin.plan import PlannedPool
from twin.scenarios.failures import send_interruption
from twin.scenarios.play import PATIENCE, Play, instance_of

_OWNER: Final = "scenario"
#: As the program gives them to pods: on a pool that buys both, critical work is made to choose.
_CRITICAL: Final = placing("critical", ("on-demand",), _OWNER)
_BATCH: Final = placing("batch", ("spot", "on-demand"), _OWNER)


def critical_stays(play: Play) -> None:
    """One pool buys both: critical work is on demand, batch on Spot; Spot is taken away, and only batch moves."""
    pool = play.pool()
    slots = pool.slots_per_node()
    _change(play, pool, slots=3 * slots, capacity_types=["spot", "on-demand"])
    with _classes(play):
        play.deploy("critical", pool.name, pool.resource, slots, placing=_CRITICAL)
        play.deploy("batch", pool.name, pool.resource, slots, placing=_BATCH)
        play.wait(lambda: play.running("critical") == play.running("batch") == slots, PATIENCE, "both, running")
        _check_bought(play, "critical", "on-demand")
        _check_bought(play, "batch", "spot")
        before, known = _where(play, "critical"), {claim["metadata"]["name"] for claim in play.claims_of(pool.name)}
        taken = [claim for claim in play.claims_of(pool.name) if _type_of(claim) == "spot"]
        play.tell(f"AWS takes all Spot nodes back: {len(taken)} of {len(known)}")
        for claim in taken:
            send_interruption(play, instance_of(claim))
        gone = {claim["metadata"]["name"] for claim in taken}
        play.wait(
            lambda: not gone & {c["metadata"]["name"] for c in play.observed.all("NodeClaim")}, PATIENCE, "their end"
        )

        def bought() -> list[Object]:
            """Once they are: what a claim buys, its labels say after the launch."""
            new = [claim for claim in play.claims_of(pool.name) if claim["metadata"]["name"] not in known]
            return new if all(map(_type_of, new)) else []

        play.wait(lambda: bool(bought()), PATIENCE, "another node for batch work")
        play.check(_where(play, "critical") == before, "no critical pod has moved or begun anew")
        types = ", ".join(sorted({_type_of(claim) for claim in bought()}))
        play.check(types == "spot", "batch work gets Spot again, though the pool may buy on demand", types)


def batch_first(play: Play) -> None:
    """A full pool: standard work takes the place of batch, critical that of standard when no batch is left."""
    pool = play.pool()
    slots = pool.slots_per_node()
    batch = slots // 2
    _change(play, pool, slots=slots)
    with _classes(play):
        play.deploy("standard", pool.name, pool.resource, slots - batch)
        play.deploy("batch", pool.name, pool.resource, batch, placing=_BATCH)
        play.wait(lambda: play.running("standard") + play.running("batch") == slots, PATIENCE, f"{slots} running pods")
        stood = set(_where(play, "standard"))
        play.tell(f"all {slots} slots of the pool's one node are taken, {batch} of them by batch work")
        play.deploy("more", pool.name, pool.resource, batch)
        seconds = play.wait(lambda: play.running("more") == batch, PATIENCE, "standard work in the place of batch")
        play.figures["seconds to a slot that batch work held"] = round(seconds, 1)
        play.check(play.running("batch") == 0, "all batch work gave way")
        play.check(set(_where(play, "standard")) == stood, "no standard work did")
        # On this pool alone: what counts is its class.
        play.deploy("critical", pool.name, pool.resource, 1, placing=replace(_CRITICAL, node_selector={}))
        play.wait(lambda: play.running("critical") == 1, PATIENCE, "critical work in the place of standard")
        first = _where(play, "critical")
        play.check(
            play.running("standard") + play.running("more") == slots - 1, "one of standard work gave way to critical"
        )
        play.deploy("more", pool.name, pool.resource, batch + 1)
        play.check(
            play.stays(lambda: _where(play, "critical") == first and play.running("batch") == 0, 5),
            "nobody takes the place of critical work, and batch waits",
        )
        play.check(len(play.claims_of(pool.name)) == 1, "the pool had no more than its one node")


def _change(play: Play, pool: PlannedPool, *, slots: int, capacity_types: Sequence[str] = ()) -> None:
    """Let a pool have so many slots in this run, and buy other capacity; the run's end puts the plan's back."""
    planned = play.plan.node_pool(pool.name)
    spec: dict[str, Any] = {**planned["spec"], "limits": {pool.resource: str(slots)}}
    template = spec["template"]
    requirements = [
        {**each, "values": [*capacity_types]} if capacity_types and each["key"] == CAPACITY_TYPE_LABEL else each
        for each in template["spec"]["requirements"]
    ]
    spec["template"] = {**template, "spec": {**template["spec"], "requirements": requirements}}
    buys = f", and buys {' and '.join(capacity_types)}" if capacity_types else ""
    play.tell(f"for this run only: pool {pool.name} may have {slots} slots{buys}")
    play.kube.apply({**planned, "spec": spec})


@contextlib.contextmanager
def _classes(play: Play) -> Iterator[None]:
    """The priority classes that such work names, for as long as it is there."""
    found = priorities(("critical", "batch"), _OWNER)
    for each in found:
        play.kube.apply(
            {
                **_CLASS,
                "metadata": {"name": each.name, "labels": {IMPORTANCE_LABEL: each.importance}},
                "value": each.value,
                "preemptionPolicy": "PreemptLowerPriority" if each.preempts else "Never",
            }
        )
    try:
        yield
    finally:
        for each in found:
            play.kube.delete(_CLASS["apiVersion"], _CLASS["kind"], each.name)


_CLASS: Final = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}


def _where(play: Play, name: str) -> Mapping[str, str]:
    """Nodes of a workload's pods, by their uid."""
    return {pod["metadata"]["uid"]: pod["spec"].get("nodeName", "") for pod in play.pods(name)}


def _type_of(claim: Object) -> str:
    return str(claim["metadata"]["labels"].get(CAPACITY_TYPE_LABEL, ""))


def _check_bought(play: Play, name: str, capacity_type: str) -> None:
    """Whether a workload's pods sit on one kind of capacity alone."""
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in play.observed.all("Node")}
    found = {nodes[node].get(CAPACITY_TYPE_LABEL, "") for node in play.nodes_of(name)}
    play.check(found == {capacity_type}, f"{name} work is on {capacity_type} alone", ", ".join(sorted(found)))
