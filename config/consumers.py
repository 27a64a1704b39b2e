"""Who holds slots of a stack: models, workloads, the example, slots that are kept warm, and nodes that always stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import assert_never

from pydantic.alias_generators import to_camel

from config.schedule import parse_schedule
from config.schema import StackConfig, Usage, UsageOf, Workload
from config.services import (
    Service,
    memory_of,
    pod_asks,
    service_claim,
    slots_of,
    stack_services,
    warm_hours_per_month,
    workload_claim,
)
from gpu.bill import Consumer
from gpu.durations import seconds
from gpu.host_share import CUDA_EXAMPLE_ASKS, server_asks
from gpu.pool import Pool
from gpu.prices import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH
from gpu.standing import CUDA_EXAMPLE

#: Hours of a month in which schedules count their runs: leap days are in it.
_HOURS_OF_SCHEDULES = 365.25 / 12 * HOURS_PER_DAY


def consumers(config: StackConfig) -> list[Consumer]:
    """All that hold slots: models, workloads, the example, slots that are kept warm, and nodes that always stand."""
    pools, known = config.gpu_pools, {entry.name: entry for entry in config.usage.each}
    found = [_service(service, pools[service.first.pool], config.usage, known) for service in stack_services(config)]
    stays = {section.name: seconds(section.consolidate_after) / 3600 for section in config.pools}
    found += [_workload(each, pools[each.pool], config.usage, known, stays[each.pool]) for each in config.workloads]
    if config.examples:
        entry, pool = known.get(CUDA_EXAMPLE), pools[config.pools[0].name]
        hours = min(run_hours_per_month(config.usage, entry), HOURS_PER_MONTH) if entry else 0.0
        idle = runs_per_month(config.usage, entry, None) * stays[pool.name] if entry else 0.0
        example = Consumer(
            name=CUDA_EXAMPLE, kind="example", pool=pool, slots=1, hours=hours, part="on demand", host=CUDA_EXAMPLE_ASKS
        )
        found.append(replace(example, idle=idle))
    return [*found, *_warm(config), *_static(config)]


def _service(service: Service, pool: Pool, usage: Usage, known: dict[str, UsageOf]) -> Consumer:
    names = {service.name, *(model.name for model in service.models)}
    said = [hours for name in names if name in known and (hours := known[name].hours_per_day) is not None]
    hours = max(said, default=usage.hours_per_day)
    memories = [memory_of(model) for model in service.models]
    always = service.first.min_scale
    return Consumer(
        name=service.name,
        kind="model" if len(service.models) == 1 else "server",
        pool=pool,
        slots=always or 1,
        hours=HOURS_PER_MONTH if always else hours * DAYS_PER_MONTH,
        part="always" if always else "on demand",
        sleeps=not always,
        needs=tuple(memory.total_mib for memory in memories if memory),
        hours_from="minScale" if always else "usage.each" if said else said_in_usage(usage, "hours_per_day"),
        claim_mib=service_claim(service, pool),
        host=None if pool.claims else server_asks(pool.host_share, service.weights_mib),
    )


def said_in_usage(usage: Usage, field: str) -> str:
    """A key of `usage`, and whether the stack file has it."""
    return f"usage.{to_camel(field)}{'' if field in usage.model_fields_set else ', supposed'}"


def _workload(workload: Workload, pool: Pool, usage: Usage, known: dict[str, UsageOf], stays_hours: float) -> Consumer:
    """stays_hours: for which a node of the pool stays after the last of its slots is free."""
    entry, slots, at_once = known.get(workload.name), slots_of(workload), 1
    pods, always = workload.most_replicas, workload.kind == "Deployment"
    match workload.kind:
        case "Deployment":
            hours, hours_from = float(HOURS_PER_MONTH), "a Deployment never sleeps"
            if workload.autoscaling:
                hours_from = f"{hours_from}, and may have all of autoscaling.maxReplicas"
        case "Job":
            hours = run_hours_per_month(usage, entry)
            hours_from = f"{said_in_usage(usage, 'runs_per_month')}, or usage.each"
        case "CronJob":
            hours = run_hours_per_month(usage, entry, scheduled_runs_per_month(workload))
            hours_from = f"its schedule and {said_in_usage(usage, 'hours_per_run')}"
            if workload.concurrency_policy == "Allow" and hours > HOURS_PER_MONTH:
                # More hours than a month has: runs stand beside each other, each with slots of its own.
                at_once = ceil(round(hours / _HOURS_OF_SCHEDULES, 6))
                hours, hours_from = hours / at_once, f"{hours_from}, {at_once} runs at once"
        case "KnativeService":
            pods, always = workload.min_scale or 1, workload.min_scale > 0
            said = entry.hours_per_day if entry else None
            hours = HOURS_PER_MONTH if always else (usage.hours_per_day if said is None else said) * DAYS_PER_MONTH
            hours_from = said_in_usage(usage, "hours_per_day") if said is None else "usage.each"
            hours_from = "minScale" if always else hours_from
        case _:
            assert_never(workload.kind)
    held = pool.held_slots(slots)
    return Consumer(
        name=workload.name,
        kind=workload.kind,
        pool=pool,
        slots=at_once * pods * held,
        hours=min(hours, HOURS_PER_MONTH),
        part="always" if always else "on demand",
        sleeps=workload.kind == "KnativeService" and not always,
        hours_from=hours_from,
        idle=_idle_hours(workload, usage, entry, stays_hours),
        # A GPU of its own for each slot: of several whole GPUs each holds its part.
        needs=(-(-workload.gpu_memory_mib // slots),) if workload.gpu_memory_mib else (),
        claim_mib=workload_claim(workload, pool),
        per_pod=held,
        host=pod_asks(workload.kind, workload.containers),
    )


def _idle_hours(workload: Workload, usage: Usage, entry: UsageOf | None, stays_hours: float) -> float:
    """Hours of a month for which nodes stay after runs: until the next run of a schedule at most."""
    if not workload.ends:
        return 0.0
    runs = runs_per_month(usage, entry, scheduled_runs_per_month(workload))
    if workload.schedule is None:
        return runs * stays_hours
    run_hours = _hours_per_run(usage, entry)
    gaps = [gap / 60 for gap in parse_schedule(workload.schedule).gaps]
    return runs * sum(min(stays_hours, max(0.0, gap - run_hours)) for gap in gaps) / len(gaps)


def run_hours_per_month(usage: Usage, entry: UsageOf | None, scheduled: float | None = None) -> float:
    """Hours of all runs of a Job in a month, which may be more than it has. scheduled: runs a month by its schedule."""
    return runs_per_month(usage, entry, scheduled) * _hours_per_run(usage, entry)


def _hours_per_run(usage: Usage, entry: UsageOf | None) -> float:
    return entry.hours_per_run if entry and entry.hours_per_run is not None else usage.hours_per_run


def runs_per_month(usage: Usage, entry: UsageOf | None, scheduled: float | None) -> float:
    """Runs of a Job in a month: those that are said of it, else its schedule's, else those of every Job.

    scheduled: runs a month by its schedule.
    """
    runs = usage.runs_per_month if scheduled is None else scheduled
    return entry.runs_per_month if entry and entry.runs_per_month is not None else runs


def scheduled_runs_per_month(workload: Workload) -> float | None:
    """Runs of a CronJob in a month; None of what has no schedule."""
    return parse_schedule(workload.schedule).runs_per_year / 12 if workload.schedule else None


def _warm(config: StackConfig) -> Iterator[Consumer]:
    for section in config.pools:
        if section.warm:
            yield Consumer(
                name=f"{section.name}, kept warm",
                kind="warm slots",
                pool=config.gpu_pools[section.name],
                slots=section.warm.slots,
                hours=warm_hours_per_month(section),
                part="always",
                hours_from="warm",
            )


def _static(config: StackConfig) -> Iterator[Consumer]:
    """Nodes that always stand. Whoever holds slots of theirs adds nothing: no pool has more nodes than it may."""
    for pool in config.gpu_pools.values():
        if pool.static is not None:
            slots = max((price.slots for price in pool.node_prices), default=pool.max_slots // pool.static)
            yield Consumer(
                name=f"{pool.name}, static",
                kind="static nodes",
                pool=pool,
                slots=pool.static * slots,
                hours=HOURS_PER_MONTH,
                part="always",
                hours_from="static",
            )


def standing_and_asked(holding: Sequence[Consumer], pool: Pool) -> tuple[list[Consumer], list[Consumer]]:
    """Who holds slots of a pool: those that always do, and those that do on demand."""
    mine = [consumer for consumer in holding if consumer.pool is pool and consumer.slot_hours > 0]
    return [c for c in mine if c.part == "always"], [c for c in mine if c.part == "on demand"]
