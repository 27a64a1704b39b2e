"""Prints the bill: its lines and sums, what it supposes, and what sharing, Spot and sleep each save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from cli.console import hanging
from cli.tables import section, table
from config.bill import Bill
from config.errors import counted, listed
from config.floor import gives_up
from config.tokens import TokenCosts, per_million
from gpu.bill import Consumer, Line, Spread, known_of, own_type, sum_of
from gpu.compare import OWN_ALIKE, OWN_ON_DEMAND_ALWAYS, WORDS, WRITTEN, Comparison, Way
from gpu.estimate import BOUGHT
from gpu.pool import Pool
from gpu.prices import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH
from plan.explain import PART_NAMES
from plan.figures import Figures


def print_bill(console: Console, figures: Figures) -> None:
    """The month's bill, and the notes that belong to it."""
    section(console, "Bill of a month, USD", _lines(figures.bill))
    for note in _bill_notes(figures):
        hanging(console, "- ", note)


def print_tokens(console: Console, figures: Figures) -> None:
    """What a million tokens cost, of models whose rate the stack file says; nothing where it says none."""
    if not figures.token_costs:
        return
    shown = table("model", "rate", "million tokens\na month", "GPU nodes\nalone", "whole bill", texts=2)
    for costs in figures.token_costs:
        for words, tokens in costs.rates:
            each = [per_million(usd, tokens).value for _, usd in costs.usd]
            millions = f"{(tokens.value or 0) / 1e6:,.2f}"
            shown.add_row(costs.name, words, millions, *("-" if usd is None else f"{usd:,.2f}" for usd in each))
    section(console, "A million tokens, USD, expected", shown)
    for note in (note for costs in figures.token_costs for note in _break_even(costs)):
        hanging(console, "- ", note)


def _break_even(costs: TokenCosts) -> Iterator[str]:
    """From which use on it is cheaper than the API."""
    for share, usd in costs.usd:
        tokens = costs.break_even(usd)
        if tokens is None or tokens.value is None or costs.api is None or costs.api.value is None:
            continue
        words = "GPU nodes alone" if share == "GPU nodes" else "with its part of the whole bill"
        even = f"as dear as an API at {costs.api.value:g} USD at {tokens.value / 1e6:,.2f} million tokens a month"
        reach = ", more than it answers with in its hours" if costs.is_out_of_reach(tokens) else "; cheaper with more"
        yield f"{costs.name}, {words}: {even}{reach}."
    if costs.stated and costs.is_out_of_reach(costs.stated):
        yield f"{costs.name}: the stated requests ask for more tokens than it answers with in its hours."


def print_comparison(console: Console, figures: Figures) -> None:
    """What the same work costs in other ways."""
    # A capacity block is bought whole: nothing on it could have a GPU of its own that is bought alike.
    holding = [each for each in figures.consumers if each.kind != "static nodes" and not each.pool.block]
    working = [each for each in holding if each.slots and (each.sleeps or each.hours)]
    if not working:
        return
    section(console, "A GPU of its own for each, bought alike, USD per hour", _own(working))
    comparison = figures.comparison
    if comparison is None:
        why = "of something above the price is not known, no GPU holds it, or its nodes are paid anyway"
        hanging(console, "- ", f"Nothing is compared: {why}.")
        return
    section(console, "What sharing, Spot and sleep save: GPU nodes alone, USD per month", _ways(comparison))
    for note in _comparison_notes(comparison, {pool.name: pool for pool in figures.pools}):
        hanging(console, "- ", note)
    for note in _waiting(comparison, figures.bill):
        hanging(console, "- ", note)


# --- The bill ---------------------------------------------------------------------------------------------------------


def _lines(bill: Bill) -> Table:
    shown = table("item", "what", "low", "expected", "high", texts=2)
    for part in bill.parts:
        own = [line for line in bill.lines if line.part == part]
        for line in own:
            shown.add_row(line.name, line.detail, *_amounts(line.usd))
        shown.add_row(f"= {PART_NAMES[part]}", *_sum(own), style="bold")
        shown.add_section()
    shown.add_row("total", *_sum(bill.lines), style="bold")
    return shown


def _sum(lines: Sequence[Line]) -> tuple[str, ...]:
    """What is known of the sum, and whether that is all."""
    known = known_of(lines)
    what = "" if len(known) == len(lines) else "of what is known" if known else "no price known"
    return what, *_amounts(sum_of(known) if known else None)


def _amounts(usd: Spread | None) -> tuple[str, str, str]:
    return ("-", "-", "-") if usd is None else (f"{usd.low:,.2f}", f"{usd.expected:,.2f}", f"{usd.high:,.2f}")


def _bill_notes(figures: Figures) -> Iterator[str]:
    bill, budget = figures.bill, figures.config.budget
    whole = bill.of()
    for said, words in ((True, "as the stack file says"), (False, "supposed; write usage: to say better")):
        if used := [use for is_said, use in _use(figures) if is_said == said]:
            yield f"Use, {words}: {'; '.join(used)}."
    yield from (f"The lean floor gives up: {each}" for each in gives_up(figures.config))
    if known_of(bill.lines):
        yield (
            "Low: the least that was seen on Spot. High: the dearest type that a pool may buy, "
            "and nobody's hours overlap, so that each slot has a node of its own."
        )
    comes = [section for section in figures.config.pools if section.static is None]
    if {section.name for section in comes} & {line.pool for line in bill.lines if line.part == "on demand"}:
        stays = listed([*dict.fromkeys(section.consolidate_after for section in comes)], "or")
        yield f"Left out: the minutes in which a node starts, and for which it stays empty after a model ({stays})."
    yield from (
        f"{pool.name}: high and ceiling leave out {_some(types)}: no price known." for pool, types in _unpriced(figures)
    )
    if bill.ceiling is not None:
        yield f"Ceiling: all GPUs of maxGpus, the dearest types, around the clock: {bill.ceiling:,.2f} USD a month."
    if budget and (share := figures.budget_share) is not None:
        part = f"{'' if whole else 'at least '}{share * 100:,.0f} %"
        yield f"Budget: {budget.monthly_usd:,.2f} USD a month; {part} of it is expected to be spent."


def _unpriced(figures: Figures) -> Iterator[tuple[Pool, list[str]]]:
    """Types that a pool may buy and that have no price, of pools of which others have one."""
    for pool in figures.pools:
        priced = {price.instance_type for price in pool.node_prices}
        if priced and (without := [each.name for each in pool.types if each.name not in priced]):
            yield pool, without


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _use(figures: Figures) -> Iterator[tuple[bool, str]]:
    """How much is used, and whether the stack file says so."""
    usage, kinds = figures.config.usage, {consumer.kind for consumer in figures.consumers}
    said, lines = usage.model_fields_set, {line.name for line in figures.bill.lines}
    sleeping = {consumer.kind for consumer in figures.consumers if consumer.sleeps}
    if sleeping:
        who = {"models": sleeping & {"model", "server"}, "KnativeServices": sleeping & {"KnativeService"}}
        what = " and ".join(each for each, there in who.items() if there)
        hours = f"{what} that may sleep hold their slots {usage.hours_per_day:g} h a day, all at the same hours"
        yield "hours_per_day" in said, hours
        if "Images and weights" in lines:
            yield "starts_per_day" in said, f"nodes of models that may sleep start {usage.starts_per_day} x a day"
    if "Job" in kinds:
        yield "runs_per_month" in said, f"Jobs run {usage.runs_per_month} x a month"
    if "CronJob" in kinds:
        yield True, "CronJobs run as often as they are scheduled, at the hours of whatever else their pool has awake"
    if kinds & {"Job", "CronJob"}:
        yield "hours_per_run" in said, f"a run takes {usage.hours_per_run:g} h"
    if "Logs" in lines:
        yield "log_gb_per_month" in said, f"logs of {usage.log_gb_per_month:g} GB are written"
    if usage.each:
        yield True, f"of {_some([entry.name for entry in usage.each])} what usage.each says"


# --- The comparison ---------------------------------------------------------------------------------------------------


def _own(consumers: Sequence[Consumer]) -> Table:
    shown = table("who", "holds slots", "GPU of its own", "bought", "USD per hour", texts=4)
    for group in alike(consumers):
        first = group[0]
        shares, usd = first.pool.profile.shares, first.own_usd_per_hour(first.pool.capacity_type)
        own = _own_type(first) if shares else "its pool's, not shared"
        each = None if usd is None else usd / first.slots / (max(1, len(first.needs)) if shares else 1)
        amount = "-" if each is None else f"{each:.4f}"
        shown.add_row(names(group), _when(first), own, BOUGHT[first.pool.capacity_type], amount)
    return shown


def _own_type(consumer: Consumer) -> str:
    prices = consumer.pool.prices
    if not prices.on_demand:
        return "no price known"
    needs = consumer.needs or (consumer.slot_memory_mib,)
    found = [own_type(need, consumer.pool.capacity_type, prices) for need in needs]
    return ", ".join(dict.fromkeys(own.name if own else "no single GPU holds it" for own in found))


def _when(consumer: Consumer) -> str:
    slots = counted(consumer.slots, "claim" if consumer.claim_mib else "slot")
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
            key = (each.kind, each.pool, each.slots, each.hours, each.part, each.needs, each.claim_mib)
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
    for way, words in WORDS.items():
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
    claimed = any(consumer.claim_mib for consumer in comparison.work)
    if pools and not comparison.pays_from and not claimed:
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


def _waiting(comparison: Comparison, bill: Bill) -> Iterator[str]:
    """Why the bill has less for GPU nodes than the comparison."""
    nodes = [line.usd.expected for line in bill.lines if line.usd and line.name == f"GPU nodes, {line.pool}"]
    written = comparison.ways[WRITTEN].usd_per_month
    if written - sum(nodes) > _CENT:
        yield (
            f"The bill has {sum(nodes):,.2f} for these nodes: there, what finds no slot within maxGpus waits; compared "
            "is all work, as if it found one."
        )


#: Sums of floats that differ by less are the same.
_CENT = 0.005
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
