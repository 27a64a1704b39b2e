"""Slots that a pool keeps free, beside all that always runs there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from config.checks.parts import Parts, Slots, attempt
from config.checks.workloads import whole_gpus
from config.errors import Path, Problem, counted
from config.schema import GpuPool, Model, Workload
from config.section import BrokenValueError
from config.services import service_name
from gpu.importance import Importance
from gpu.pool import Pool


def check_warm(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Whether warm slots find room."""
    for index, pool in enumerate(parts.pools or ()):
        if pool:
            path: Path = ("pools", index, "warm", "slots")
            yield from attempt(warm_beside(pool, path, slots, parts.workloads or (), parts.models or ()))


def warm_beside(
    pool: GpuPool,
    path: Path,
    slots: Slots,
    workloads: Iterable[Workload | None],
    models: Iterable[Model | None],
) -> Iterator[Problem]:
    """Slots that are kept free are there beside the pods that always run."""
    known, warm = slots.get(pool.name), pool.warm
    if known is None or warm is None or known.claims or known.static is not None:
        return  # has none, or may have none: said already
    most, held = known.max_slots, _beside_warm(known, workloads, models)
    if held > most or held + warm.slots <= most:
        return
    beside = f"pods that run beside them hold {held} of the pool's {counted(most, 'slot')}"
    if held == most:
        message = f"cannot be kept free: {beside}; raise maxGpus, or remove warm"
    elif held:
        message = f"must be {most - held} or less: {beside}; or raise maxGpus"
    else:
        message = f"must be {most} or less: the pool has no more slots"
    yield Problem(path, warm.slots, message)


def _beside_warm(pool: Pool, workloads: Iterable[Workload | None], models: Iterable[Model | None]) -> int:
    """Slots of the pods that run whenever warm slots are there to be taken.

    Of what scales the fewest, but of critical work the most where warm slots are those of critical work that sleeps: it
    wakes at any time, and takes nobody's place that is critical too.
    """
    found: list[tuple[Importance, int, int, int]] = []
    for workload in workloads:
        with suppress(BrokenValueError):
            if workload and workload.pool == pool.name and not workload.ends:
                fewest, most = workload.fewest_replicas, workload.most_replicas
                if workload.kind == "KnativeService":
                    fewest = most = workload.min_scale
                found.append((workload.importance, fewest, most, pool.held_slots(whole_gpus(workload, pool))))
    servers: dict[str, tuple[Importance, int]] = {}
    for model in models:
        with suppress(BrokenValueError):
            if model and model.pool == pool.name:
                servers.setdefault(service_name(model), (model.importance, model.min_scale))
    found += [(importance, pods, pods, 1) for importance, pods in servers.values()]
    may_wake = any(importance == "critical" and most == 0 for importance, _, most, _ in found)
    return sum(
        each * (most if may_wake and importance == "critical" else fewest) for importance, fewest, most, each in found
    )
