"""Checks of pools with a fixed number of nodes: what says something only of nodes that come and go, and their room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.errors import MISSING, Path, Problem, counted, listed
from config.pool_schema import GpuPool
from gpu.catalog import InstanceType
from gpu.pool import Purchase


def check_static(pool: GpuPool, path: Path, types: Sequence[InstanceType]) -> Iterator[Problem]:
    """Everything about `static`, where the pool has it."""
    if pool.static is None:
        return
    place, nodes = (*path, "static"), pool.static.replicas
    yield from _idle(pool, path)
    if pool.sharing.profile().claims:
        message = (
            "is for slots, and pods of this pool claim memory, for which Karpenter buys nodes when somebody claims it: "
            "remove it, or use another strategy than memory"
        )
        yield Problem(place, MISSING, message)
        return
    counts = sorted({t.gpu_count for t in types})
    if len(counts) > 1:
        message = f"needs nodes of one size, and the pool's types have {listed(counts)} GPUs: "
        yield Problem(place, MISSING, message + _of_one_size(pool, types))
        return
    needed = static_room(nodes, counts[0], pool.capacity_type)
    if pool.max_gpus < needed:
        room = "" if pool.capacity_type == "reserved" else ", and one more for the time in which one is replaced"
        stand = f"{counted(nodes, 'node')} of {counted(counts[0], 'GPU')} always stand{'s' if nodes == 1 else ''}"
        message = f"must be {needed} or more: {stand}"
        yield Problem((*path, "maxGpus"), pool.max_gpus, f"{message}{room}")


def _of_one_size(pool: GpuPool, types: Sequence[InstanceType]) -> str:
    """What to write so that nodes have one number of GPUs: one that all families have, or else the commonest."""
    key = "instanceFamilies" if pool.instance_families else "instanceTypes"
    named: dict[str, set[int]] = {}
    for each in types:
        named.setdefault(each.family if pool.instance_families else each.name, set()).add(each.gpu_count)
    kept = min(set().union(*named.values()), key=lambda count: (-sum(count in has for has in named.values()), count))
    wrong = [name for name, has in named.items() if kept not in has]
    remove = [f"remove {listed(wrong, 'and')} from {key}"] if wrong else []
    write = [f"write gpusPerNode: [{kept}]"] if pool.gpus_per_node else []
    return ", and ".join(remove + write)


def static_room(nodes: int, gpus_per_node: int, purchase: Purchase) -> int:
    """Least maxGpus of so many nodes that always stand.

    One more than stand: else Karpenter replaces none whose image or cut has changed, since a new one comes first.
    Reserved capacity has what it has.
    """
    return (nodes if purchase == "reserved" else nodes + 1) * gpus_per_node


def _idle(pool: GpuPool, path: Path) -> Iterator[Problem]:
    """What Karpenter ignores of such a pool, and what its nodes are already."""
    if pool.consolidation_policy != "WhenEmpty":
        message = "says when nodes go, and those of a static pool stay: remove one of the two"
        yield Problem((*path, "consolidationPolicy"), pool.consolidation_policy, message)
    if "consolidate_after" in pool.model_fields_set:
        message = "says when nodes go, and those of a static pool stay: leave it out"
        yield Problem((*path, "consolidateAfter"), pool.consolidate_after, message)
    if pool.warm is not None:
        message = "keeps slots free by further nodes, and a static pool has no more: leave it out"
        yield Problem((*path, "warm"), MISSING, message)
