"""Prints a plan for people: 80 columns are enough, colours are optional, figures are never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from account.commands import aws, shell_text
from cli.console import command, hanging, heading, kind, write
from cli.render_bill import alike, kind_words, names, print_bill, print_comparison, print_tokens
from cli.render_claims import print_claims
from cli.render_hosts import print_hosts
from cli.render_jobs import print_jobs
from cli.render_placing import print_placing
from cli.render_serving import cold_start_rows, server_lines, source_rows
from cli.render_verdicts import print_verdicts
from cli.render_work import print_work
from cli.tables import section, table
from cli.tree import count_by_package, resource_tree
from config.errors import counted
from config.schema import MpsLimits
from gpu.bill import Consumer
from gpu.estimate import BOUGHT
from gpu.pool import Pool
from gpu.price_file import BANDS
from plan.figures import Figures, ModelFigures, ServiceFigures, prices_note, prices_warnings
from plan.make import Plan
from policy.analyzer import Verdict


def render(plan: Plan, *, show_all: bool = False) -> None:
    """Print everything about a plan to standard output."""
    write(lambda console: _print(console, plan, show_all))


def _print(console: Console, plan: Plan, show_all: bool) -> None:
    recording = plan.recording
    counts = ", ".join(f"{count} {name}" for name, count in count_by_package(recording.resources).items())
    heading(console, f"Plan of {recording.project}, stack {recording.stack}, region {recording.region}")
    console.print(f"{len(recording.resources)} resources: {counts}\n")
    console.print(resource_tree(recording, show_all=show_all))
    if plan.figures:
        _figures(console, plan.figures)
    print_verdicts(console, plan.verdicts, _where, plan.disabled)
    if plan.notes:
        heading(console, "Notes")
        for note in plan.notes:
            # A message has lines of its own, further in; each goes on below itself.
            for number, line in enumerate(note.splitlines()):
                inner = " " * (len(line) - len(line.lstrip()))
                hanging(console, "  " + inner if number else "- ", line.strip())


def _where(verdict: Verdict) -> str:
    return f"{kind(verdict.type)} {verdict.resource}" if verdict.resource else "the stack"


def _figures(console: Console, figures: Figures) -> None:
    section(console, "GPU pools", _pools(figures.pools))
    if any(consumer.slots for consumer in figures.consumers):
        section(console, "Slots, and the memory in one, GiB", _memory(figures))
    print_hosts(console, figures)
    print_claims(console, figures)
    print_placing(console, figures)
    if figures.services:
        _cold_start(console, figures.services)
    print_work(console, figures)
    print_jobs(console, figures)
    print_bill(console, figures)
    section(console, "GPU prices, cheapest type of each pool, USD per hour", _pool_prices(figures.pools))
    for summary in figures.pools:
        _price_notes(console, summary, figures.config.region)
    _spot_zones(console, figures)
    print_comparison(console, figures)
    print_tokens(console, figures)
    console.print(Text(f"\n{prices_note(figures.config.prices)}", style="dim"))
    for warning in prices_warnings(figures.config.prices, figures.today):
        hanging(console, "Warning: ", warning, "yellow")


# --- Pools ------------------------------------------------------------------------------------------------------------


def _pools(pools: Sequence[Pool]) -> Table:
    found = table("pool", "sharing", "instances", "slots\nper GPU", "GiB\nper slot", "limit", texts=3)
    for summary in pools:
        families = ", ".join(dict.fromkeys(t.family for t in summary.types))
        gpus = " or ".join(dict.fromkeys(t.gpu.product.removeprefix("NVIDIA ") for t in summary.types))
        found.add_row(
            f"{summary.name}\n{_purchase(summary)}",
            f"{summary.profile.words}\n{summary.resource}",
            f"{families}\n{gpus}",
            "-" if summary.claims else _slots(summary),
            _gib(summary.slot_memory_mib),
            f"{_limit(summary)}\n{counted(summary.max_gpus, 'GPU')}",
        )
    return found


def _limit(summary: Pool) -> str:
    """What Karpenter is told."""
    if summary.static is not None:
        return f"always {counted(summary.static, 'node')}"
    return counted(summary.room, "vCPU") if summary.claims else counted(summary.max_slots, "slot")


def _slots(summary: Pool) -> str:
    counts = summary.slots.values()
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def _purchase(summary: Pool) -> str:
    """What the pool gets, the first first."""
    if summary.block:
        return "capacity block"
    return ", else ".join(summary.capacity_types)


def _bought(summary: Pool) -> str:
    return BOUGHT[summary.capacity_type]


def _unsure(summary: Pool) -> str:
    """Marks an estimate for a type of which no Spot price was seen; a note below the tables says what that means."""
    return "*" if summary.price_is_estimate and summary.price and not summary.price.spot_seen else ""


def _price_notes(console: Console, summary: Pool, region: str) -> None:
    """The dearest node that may come, and what nobody knows of Spot."""
    name, cheapest, dearest = summary.name, summary.price, summary.dearest
    if cheapest and dearest and dearest.instance_type != cheapest.instance_type:
        price = f"{_usd(dearest.usd_per_hour(summary.capacity_type))} ({_bought(summary)})"
        others = f"{name} may buy others, up to {dearest.instance_type}: {price}, {counted(dearest.slots, 'slot')}."
        hanging(console, "- ", others)
    if taken_back := _taken_back(summary):
        hanging(console, "- ", taken_back)
    if cheapest and _unsure(summary):
        unsure = (
            f"{name}: no Spot price of {cheapest.instance_type} was seen, and EC2's offerings do not tell whether "
            f"{region} sells it as Spot. An empty answer to this means no:"
        )
        hanging(console, "* ", unsure)
        types: dict[str, Any] = {"instance_types": cheapest.instance_type, "max_items": 1}
        ask = aws("ec2", "describe-spot-price-history", region=region, **types)
        command(console, shell_text(ask, console.width - 2), 2)


def _taken_back(pool: Pool) -> str:
    """How often AWS takes Spot nodes of a pool back; empty where it buys none, or nobody knows."""
    known, cheapest = pool.prices.interruptions, pool.price
    bands = pool.interruption_bands
    if not known or not cheapest or not bands:
        return ""
    own = f"{band} of {cheapest.instance_type}" if (band := bands.get(cheapest.instance_type)) else ""
    others = {each: band for each, band in bands.items() if each != cheapest.instance_type}
    by_band = sorted(others.items(), key=lambda item: BANDS.index(item[1]))
    ends = dict.fromkeys((by_band[0][1], by_band[-1][1])) if by_band else ()
    rest = f"{' to '.join(ends)} of {'the others' if own else 'its types'}" if ends else ""
    bands_said = " and ".join(filter(None, (own, rest)))
    return f"{pool.name}: AWS takes Spot nodes back: {bands_said} in a month (Spot Instance Advisor, {known.date})."


def _spot_zones(console: Console, figures: Figures) -> None:
    """What was asked on Spot for the cheapest type of each pool, where somebody looked."""
    prices = figures.config.prices
    bought = [pool.price.instance_type for pool in figures.pools if pool.price and pool.capacity_type == "spot"]
    rows = [(name, zone, seen) for name in dict.fromkeys(bought) for zone, seen in prices.spot_zones(name).items()]
    if not rows or not prices.spot_seen:
        return
    days, asked = prices.spot_seen.days, ("least", "mean", "most") if prices.spot_seen.days else ("price",)
    found = table("on Spot", "zone", *asked, texts=2)
    for name, zone, seen in rows:
        found.add_row(name, zone, *(_usd(usd) for usd in (seen.least, seen.mean, seen.most)[: len(asked)]))
    when = f"seen in {days} days" if days else f"of {prices.spot_seen.date}, zones without names"
    section(console, f"Spot prices {when}, USD per hour", found)


def _pool_prices(pools: Sequence[Pool]) -> Table:
    found = table(
        "pool buys", "cheapest", "slots", "on-demand", "a slot", "Spot\nestimate", "a slot\n(estimate)", texts=2
    )
    for summary in pools:
        price = summary.price
        if price is None:
            found.add_row(f"{summary.name}\n{_purchase(summary)}", "no price known", *["-"] * 5)
            continue
        found.add_row(
            f"{summary.name}\n{_purchase(summary)}",
            price.instance_type,
            str(price.slots),
            _usd(price.on_demand_usd_per_hour),
            _usd(price.on_demand_usd_per_slot_hour),
            f"{_usd(price.spot_usd_per_hour)}{_unsure(summary)}",
            f"{_usd(price.spot_usd_per_slot_hour)}{_unsure(summary)}",
        )
    return found


# --- Models -----------------------------------------------------------------------------------------------------------


def _memory(figures: Figures) -> Table:
    """All that hold slots: models with what their memory is made of, then everything else."""
    found = table("who, on which pool", "slots", "weights", "+ KV", "over-\nhead", "= need", "slot", "left", texts=1)
    slots = {each.name: each.slots for each in figures.consumers if each.kind in ("model", "server")}
    held = {service.service.first.name: slots[service.service.name] for service in figures.services}
    for group in _alike(figures.models):
        model = group[0]
        memory = model.memory
        own = sum(held.get(each.config.name, 0) for each in group)
        found.add_row(
            f"{_names(group)} on {model.config.pool}\n{_settings(model)}",
            str(own) if own else f"({model.config.server})",
            _gib(memory.weights_mib),
            _gib(memory.kv_cache_mib),
            _gib(memory.overhead_mib),
            _gib(memory.total_mib),
            _gib(model.slot_memory_mib),
            _gib(model.headroom_mib),
            style="" if model.headroom_mib >= 0 else "red",
        )
    for others in alike([each for each in figures.consumers if each.kind not in ("model", "server")]):
        found.add_row(*_other(others))
    return found


#: Whose names say their pool.
_NAMED_BY_POOL = ("warm slots", "static nodes")


def _other(group: Sequence[Consumer]) -> tuple[str, ...]:
    """A workload, the example, slots that are kept warm or always there: nobody knows what their memory is made of."""
    first = group[0]
    need, slot = sum(first.needs), first.slot_memory_mib
    known = (_gib(need), _gib(slot), _gib(slot - need)) if need else ("-", _gib(slot), "-")
    who = f"{names(group)} on {first.pool.name}" if first.kind not in _NAMED_BY_POOL else names(group)
    return (f"{who}\n{kind_words(first)}", str(sum(each.slots for each in group)), "-", "-", "-", *known)


def _cold_start(console: Console, services: Sequence[ServiceFigures]) -> None:
    found = table(
        "service and its weights",
        "node and\nplugin",
        "+ image",
        "+ weights",
        "+ load",
        "= asleep",
        "on a warm\nnode",
        texts=1,
    )
    for row in cold_start_rows(services):
        found.add_row(*row)
    section(console, "Cold start: seconds until a model answers", found)
    sources = table("step", "where its figure is from", "what changes it", texts=3)
    for source in source_rows(services):
        sources.add_row(*source, style="dim")
    console.print(Padding(sources, (1, 0, 0, 0)))
    for text in server_lines(services):
        console.print(Text(f"\n{text}"))


def _alike(models: Sequence[ModelFigures]) -> list[list[ModelFigures]]:
    """Models that differ in nothing but their name, together."""
    groups: dict[tuple[object, ...], list[ModelFigures]] = {}
    for model in models:
        config = model.config
        key = (model.model, config.pool, config.context_length, config.parallel, config.kv_cache_type, model.memory)
        groups.setdefault((*key, config.mps), []).append(model)
    return list(groups.values())


def _names(group: Sequence[ModelFigures]) -> str:
    first = group[0].config.name
    return first if len(group) == 1 else f"{first} … {group[-1].config.name} (×{len(group)})"


def _settings(model: ModelFigures) -> str:
    config = model.config
    parallel = f" ×{config.parallel}" if config.parallel > 1 else ""
    cache = "" if config.kv_cache_type == "f16" else f" {config.kv_cache_type}"
    return f"{model.model}, {config.context_length} tokens{parallel}{cache}{_mps(config.mps)}"


def _mps(limits: MpsLimits | None) -> str:
    """A model's own limits in its MPS slot."""
    if limits is None:
        return ""
    threads = f" {limits.max_compute_percent} % of the GPU" if limits.max_compute_percent else ""
    memory = f" {limits.memory_mib} MiB" if limits.memory_mib else ""
    return f", at most{' and'.join(filter(None, (threads, memory)))}" if threads or memory else ""


# --- Words and figures ------------------------------------------------------------------------------------------------


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.4f}" if amount < 10 else f"{amount:.2f}"
