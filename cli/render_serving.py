"""Prints how models wake: the cold-start budget with its sources, and what shared servers cost and save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu.coldstart import ColdStart, Step
from plan.figures import ServiceFigures


def cold_start_rows(services: Sequence[ServiceFigures]) -> Iterator[tuple[str, ...]]:
    """One row for each group of services that differ in their names only: name, four steps, total, warm node."""
    for group in alike(services):
        first = group[0]
        start = first.start
        yield (
            f"{names(group)}\n{first.service.first.weights.source}, {first.service.weights_mib / 1024:.1f} GiB",
            *(f"{seconds:.0f}" for seconds in _steps(start)),
            f"{start.seconds:.0f}",
            f"{start.warm_seconds:.0f}",
        )


def _steps(start: ColdStart) -> tuple[float, ...]:
    return (start.of("node", "plugin", "mps"), start.of("image"), start.of("weights"), start.of("load"))


def alike(services: Sequence[ServiceFigures]) -> list[list[ServiceFigures]]:
    """Services whose budgets have the same steps, together."""
    groups: dict[tuple[object, ...], list[ServiceFigures]] = {}
    for service in services:
        key = (tuple(service.start.steps), service.service.weights_mib, service.service.first.weights.source)
        groups.setdefault(key, []).append(service)
    return list(groups.values())


def names(group: Sequence[ServiceFigures]) -> str:
    """The name of a service, or the first and the last of several."""
    first = group[0].service.name
    return first if len(group) == 1 else f"{first} … {group[-1].service.name} (×{len(group)})"


def source_rows(services: Sequence[ServiceFigures]) -> Iterator[tuple[str, str, str]]:
    """Where each figure is from, and which keys change it; once for each that differs."""
    seen: dict[tuple[str, str], Step] = {}
    for service in services:
        for step in service.start.steps:
            seen.setdefault((step.name, step.source), step)
    order = ("node", "plugin", "mps", "image", "weights", "load")
    for (name, source), step in sorted(seen.items(), key=lambda item: order.index(item[0][0])):
        yield name, f"{step.basis}: {source}", step.lever.replace(", ", "\n")


def server_lines(services: Sequence[ServiceFigures]) -> Iterator[str]:
    """What each shared server costs and saves."""
    for service in services:
        if not service.alone:
            continue
        count = len(service.alone)
        alone = ", ".join(f"{name} {start.seconds:.0f}" for name, start in service.alone)
        yield (
            f"{service.service.name} serves {' and '.join(service.model_names)} from 1 slot instead of {count}. "
            f"It wakes with all of them, in {service.start.seconds:.0f} s (alone: {alone} s), sleeps only when nobody "
            "asks any of them, and a crash takes all."
        )
