"""Checks of what must run at the same time: has the pool a slot for each? Of claims: `config.checks.claims`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import assert_never

from config.checks.parts import Parts, Slots, attempt
from config.checks.workloads import whole_gpus
from config.errors import MISSING, Path, Problem, counted, listed
from config.schema import Dialogue, GpuPool, Model, Workload
from config.section import BrokenValueError
from config.services import service_name
from gpu.importance import Importance
from gpu.pool import Pool


def check_together(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Deployments, and models and KnativeServices that never sleep, hold their slots; a dialogue finds its own."""
    standing: dict[str, int] = {}
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            yield from attempt(_standing(index, workload, slots, standing))
    awake: dict[str, Model] = {}
    for index, model in enumerate(parts.models or ()):
        if model:
            yield from attempt(_awake(index, model, slots, standing, awake))
    for index, pool in enumerate(parts.pools or ()):
        if pool:
            yield from attempt(_warm(pool, ("pools", index, "warm", "slots"), parts, slots))
    if parts.dialogue:
        yield from attempt(_dialogue(parts.dialogue, parts, slots, standing))


def _standing(index: int, workload: Workload, slots: Slots, standing: dict[str, int]) -> Iterator[Problem]:
    match workload.kind:
        case "Job" | "CronJob":
            return
        case "Deployment":
            replicas = workload.most_replicas
            key: Path = ("autoscaling", "maxReplicas") if workload.autoscaling else ("replicas",)
        case "KnativeService":
            replicas, key = workload.min_scale, ("minScale",)
        case _:
            assert_never(workload.kind)
    pool = slots.get(workload.pool)
    before = standing.get(workload.pool, 0)
    most = pool.max_slots if pool and not pool.claims else None
    each = pool.held_slots(whole_gpus(workload, pool)) if pool else 1
    if most is not None and before + replicas * each > most:
        left = f"{most - before} left of its {counted(most, 'slot')}" if before else counted(most, "slot")
        holds = "one" if each == 1 else str(each)
        message = (
            f"must be {(most - before) // each} or less: pool {workload.pool} has {left}, and each pod holds {holds}"
        )
        yield Problem(("workloads", index, *key), replicas, message)
    else:
        standing[workload.pool] = before + replicas * each


def _awake(
    index: int, model: Model, slots: Slots, standing: dict[str, int], awake: dict[str, Model]
) -> Iterator[Problem]:
    """Slots of models that never sleep; those of one server hold theirs together."""
    if model.min_scale == 0 or service_name(model) in awake:
        return
    awake[service_name(model)] = model
    pool, before = slots.get(model.pool), standing.get(model.pool, 0)
    most = pool.max_slots if pool and not pool.claims else None
    if most is not None and before + model.min_scale > most:
        left = f"{most - before} left of its {counted(most, 'slot')}" if before else counted(most, "slot")
        message = (
            f"must be {most - before} or less: pool {model.pool} has {left}, and each pod that always runs holds one"
        )
        yield Problem(("models", index, "minScale"), model.min_scale, message)
    else:
        standing[model.pool] = before + model.min_scale


def _warm(pool: GpuPool, path: Path, parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Slots that are kept free are there beside the pods that always run."""
    known, warm = slots.get(pool.name), pool.warm
    if known is None or warm is None or known.claims or known.static is not None:
        return  # has none, or may have none: said already
    most, held = known.max_slots, _beside_warm(parts, known)
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


def _beside_warm(parts: Parts, pool: Pool) -> int:
    """Slots of the pods that run whenever warm slots are there to be taken.

    Of what scales the fewest, but of critical work the most where warm slots are those of critical work that sleeps: it
    wakes at any time, and takes nobody's place that is critical too.
    """
    found: list[tuple[Importance, int, int, int]] = []
    for workload in parts.workloads or ():
        with suppress(BrokenValueError):
            if workload and workload.pool == pool.name and not workload.ends:
                fewest, most = workload.fewest_replicas, workload.most_replicas
                if workload.kind == "KnativeService":
                    fewest = most = workload.min_scale
                found.append((workload.importance, fewest, most, pool.held_slots(whole_gpus(workload, pool))))
    servers: dict[str, tuple[Importance, int]] = {}
    for model in parts.models or ():
        with suppress(BrokenValueError):
            if model and model.pool == pool.name:
                servers.setdefault(service_name(model), (model.importance, model.min_scale))
    found += [(importance, pods, pods, 1) for importance, pods in servers.values()]
    may_wake = any(importance == "critical" and most == 0 for importance, _, most, _ in found)
    return sum(
        each * (most if may_wake and importance == "critical" else fewest) for importance, fewest, most, each in found
    )


def _dialogue(dialogue: Dialogue, parts: Parts, slots: Slots, standing: dict[str, int]) -> Iterator[Problem]:
    models = {model.name: model for model in reversed(parts.models or ()) if model}
    together: dict[str, dict[str, list[str]]] = {}
    for name in dict.fromkeys((*dialogue.speakers, *dialogue.guests)):
        if name in models:
            model = models[name]
            together.setdefault(model.pool, {}).setdefault(service_name(model), []).append(name)
    own = {
        service_name(models[name]): models[name] for by in together.values() for names in by.values() for name in names
    }
    for pool_name, by_service in together.items():
        pool = slots.get(pool_name)
        most = pool.max_slots if pool and not pool.claims else None
        # A speaker that never sleeps holds its slot already.
        taken = standing.get(pool_name, 0) - sum(min(own[service].min_scale, 1) for service in by_service)
        if most is not None and len(by_service) + taken > most:
            names = [name for names in by_service.values() for name in names]
            others = "a pod that always runs" if taken == 1 else f"{taken} pods that always run"
            beside = f" beside {others}" if taken else ""
            message = (
                f"makes {listed(names, 'and')} run together{beside}, but pool {pool_name} has "
                f"{counted(most, 'slot')}: raise its maxGpus or its slots per GPU"
            )
            yield Problem(("dialogue",), MISSING, message)
