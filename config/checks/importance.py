"""Checks of how important work is: whether its pool does, whether its slot is there, whether its keys agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import assert_never

from config.checks.parts import Parts, Slots, attempt, name_of
from config.checks.workloads import whole_gpus
from config.errors import Path, Problem
from config.pool_schema import GpuPool
from config.schema import Model, Workload
from config.section import BrokenValueError
from config.services import service_name, slots_of
from gpu.contract import DO_NOT_DISRUPT_ANNOTATION
from gpu.importance import Importance, may_run_on
from gpu.pool import Purchase, capacity_types
from gpu.sharing import STRATEGIES

_Pools = Mapping[str, GpuPool]


def check_importance(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Everything about the importance of models and workloads."""
    pools = {name: pool for pool in parts.pools or () if pool and (name := name_of(pool))}
    for index, model in enumerate(parts.models or ()):
        if model:
            yield from attempt(capacity_on_pool(model, ("models", index), pools))
    yield from _sleeping(parts, pools)
    yield from _on_nodes_that_stand(parts, slots)
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            path: Path = ("workloads", index)
            yield from attempt(capacity_on_pool(workload, path, pools))
            yield from attempt(_one_priority(workload, path))
            yield from attempt(_stands(workload, path))
            yield from attempt(_disruption(workload, path))


def capacity_on_pool(work: Model | Workload, path: Path, pools: _Pools) -> Iterator[Problem]:
    """Whether its pool buys what such work may run on."""
    pool = pools.get(work.pool)
    if pool is None:
        return
    bought = _bought(pool)
    if not may_run_on(work.importance, bought, pool.capacity_reservation_type):
        yield Problem((*path, "importance"), work.importance, _no_pool(work.importance, work.pool, bought))


def _bought(pool: GpuPool) -> tuple[Purchase, ...]:
    return capacity_types(pool.capacity_type, fallback=pool.fallback is not None)


def _no_pool(importance: Importance, name: str, bought: tuple[Purchase, ...]) -> str:
    buys = f"pool {name} buys {', else '.join(each.replace('spot', 'Spot') for each in bought)}"
    match importance:
        case "critical":
            where = f"must not be on Spot, and {buys}"
            if "spot" not in bought:
                where = f"must not be on a capacity block, which ends at its hour, and pool {name} is one"
            return (
                f"{where}: give it a pool with capacityType: on-demand and onDemand: "
                "{justification: ..., expires: ...}, or capacityType: reserved, and no fallback; or write standard"
            )
        case "batch":
            return f"is for Spot alone, and {buys}: give it a pool that buys Spot, or write standard"
        case "standard":
            raise AssertionError("standard work may run on whatever a pool buys")
        case _:
            assert_never(importance)


def _sleeping(parts: Parts, pools: _Pools) -> Iterator[Problem]:
    """Critical work that sleeps wakes in slots that its pool keeps free at all hours: one for each pod."""
    asleep: dict[str, dict[str, int]] = {}
    for work, path in _may_sleep(parts):
        with suppress(BrokenValueError):
            if work.importance != "critical" or work.min_scale > 0:
                continue
            pool, waking = pools.get(work.pool), asleep.setdefault(work.pool, {})
            if pool is None or not may_run_on("critical", _bought(pool), pool.capacity_reservation_type):
                continue  # no pool for it: said already
            if pool.static:
                continue  # `_on_nodes_that_stand`
            name, slots = (service_name(work), 1) if isinstance(work, Model) else (work.name, slots_of(work))
            waking[name] = slots
            kept = pool.warm.slots if pool.warm and pool.warm.start is None else 0
            if sum(waking.values()) > kept:
                what = "model" if isinstance(work, Model) else "KnativeService"
                message = "must be 1 or more: critical work has a slot that is always there"
                if not STRATEGIES[pool.sharing.strategy].claims:  # which have no warm slots
                    message += (
                        f"; or let the pool keep one free at all hours for each critical {what} that sleeps: warm: "
                        f"{{slots: {sum(waking.values())}}}"
                    )
                yield Problem((*path, "minScale"), work.min_scale, message)


def _on_nodes_that_stand(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Critical work takes the place of others on the nodes of a static pool, and not of its like: a slot for each.

    Of pods that always run alone: `config.checks.together`.
    """
    held: dict[str, dict[str, int]] = {}
    works = [*_deployments(parts), *_may_sleep(parts)]
    # Those that hold their slots first: what they leave is for those that sleep.
    for sleep, (work, path) in product((False, True), works):
        with suppress(BrokenValueError):
            pool = slots.get(work.pool)
            if pool is None or pool.static is None or work.importance != "critical":
                continue
            if isinstance(work, Model):
                name, pods, each, key = service_name(work), work.min_scale, 1, "minScale"
            else:
                deployment = work.kind == "Deployment"
                name, pods = work.name, work.most_replicas if deployment else work.min_scale
                each = whole_gpus(work, pool)
                key = "importance" if deployment else "minScale"
            if (pods == 0) is not sleep:
                continue
            of_pool = held.setdefault(work.pool, {})
            of_pool[name] = max(pods, 1) * pool.held_slots(each)
            if pods == 0 and sum(of_pool.values()) > pool.max_slots:
                message = (
                    f"wakes in a slot that is always there, and the critical work of pool {work.pool} needs "
                    f"{sum(of_pool.values())} of its {pool.max_slots}: raise static.replicas, or write standard"
                )
                yield Problem((*path, key), pods, message)


def _deployments(parts: Parts) -> Iterator[tuple[Workload, Path]]:
    for index, workload in enumerate(parts.workloads or ()):
        with suppress(BrokenValueError):
            if workload and workload.kind == "Deployment":
                yield workload, ("workloads", index)


def _may_sleep(parts: Parts) -> Iterator[tuple[Model | Workload, Path]]:
    """Models and KnativeServices whose kind is known, with their places."""
    for index, model in enumerate(parts.models or ()):
        if model:
            yield model, ("models", index)
    for index, workload in enumerate(parts.workloads or ()):
        with suppress(BrokenValueError):
            if workload and workload.kind == "KnativeService":
                yield workload, ("workloads", index)


def _one_priority(workload: Workload, path: Path) -> Iterator[Problem]:
    if workload.importance != "standard" and workload.priority_class_name is not None:
        message = f"is another class than that of {workload.importance} work: remove one of the two"
        yield Problem((*path, "priorityClassName"), workload.priority_class_name, message)


def _stands(workload: Workload, path: Path) -> Iterator[Problem]:
    if workload.importance == "critical" and workload.kind == "Deployment" and workload.replicas == 0:
        message = "must be 1 or more: critical work has a slot that is always there"
        yield Problem((*path, "replicas"), workload.replicas, message)


def _disruption(workload: Workload, path: Path) -> Iterator[Problem]:
    """What importance says of it already, or the contrary of that."""
    given = workload.annotations.get(DO_NOT_DISRUPT_ANNOTATION)
    place = (*path, "annotations", DO_NOT_DISRUPT_ANNOTATION)
    match workload.importance:
        case "critical":
            if given == "false":
                message = "is the contrary of what importance: critical says: remove it, or write standard"
                yield Problem(place, given, message)
            elif given is not None:
                yield Problem(place, given, "is what importance: critical says: remove one of the two")
        case "batch":
            # With checkpoints that is said of all work (`config.checks.checkpoints`).
            if given not in (None, "false") and workload.checkpoint is None:
                message = (
                    "keeps its node from being given back, and Spot's from telling it to end, while batch work is "
                    "there to give way: remove it, or write standard"
                )
                yield Problem(place, given, message)
        case "standard":
            pass
        case _:
            assert_never(workload.importance)
