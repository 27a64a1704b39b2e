"""From copies of the cluster's objects to a scene. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpu.contract import SHARING_LABEL
from gpu.sharing import STRATEGIES
from twin.devices import Devices
from twin.kube.client import Object
from twin.plan import PlannedPool, most_gpus
from twin.prices import of_another_region, played
from twin.view import view
from twin.watch.feed import feed
from twin.watch.scene import Pool, Scene, colour_owners, pools
from twin.watch.waiting import Coming, waiting

#: What a scene is made of.
KINDS = ("Node", "NodeClaim", "NodePool", "Pod", "Event", "ResourceSlice", "ResourceClaim")

Objects = Mapping[str, Sequence[Object]]
"""Copies of objects by kind; a kind may be missing."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the objects do not say about a twin."""

    stack: str
    region: str
    """Empty as long as its plan is not known."""
    started: float
    """Seconds since 1970."""
    usd: float = 0.0
    """What its nodes would have cost so far."""
    gpu_pools: Mapping[str, PlannedPool] = field(default_factory=dict)
    stale: str = ""
    """Why the objects are old; empty when they are not."""


def compose(objects: Objects, about: About, at: float, before: Scene | None = None) -> Scene:
    """The scene at a time (seconds since 1970). before: the last one, whose colours stay."""

    def of(kind: str) -> Sequence[Object]:
        return objects.get(kind, ())

    devices = Devices(of("ResourceSlice"), of("ResourceClaim"))
    seen = view(played(about.region), of("Node"), of("NodeClaim"), of("Pod"), of("Event"), devices)
    coming = Coming(seen.pending, of("Pod"), of("Event"), of("NodeClaim"), of("Node"))
    everybody = [*seen.pending, *(pod for node in seen.nodes for pod in node.pods)]
    colours = colour_owners(before.colours if before else {}, (pod.owner for pod in everybody if pod.wants_gpu))
    # Events also speak of nodes that are gone.
    names = {**(before.names if before else {}), **coming.called}
    return Scene(
        stack=about.stack,
        prices=of_another_region(about.region),
        at=at,
        started=about.started,
        usd=about.usd,
        pools=pools(seen, pools_without_nodes(of("NodePool"), about.gpu_pools), coming, colours),
        waiting=waiting(seen.pending, coming),
        feed=feed(of("Event"), names),
        stale=about.stale,
        colours=colours,
        names=names,
    )


def pools_without_nodes(node_pools: Sequence[Object], gpu_pools: Mapping[str, PlannedPool]) -> list[Pool]:
    """The node pools as they are in the cluster, GPU pools first."""
    pools = [_pool(pool, gpu_pools.get(pool["metadata"]["name"])) for pool in node_pools]
    return sorted(pools, key=lambda pool: not pool.sharing)


def _pool(pool: Object, gpu: PlannedPool | None) -> Pool:
    labels = (pool["spec"]["template"].get("metadata") or {}).get("labels") or {}
    conditions = {c["type"]: c for c in (pool.get("status") or {}).get("conditions") or []}
    ready = conditions.get("Ready", {})
    limit = (pool["spec"].get("limits") or {}).get(gpu.resource) if gpu else None
    return Pool(
        title=pool["metadata"]["name"],
        sharing=_sharing(labels.get(SHARING_LABEL, ""), gpu) if gpu else "",
        resource=gpu.resource if gpu and not gpu.claims else "",
        limit=int(limit) if limit else None,
        most_gpus=most_gpus(pool) if gpu and gpu.claims else None,
        problem=str(ready.get("message") or "not ready") if ready.get("status") == "False" else "",
    )


def _sharing(strategy: str, gpu: PlannedPool) -> str:
    name = next((known.title for known in STRATEGIES.values() if known.strategy == strategy), strategy)
    if gpu.claims:
        return name
    slots = gpu.slots_per_node(1)
    each = f"{slots} slots per GPU" if slots > 1 else "a GPU each"
    return f"{name}, {each}" if name else each
