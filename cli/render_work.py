"""Prints which work may run where, what it costs at most, and what happens when Spot takes its node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console

from cli.console import hanging
from cli.tables import section, table
from gpu.pool import DRAINED_BEFORE_END
from gpu.price_file import BANDS
from plan.figures import Figures
from plan.work import WorkFigures


def print_work(console: Console, figures: Figures) -> None:
    """A row for each group of models and workloads that differ in their names only; nothing where there are none."""
    groups = _alike(figures.work)
    if not groups:
        return
    found = table("who", "importance", "may run on", "at most\nUSD per hour", "taken back\nin a month", texts=3)
    for group in groups:
        first = group[0]
        usd = first.why_at_most.value
        found.add_row(
            _names(group),
            first.importance,
            f"{first.pool.name}: {'capacity block' if first.ends else ', else '.join(first.capacity_types)}",
            "-" if usd is None else f"{usd:.4f}",
            _band(first),
        )
    section(console, "Which work may run where", found)
    for line in _notes(figures, groups):
        hanging(console, "- ", line)


def _notes(figures: Figures, groups: Sequence[Sequence[WorkFigures]]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for group in groups:
        # What Jobs lose has a place of its own.
        if group[0].taken and group[0].kind not in ("Job", "CronJob"):
            told.setdefault(group[0].taken, []).append(_names(group))
    for taken, names in told.items():
        yield f"When Spot takes the node of {', '.join(names)}: {taken}."
    ending: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        if group[0].ends:
            ending.setdefault((group[0].pool.name, group[0].ends), []).append(_names(group))
    for (pool, ends), names in ending.items():
        before = DRAINED_BEFORE_END // timedelta(minutes=1)
        yield f"{before} minutes before the capacity block of {pool} ends, {', '.join(names)} {ends}."
    if any("spot" in each.capacity_types for each in figures.work):
        known = figures.config.prices.interruptions
        day = f"of {known.date} (Spot Instance Advisor)" if known else "n/a: nobody has told it of this region"
        yield f"How often Spot takes a node back is {day}. Spot placement scores: n/a, AWS tells them to who asks."
    if any(each.importance == "batch" for each in figures.work):
        yield "Batch work also gives way to all other on its pool, when no slot is free."


def _alike(work: Sequence[WorkFigures]) -> list[list[WorkFigures]]:
    groups: dict[tuple[object, ...], list[WorkFigures]] = {}
    for each in work:
        key = (each.importance, each.kind, each.pool.name, each.capacity_types, each.why_at_most.value, each.taken)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _names(group: Sequence[WorkFigures]) -> str:
    return group[0].name if len(group) == 1 else f"{group[0].name} … {group[-1].name} (×{len(group)})"


def _band(work: WorkFigures) -> str:
    """From the best type to the worst: nobody knows which Karpenter will find."""
    if "spot" not in work.capacity_types:
        return "never"
    bands = sorted(work.interruption_bands.values(), key=BANDS.index)
    return " to ".join(dict.fromkeys((bands[0], bands[-1]))) if bands else "n/a"
