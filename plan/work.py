"""Which work may run where: what models and workloads cost at most, and what happens when AWS takes their node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from config.consumers import consumers
from config.schema import StackConfig, Workload
from config.services import Service, checkpoint_prefix, stack_services, workload_scale
from gpu.bill import Consumer
from gpu.importance import Importance, may_run_on, why_at_most
from gpu.pool import Pool, Purchase
from gpu.why import Why

Kind = Literal["model", "server", "Deployment", "KnativeService", "Job", "CronJob"]
_WAIT = "requests wait until another node answers, as at a cold start"


@dataclass(frozen=True, kw_only=True)
class WorkFigures:
    """A model, a server or a workload. why_at_most: USD per hour (`gpu.importance.why_at_most`).

    taken: what happens when Spot takes its node; empty where none of its nodes is on Spot. ends: what happens when its
    capacity block ends; empty where it is on none.
    """

    name: str
    kind: Kind
    importance: Importance
    pool: Pool
    capacity_types: tuple[Purchase, ...]
    why_at_most: Why
    taken: str
    ends: str

    @property
    def interruption_bands(self) -> Mapping[str, str]:
        """Which part of Spot nodes of its types AWS took back in a month, where that is known; nothing off Spot."""
        return self.pool.interruption_bands if "spot" in self.capacity_types else {}


def work_figures(config: StackConfig) -> tuple[WorkFigures, ...]:
    """All that has an importance, in the order of the file. Those of one server are one."""
    pools, held = config.gpu_pools, {each.name: each for each in consumers(config)}
    known: dict[tuple[Importance, str, int], Why] = {}

    def at_most(importance: Importance, pool: Pool, pods: int) -> Why:
        key = (importance, pool.name, pods)
        if key not in known:
            known[key] = why_at_most(importance, pool, pods)
        return known[key]

    def made(name: str, kind: Kind, importance: Importance, pool: Pool, pods: int, taken: str) -> WorkFigures:
        where = may_run_on(importance, pool.capacity_types, pool.reservation_type)
        return WorkFigures(
            name=name,
            kind=kind,
            importance=importance,
            pool=pool,
            capacity_types=where,
            why_at_most=at_most(importance, pool, pods),
            taken=f"{taken}{_then(where)}" if "spot" in where else "",
            ends=_at_the_end(kind) if pool.block else "",
        )

    def each() -> Iterator[WorkFigures]:
        for service in stack_services(config):
            first, kind = service.first, _kind_of(service)
            yield made(service.name, kind, first.importance, pools[first.pool], service.max_scale, _WAIT)
        for workload in config.workloads:
            pool, pods = pools[workload.pool], _pods(workload, held[workload.name])
            yield made(workload.name, workload.kind, workload.importance, pool, pods, interruption_of(workload))

    return tuple(each())


def _kind_of(service: Service) -> Literal["model", "server"]:
    return "model" if len(service.models) == 1 else "server"


def _pods(workload: Workload, consumer: Consumer) -> int:
    """Most pods at a time: of a CronJob, runs may stand beside each other (`config.consumers`)."""
    if workload.kind == "KnativeService":
        return workload_scale(workload, consumer.pool)
    each = consumer.pool.held_slots(max(container.slots for container in workload.containers))
    return consumer.slots // each


def _at_the_end(kind: Kind) -> str:
    match kind:
        case "model" | "server" | "KnativeService":
            return "does not answer until the pool has another capacity block"
        case "Deployment" | "Job" | "CronJob":
            return "is told to end, and its pods wait until the pool has another capacity block"
        case _:
            assert_never(kind)


def _then(where: tuple[Purchase, ...]) -> str:
    return "; on demand where there is no Spot" if "on-demand" in where else "; nowhere else while there is no Spot"


def interruption_of(workload: Workload) -> str:
    """What an interruption costs a workload."""
    match workload.kind:
        case "Deployment":
            return "its pods start anew on another node"
        case "KnativeService":
            return _WAIT
        case "Job" | "CronJob":
            pass
        case _:
            assert_never(workload.kind)
    checkpoint = workload.checkpoint
    if checkpoint is None:
        return "begins anew. With checkpoint it goes on from where it was (docs/jobs.md)"
    bucket = checkpoint.bucket or "the stack's bucket"
    return (
        f"goes on, at most {checkpoint.interval_minutes} min of work lost; nothing where it is told, with "
        f"{checkpoint.grace_seconds} s to keep its state. Kept in {bucket}, {checkpoint_prefix(workload)}/"
    )
