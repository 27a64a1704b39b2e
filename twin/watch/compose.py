"""From copies of the cluster's objects to a scene. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twin.kube import Object
from twin.plan import GpuPool
from twin.view import view
from twin.watch.feed import feed
from twin.watch.scene import PoolPlan, Scene, colour_owners, pools
from twin.watch.waiting import Coming, waiting
from twin.watch.words import clean

#: What a scene is made of.
KINDS = ("Node", "NodeClaim", "NodePool", "Pod", "Event")
#: Changes of the price that are remembered.
MOST_HISTORY = 600
#: Nodes whose names are remembered: events speak of those that are gone.
MOST_NAMES = 5000
_SHARING_LABEL = "gpu-slices/sharing"

Objects = Mapping[str, Sequence[Object]]
"""Copies of objects by kind; a kind may be missing."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the objects do not say about a twin."""

    stack: str
    started: float
    """Seconds since 1970."""
    usd: float = 0.0
    """What its nodes would have cost so far."""
    gpu_pools: Mapping[str, GpuPool] = field(default_factory=dict)
    stale: str = ""
    """Why the objects are old; empty when they are not."""


def compose(objects: Objects, about: About, at: float, before: Scene | None = None) -> Scene:
    """The scene at a time (seconds since 1970). before: the last one, whose colours stay."""

    def of(kind: str) -> Sequence[Object]:
        return objects.get(kind, ())

    seen = view(of("Node"), of("NodeClaim"), of("Pod"), of("Event"))
    coming = Coming(seen.pending, of("Pod"), of("Event"), of("NodeClaim"), of("Node"))
    everybody = [*seen.pending, *(pod for node in seen.nodes for pod in node.pods)]
    colours = colour_owners(before.colours if before else {}, (pod.owner for pod in everybody if pod.slots))
    names = {**(before.names if before else {}), **coming.called}
    names = dict(list(names.items())[-MOST_NAMES:])
    history = before.history if before else ()
    if not history or history[-1][1] != seen.usd_per_hour:
        history = (*history[-MOST_HISTORY + 1 :], (at, seen.usd_per_hour))
    return Scene(
        stack=about.stack,
        at=at,
        started=about.started,
        usd=about.usd,
        pools=tuple(pools(seen, pool_plans(of("NodePool"), about.gpu_pools), coming, colours, at)),
        waiting=waiting(seen.pending, coming),
        feed=feed(of("Event"), names),
        history=history,
        stale=about.stale,
        colours=colours,
        names=names,
    )


def pool_plans(node_pools: Sequence[Object], gpu_pools: Mapping[str, GpuPool]) -> list[PoolPlan]:
    """The node pools as they are in the cluster, GPU pools first."""
    plans = [_plan(pool, gpu_pools.get(pool["metadata"]["name"])) for pool in node_pools]
    return sorted(plans, key=lambda plan: not plan.sharing)


def _plan(pool: Object, gpu: GpuPool | None) -> PoolPlan:
    labels = (pool["spec"]["template"].get("metadata") or {}).get("labels") or {}
    conditions = {c["type"]: c for c in (pool.get("status") or {}).get("conditions") or []}
    ready = conditions.get("Ready", {})
    limit = (pool["spec"].get("limits") or {}).get(gpu.resource) if gpu else None
    return PoolPlan(
        name=pool["metadata"]["name"],
        sharing=_sharing(labels.get(_SHARING_LABEL, ""), gpu) if gpu else "",
        resource=gpu.resource if gpu else "",
        limit=int(limit) if limit else None,
        problem=clean(str(ready.get("message") or "not ready")) if ready.get("status") == "False" else "",
    )


def _sharing(strategy: str, gpu: GpuPool) -> str:
    name = {"mps": "MPS", "mig": "MIG", "none": "", "": ""}.get(strategy, strategy)
    slots = gpu.slots_per_node(1)
    each = f"{slots} slots per GPU" if slots > 1 else "a GPU each"
    return f"{name}, {each}" if name else each
