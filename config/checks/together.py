"""Checks of what must run at the same time: has the pool a slot for each? Of claims: `config.checks.claims`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from config.checks.parts import Parts, Slots, all_of, attempt
from config.checks.workloads import whole_gpus
from config.errors import MISSING, Path, Problem, counted, listed
from config.schema import Dialogue, Model, Workload
from config.section import BrokenValueError
from config.services import memory_of, pod_asks, service_name
from gpu.host_share import HostShare, host_gpus, most_room, server_asks
from gpu.pool import Pool


@dataclass
class Standing:
    """What always runs on a pool: the slots that it holds, and how many of its pods ask for what of their nodes."""

    slots: int = 0
    pods: Counter[HostShare] = field(default_factory=Counter)


def check_together(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Deployments, and models and KnativeServices that never sleep, hold their slots; a dialogue finds its own."""
    standing: dict[str, Standing] = defaultdict(Standing)
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            yield from attempt(workload_together(index, workload, slots, standing))
    awake: dict[str, list[tuple[int, Model]]] = {}
    for index, model in enumerate(parts.models or ()):
        with suppress(BrokenValueError):
            if model and model.min_scale:
                awake.setdefault(service_name(model), []).append((index, model))
    for members in awake.values():
        yield from attempt(models_together(members, slots, standing))
    if parts.dialogue:
        yield from attempt(_dialogue(parts.dialogue, parts, slots, standing))


def workload_together(
    index: int, workload: Workload, slots: Slots, standing: Mapping[str, Standing]
) -> Iterator[Problem]:
    """Slots of pods that always run, beside what stands on their pool; it is added to that."""
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
    if pool is None:
        return
    each = pool.held_slots(whole_gpus(workload, pool))
    holds = f"each pod holds {'one' if each == 1 else each}"
    asks = partial(pod_asks, workload.kind, all_of(workload.containers))
    if problem := _take(pool, standing[pool.name], asks, replicas, each, holds):
        yield Problem(("workloads", index, *key), replicas, problem)


def models_together(
    members: Sequence[tuple[int, Model]], slots: Slots, standing: Mapping[str, Standing]
) -> Iterator[Problem]:
    """Slots of models that never sleep; those of one server hold theirs together."""
    index, model = members[0]
    pool = slots.get(model.pool)
    if pool is None:
        return
    asks = partial(_server_asks, pool, [each for _, each in members])
    holds = "each pod that always runs holds one"
    if problem := _take(pool, standing[pool.name], asks, model.min_scale, 1, holds):
        yield Problem(("models", index, "minScale"), model.min_scale, problem)


def _take(pool: Pool, held: Standing, asks: Callable[[], HostShare], pods: int, each: int, holds: str) -> str:
    """Adds pods to what stands on their pool, or says why they find no room beside it.

    asks: what each pod asks of its node, which may be broken where its slots are not. each: slots of a pod. holds: the
    same in words.
    """
    if pool.claims:  # of these: config.checks.claims
        return ""
    most = pool.max_slots
    if held.slots + pods * each > most:
        left = f"{most - held.slots} left of its {counted(most, 'slot')}" if held.slots else counted(most, "slot")
        return f"must be {(most - held.slots) // each} or less: pool {pool.name} has {left}, and {holds}"
    asked = asks()
    if problem := _crowded(pool, held, asked, pods):
        return problem
    held.slots += pods * each
    held.pods[asked] += pods
    return ""


def _server_asks(pool: Pool, members: Iterable[Model]) -> HostShare:
    """What a pod of these models, which have one server, asks of its node."""
    memories = [memory_of(each) for each in members]
    return server_asks(pool.host_share, sum(memory.weights_mib for memory in memories if memory))


def _crowded(pool: Pool, held: Standing, asked: HostShare, pods: int) -> str:
    """Why so many pods do not fit beside what always runs by the rest of their nodes; empty where they do.

    Only what surely does not fit: of pods that ask for different things, some more may wait.
    """

    def fit(count: int) -> bool:
        return host_gpus(held.pods + Counter({asked: count}), pool.types) <= pool.most_gpus

    # What fits no node by itself is said elsewhere.
    if fit(pods) or not any(most_room(t).holds(asked) for t in pool.types):
        return ""
    fits = bisect_left(range(pods + 1), True, key=lambda count: not fit(count)) - 1
    most = max((most_room(t) for t in pool.types), key=lambda room: (room.cpu_millis, room.memory_mib))
    beside = " beside what always runs" if held.pods else ""
    limit, now = ("maxGpus", pool.max_gpus) if pool.static is None else ("static.replicas", pool.static)
    return (
        f"must be {max(fits, 0)} or less: each pod asks for {asked.cpu_millis}m CPU and {asked.memory_mib} MiB, pods "
        f"have {most.cpu_millis}m and {most.memory_mib} MiB of the largest node of pool {pool.name}, and with {limit} "
        f"{now} no more find room{beside}, though slots are free: write less cpu or memory for its workloads, a larger "
        f"{limit}, or types with more of both"
    )


def _dialogue(dialogue: Dialogue, parts: Parts, slots: Slots, standing: Mapping[str, Standing]) -> Iterator[Problem]:
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
        held = standing[pool_name]
        taken = held.slots - sum(min(own[service].min_scale, 1) for service in by_service)
        names = [name for names in by_service.values() for name in names]
        if most is not None and len(by_service) + taken > most:
            others = "a pod that always runs" if taken == 1 else f"{taken} pods that always run"
            beside = f" beside {others}" if taken else ""
            message = (
                f"makes {listed(names, 'and')} run together{beside}, but pool {pool_name} has "
                f"{counted(most, 'slot')}: raise its maxGpus or its slots per GPU"
            )
            yield Problem(("dialogue",), MISSING, message)
        elif pool and not pool.claims:
            asleep = [service for service in by_service if not own[service].min_scale]
            yield from _speakers_crowded(pool, held, names, asleep, list(models.values()))


def _speakers_crowded(
    pool: Pool, held: Standing, names: Sequence[str], asleep: Sequence[str], models: Sequence[Model]
) -> Iterator[Problem]:
    """Speakers that sleep and wake together must fit beside what always runs by the rest of their nodes too.

    names: of all speakers on the pool. asleep: services of those that sleep.
    """
    servers = [[model for model in models if service_name(model) == name] for name in asleep]
    waking = Counter(_server_asks(pool, members) for members in servers)
    if waking and host_gpus(held.pods + waking, pool.types) > pool.most_gpus:
        message = (
            f"makes {listed(names, 'and')} run together, and beside what always runs on pool {pool.name} no node has "
            "the CPU and memory for all, though slots are free: raise its maxGpus, or write less cpu or memory for its "
            "workloads"
        )
        yield Problem(("dialogue",), MISSING, message)
