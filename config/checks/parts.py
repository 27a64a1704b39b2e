"""What checks get: the parts of a configuration that could be validated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from config.errors import Problem
from config.schema import (
    Budget,
    Cluster,
    Container,
    CpuPool,
    Dialogue,
    GpuPool,
    GpuSharing,
    Karpenter,
    Model,
    Monitoring,
    Network,
    Serving,
    Usage,
    UsageOf,
    Workload,
)
from config.section import BrokenValueError, Section
from gpu.pool import Pool

S = TypeVar("S", bound=Section)
Named = CpuPool | GpuPool | Model | Workload | Container | UsageOf


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A configuration as far as it could be validated.

    None stands for a section or a list that could not be validated, or for an optional section that is absent; a None
    within a list for an entry. In what was validated in part, reading a broken value raises BrokenValueError.
    ``region`` is None unless it is one that the catalogue knows.
    """

    stack: str
    region: str | None
    today: date
    cluster: Cluster | None
    network: Network | None
    karpenter: Karpenter | None
    cpu_pools: Sequence[CpuPool | None] | None
    pools: Sequence[GpuPool | None] | None
    gpu_sharing: GpuSharing | None
    models: Sequence[Model | None] | None
    serving: Serving | None
    workloads: Sequence[Workload | None] | None
    dialogue: Dialogue | None
    budget: Budget | None
    monitoring: Monitoring | None
    usage: Usage | None
    examples: bool


#: Pools by name: those in which nothing is wrong that concerns their slots.
Slots = Mapping[str, Pool]


def attempt(check: Iterator[Problem]) -> Iterator[Problem]:
    """What a check finds until it needs a value that is itself wrong."""
    with suppress(BrokenValueError):
        yield from check


def all_of(entries: Sequence[S | None]) -> Sequence[S]:
    """The entries. Raises BrokenValueError where one of them is none."""
    found = [entry for entry in entries if entry is not None]
    if len(found) < len(entries):
        raise BrokenValueError("entries")
    return found


def names_of(entries: Sequence[Named | None] | None) -> tuple[list[str], bool]:
    """Names that could be read, and whether they are all the names that there are, each once."""
    names: dict[str, None] = {}
    complete = entries is not None
    for entry in entries or ():
        name = name_of(entry)
        if name is None or name in names:
            complete = False
        else:
            names[name] = None
    return list(names), complete


def name_of(entry: Named | None) -> str | None:
    """The name of an entry; None when it could not be validated."""
    with suppress(BrokenValueError):
        return entry.name if entry else None
    return None


def said_memory(workload: Workload) -> tuple[str, object]:
    """The key by which a workload says how much GPU memory it needs, and its value."""
    if workload.gpu_memory:
        return "gpuMemory", workload.gpu_memory
    return "gpuMemoryMib", workload.gpu_memory_mib


def twice(path: tuple[str | int, ...], values: Sequence[object]) -> Iterator[Problem]:
    """Values that a list holds more than once."""
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem((*path, index), value, "is listed twice")
