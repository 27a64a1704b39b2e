"""Prints the bill: its lines and sums, what it supposes, and what sharing, Spot and sleep each save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never

from rich.console import Console
from rich.table import Table

from cli.console import count, hanging
from cli.tables import section, table
from config.bill import DAYS_PER_MONTH, Bill
from gpu.bill import Consumer, Line, Part, Spread, own_type, sum_of
from gpu.compare import HOURS_PER_DAY, OWN_ALIKE, OWN_ON_DEMAND_ALWAYS, WRITTEN, Comparison, Way
from gpu.estimate import BOUGHT
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH
from plan.figures import Figures

_WAYS: Final[Mapping[Way, str]] = {
    OWN_ON_DEMAND_ALWAYS: "a GPU each, on-demand, always on",
    Way(shared=True, spot=False, sleeps=False): "sharing alone",
    Way(shared=False, spot=True, sleeps=False): "Spot alone, where the pool is Spot",
    Way(shared=False, spot=False, sleeps=True): "sleeping alone",
    OWN_ALIKE: "a GPU each, bought and asleep as written",
    WRITTEN: "the stack as written",
}


def print_bill(console: Console, figures: Figures) -> None:
    """The month's bill, and the notes that belong to it."""
    section(console, "Bill of a month, USD", _lines(figures.bill))
    for note in _bill_notes(figures):
        hanging(console, "- ", note)


def print_comparison(console: Console, figures: Figures) -> None:
    """What the same work costs in other ways."""
    working = [each for each in figures.consumers if each.slots and (each.sleeps or each.hours)]
    if not working:
        return
    section(console, "A GPU of its own for each, bought alike, USD per hour", _own(working))
    comparison = figures.comparison
    if comparison is None:
        hanging(console, "- ", "Nothing is compared: of something above the price is not known, or no GPU holds it.")
        return
    section(console, "What sharing, Spot and sleep save: GPU nodes alone, USD per month", _ways(comparison))
    for note in _comparison_notes(comparison, {pool.name: pool for pool in figures.pools}):
        hanging(console, "- ", note)


# --- The bill ---------------------------------------------------------------------------------------------------------


def _lines(bill: Bill) -> Table:
    shown = table("item", "what", "low", "expected", "high", texts=2)
    for part in bill.parts:
        own = [line for line in bill.lines if line.part == part]
        for line in own:
            shown.add_row(line.name, line.detail, *_amounts(line.usd))
        shown.add_row(_of(part), *_sum(own), style="bold")
        shown.add_section()
    shown.add_row("total", *_sum(bill.lines), style="bold")
    return shown


def _of(part: Part) -> str:
    match part:
        case "floor":
            return "= floor"
        case "always":
            return "= always runs"
        case "on demand":
            return "= on demand"
        case "traffic and logs":
            return "= traffic, logs"
        case _:
            assert_never(part)


def _sum(lines: Sequence[Line]) -> tuple[str, ...]:
    """What is known of the sum, and whether that is all."""
    known = [line for line in lines if line.usd is not None]
    what = "" if len(known) == len(lines) else "of what is known" if known else "no price known"
    return what, *_amounts(sum_of(known) if known else None)


def _amounts(usd: Spread | None) -> tuple[str, str, str]:
    return ("-", "-", "-") if usd is None else (f"{usd.low:,.2f}", f"{usd.expected:,.2f}", f"{usd.high:,.2f}")


def _bill_notes(figures: Figures) -> Iterator[str]:
    usage, bill, budget = figures.config.usage, figures.bill, figures.config.budget
    whole = bill.of()
    if used := list(_use(figures)):
        stated = "as the stack file says" if usage.model_fields_set else "supposed; write usage: to say better"
        yield f"Use, {stated}: {'; '.join(used)}."
    if whole:
        yield (
            "Low: Spot at the largest discount seen. High: the dearest type that a pool may buy, "
            "and nobody's hours overlap, so that each slot has a node of its own."
        )
    if bill.ceiling is not None:
        yield f"Ceiling: all GPUs of maxGpus, the dearest types, around the clock: {bill.ceiling:,.2f} USD a month."
    if budget and whole:
        share = whole.expected / budget.monthly_usd
        yield f"Budget: {budget.monthly_usd:,.2f} USD a month; {share * 100:,.0f} % of it is expected to be spent."


def _use(figures: Figures) -> Iterator[str]:
    usage, kinds = figures.config.usage, {consumer.kind for consumer in figures.consumers}
    if any(consumer.sleeps for consumer in figures.consumers):
        yield (
            f"models that may sleep hold their slots {usage.hours_per_day:g} h a day, all at the same hours, and their "
            f"nodes start {usage.starts_per_day} x a day"
        )
    if "Job" in kinds:
        yield f"Jobs run {usage.runs_per_month} x a month for {usage.hours_per_run:g} h"
    if "CronJob" in kinds:
        yield f"CronJobs run as they are scheduled, for {usage.hours_per_run:g} h"


# --- The comparison ---------------------------------------------------------------------------------------------------


def _own(consumers: Sequence[Consumer]) -> Table:
    shown = table("who", "holds slots", "GPU of its own", "bought", "USD per hour", texts=4)
    for group in alike(consumers):
        first = group[0]
        if first.pool.profile.shares:
            own, usd = _own_type(first), first.own_usd_per_hour(first.pool.capacity_type)
            each = None if usd is None else usd / first.slots / max(1, len(first.needs))
        else:
            own, each = "its pool's, not shared", first.pool.usd_per_slot_hour
        amount = "-" if each is None else f"{each:.4f}"
        shown.add_row(names(group), _when(first), own, BOUGHT[first.pool.capacity_type], amount)
    return shown


def _own_type(consumer: Consumer) -> str:
    prices = consumer.pool.prices
    if not prices.on_demand:
        return "no price known"
    needs = consumer.needs or (consumer.pool.slot_memory_mib,)
    found = [own_type(need, consumer.pool.capacity_type, prices) for need in needs]
    return ", ".join(dict.fromkeys(own.name if own else "no single GPU holds it" for own in found))


def _when(consumer: Consumer) -> str:
    slots = count(consumer.slots, "slot")
    if consumer.hours >= HOURS_PER_MONTH:
        return f"{slots}, always"
    if consumer.sleeps:
        return f"{slots}, {consumer.hours / DAYS_PER_MONTH:g} h a day"
    return f"{slots}, {consumer.hours:,.0f} h a month"


def alike(consumers: Sequence[Consumer]) -> list[list[Consumer]]:
    """Consumers that differ in nothing but their name, together; those without slots are left out."""
    groups: dict[tuple[object, ...], list[Consumer]] = {}
    for each in consumers:
        if each.slots:
            key = (each.kind, each.pool, each.slots, each.hours, each.part, each.needs)
            groups.setdefault(key, []).append(each)
    return list(groups.values())


def names(group: Sequence[Consumer]) -> str:
    """The name of a consumer, or the first and the last of several."""
    first = group[0].name
    return first if len(group) == 1 else f"{first} … {group[-1].name} (×{len(group)})"


def kind_words(consumer: Consumer) -> str:
    """What a consumer is, in a table of all."""
    return "asleep until it is started" if consumer.kind == "example" and not consumer.hours else consumer.kind


def _ways(comparison: Comparison) -> Table:
    shown = table("way", "GPU nodes\nat once", "USD", "against\nthe first", texts=1)
    for way, words in _WAYS.items():
        cost = comparison.ways[way]
        saving = "" if way == OWN_ON_DEMAND_ALWAYS else percent(comparison.saving(way))
        shown.add_row(words, str(cost.nodes), f"{cost.usd_per_month:,.2f}", saving)
    return shown


def percent(saving: float) -> str:
    """`38 % less`, `12 % more`, `0 %`."""
    rounded = round(abs(saving) * 100)
    return "0 %" if not rounded else f"{rounded:,} % {'less' if saving > 0 else 'more'}"


def _comparison_notes(comparison: Comparison, pools: Mapping[str, Pool]) -> Iterator[str]:
    written, own = comparison.ways[WRITTEN].usd_per_month, comparison.ways[OWN_ALIKE].usd_per_month
    if pools and not comparison.pays_from:
        yield "Nothing is shared, so sharing saves 0 %."
    else:
        saving = percent(comparison.saving(WRITTEN, OWN_ALIKE))
        yield f"On equal terms, the last two lines, sharing costs {saving}: {written:,.2f} against {own:,.2f}."
        yield _dearer(comparison.dearer, any_sleep=comparison.ways[WRITTEN] != comparison.ways[_AWAKE])
    for name, slots in comparison.pays_from.items():
        if slots is None:
            yield f"{name}: {_never(pools[name])}"
        elif slots > 1:
            yield f"{name}: sharing pays from {slots} slots taken at the same time; below, a GPU each is cheaper."


_AWAKE = Way(shared=True, spot=True, sleeps=False)


def _never(pool: Pool) -> str:
    reason = "it pays only where more are taken, or a GPU of this kind is needed."
    if pool.profile.isolated:
        reason = "it buys tenants parts of a large GPU that hardware isolates; for the price alone it is wrong."
    return f"sharing is dearer than a GPU each, even with all its slots taken that the stack has: {reason}"


def _dearer(ranges: Sequence[tuple[float, float]], *, any_sleep: bool) -> str:
    """At which use of what sleeps the stack as written is dearer than a GPU each on equal terms."""
    if not any_sleep:
        return "Nothing sleeps, so that use does not change this."
    same = "Where all that sleeps is awake at the same hours, the stack as written is"
    if not ranges:
        return f"{same} never dearer than a GPU each."
    return f"{same} dearer than a GPU each {' and '.join(_range(*each) for each in ranges)}."


def _range(start: float, end: float) -> str:
    if start <= 0:
        return "at every use" if end >= HOURS_PER_DAY else f"below {end:.1f} h a day"
    return f"above {start:.1f} h a day" if end >= HOURS_PER_DAY else f"from {start:.1f} to {end:.1f} h a day"
