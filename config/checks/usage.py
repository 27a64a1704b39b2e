"""Checks of what is said about use: of what there is, and in the words that fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from config.checks.parts import Parts, attempt
from config.errors import Path, Problem, listed, nearest
from config.schema import UsageOf
from config.section import BrokenValueError
from config.services import service_name
from gpu.standing import CUDA_EXAMPLE

#: What a name stands for, and which keys say something about it.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "a model": ("hours_per_day",),
    "a Job": ("runs_per_month", "hours_per_run"),
    "a CronJob": ("hours_per_run",),
    "a Deployment": (),
    "a model that never sleeps": (),
}


def check_usage(parts: Parts) -> Iterator[Problem]:
    """Every entry of `usage.each`."""
    usage = parts.usage
    if usage is None:
        return
    with suppress(BrokenValueError):
        known = _known(parts)
        seen: set[str] = set()
        for index, entry in enumerate(usage.each):
            if entry is not None:
                yield from attempt(_entry(entry, ("usage", "each", index), known, seen))


def _known(parts: Parts) -> dict[str, str]:
    """What may be named, with its kind. Raises BrokenValueError where that is not known."""
    found = {CUDA_EXAMPLE: "a Job"} if parts.examples else {}
    if parts.models is None or parts.workloads is None:
        raise BrokenValueError("models")
    for model in parts.models:
        if model is None:
            raise BrokenValueError("models")
        kind = "a model that never sleeps" if model.min_scale else "a model"
        found |= {model.name: kind, service_name(model): kind}
    for workload in parts.workloads:
        if workload is None:
            raise BrokenValueError("workloads")
        found[workload.name] = f"a {workload.kind}"
    return found


def _entry(entry: UsageOf, path: Path, known: Mapping[str, str], seen: set[str]) -> Iterator[Problem]:
    kind = known.get(entry.name)
    if entry.name in seen:
        yield Problem((*path, "name"), entry.name, "is listed twice")
    seen.add(entry.name)
    if kind is None:
        meant = nearest(entry.name, known)
        hint = f"; did you mean {meant}?" if meant else f": there are {listed(known, 'and')}"
        yield Problem((*path, "name"), entry.name, f"is no model, server or Job of this stack{hint}")
        return
    said = {
        "hours_per_day": ("hoursPerDay", entry.hours_per_day),
        "runs_per_month": ("runsPerMonth", entry.runs_per_month),
        "hours_per_run": ("hoursPerRun", entry.hours_per_run),
    }
    for field, (key, value) in said.items():
        if value is not None and field not in _KEYS[kind]:
            fitting = listed([said[each][0] for each in _KEYS[kind]], "and")
            other = f"write {fitting}" if _KEYS[kind] else "its pods are there all the time; remove it"
            yield Problem((*path, key), value, f"says nothing about {entry.name}, which is {kind}: {other}")
