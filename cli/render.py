"""Prints a plan for people: 80 columns are enough, colours are optional, figures are never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from account.commands import aws, shell_text
from cli.console import command, count, hanging, heading, kind, write
from cli.render_serving import cold_start_rows, server_lines, source_rows
from cli.render_verdicts import print_verdicts
from cli.tree import count_by_package, resource_tree
from config.schema import MpsLimits
from gpu.estimate import BOUGHT, CostItem
from gpu.pool import Pool
from plan.figures import Figures, ModelFigures, PoolComparison, ServiceFigures, prices_note
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
    print_verdicts(console, plan.verdicts, _where)
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
    _section(console, "GPU pools", _pools(figures.pools))
    if figures.models:
        _section(console, "Model memory in its slot, GiB", _memory(figures.models))
        _cold_start(console, figures.services)
    _section(console, _floor_title(figures), _idle(figures.idle_floor))
    _section(console, "GPU prices, cheapest type of each pool, USD per hour", _pool_prices(figures.pools))
    for summary in figures.pools:
        _price_notes(console, summary, figures.config.region)
    if figures.models:
        title = "A slot of a full node against a GPU of its own, bought alike, USD per hour"
        _section(console, title, _dedicated(figures.models))
        _compare(console, figures)
    console.print(Text(f"\n{prices_note(figures.config.prices)}", style="dim"))


def _section(console: Console, title: str, content: RenderableType) -> None:
    heading(console, title)
    console.print(Padding(content, (0, 0)))


def _table(*columns: str, texts: int) -> Table:
    """A table whose first `texts` columns hold words, which may wrap; the others hold figures, which never do."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for index, header in enumerate(columns):
        if index < texts:
            table.add_column(header, overflow="fold", vertical="top")
        else:
            table.add_column(header, justify="right", no_wrap=True, vertical="top")
    return table


# --- Pools ------------------------------------------------------------------------------------------------------------


def _pools(pools: Sequence[Pool]) -> Table:
    table = _table("pool", "sharing", "instances", "slots\nper GPU", "GiB\nper slot", "limit", texts=3)
    for summary in pools:
        families = ", ".join(dict.fromkeys(t.family for t in summary.types))
        gpus = " or ".join(dict.fromkeys(t.gpu.product.removeprefix("NVIDIA ") for t in summary.types))
        table.add_row(
            f"{summary.name}\n{summary.capacity_type}",
            f"{summary.profile.words}\n{summary.resource}",
            f"{families}\n{gpus}",
            _slots(summary),
            _gib(summary.slot_memory_mib),
            f"{count(summary.max_slots, 'slot')}\n{count(summary.max_gpus, 'GPU')}",
        )
    return table


def _slots(summary: Pool) -> str:
    counts = summary.slots.values()
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


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
        others = f"{name} may buy others, up to {dearest.instance_type}: {price}, {count(dearest.slots, 'slot')}."
        hanging(console, "- ", others)
    if cheapest and _unsure(summary):
        unsure = (
            f"{name}: no Spot price of {cheapest.instance_type} was seen, and EC2's offerings do not tell whether "
            f"{region} sells it as Spot. An empty answer to this means no:"
        )
        hanging(console, "* ", unsure)
        types: dict[str, Any] = {"instance_types": cheapest.instance_type, "max_items": 1}
        ask = aws("ec2", "describe-spot-price-history", region=region, **types)
        command(console, shell_text(ask, console.width - 2), 2)


def _pool_prices(pools: Sequence[Pool]) -> Table:
    table = _table(
        "pool buys", "cheapest", "slots", "on-demand", "a slot", "Spot\nestimate", "a slot\n(estimate)", texts=2
    )
    for summary in pools:
        price = summary.price
        if price is None:
            table.add_row(f"{summary.name}\n{summary.capacity_type}", "no price known", *["-"] * 5)
            continue
        table.add_row(
            f"{summary.name}\n{summary.capacity_type}",
            price.instance_type,
            str(price.slots),
            _usd(price.on_demand_usd_per_hour),
            _usd(price.on_demand_usd_per_slot_hour),
            f"{_usd(price.spot_usd_per_hour)}{_unsure(summary)}",
            f"{_usd(price.spot_usd_per_slot_hour)}{_unsure(summary)}",
        )
    return table


# --- Models -----------------------------------------------------------------------------------------------------------


def _memory(models: Sequence[ModelFigures]) -> Table:
    table = _table("model and pool", "weights", "+ KV", "+ over-\nhead", "= need", "slot", "left", "fits", texts=1)
    for group in _alike(models):
        model = group[0]
        memory = model.memory
        table.add_row(
            f"{_names(group)} on {model.config.pool}\n{_settings(model)}",
            _gib(memory.weights_mib),
            _gib(memory.kv_cache_mib),
            _gib(memory.overhead_mib),
            _gib(memory.total_mib),
            _gib(model.slot_memory_mib),
            _gib(model.headroom_mib),
            "yes" if model.headroom_mib >= 0 else "NO",
            style="" if model.headroom_mib >= 0 else "red",
        )
    return table


def _dedicated(models: Sequence[ModelFigures]) -> Table:
    table = _table("model", "smallest GPU of its own", "bought", "it costs", "its slot", "a slot is", texts=3)
    for group in _alike(models):
        model = group[0]
        own, slot = model.dedicated_usd_per_hour, model.usd_per_slot_hour
        shared = model.pool.profile.shares
        table.add_row(
            _names(group),
            _own_gpu(model),
            _bought(model.pool),
            _usd(own),
            f"{_usd(slot)}{_unsure(model.pool)}",
            _difference(slot, own) if shared else "not shared",
        )
    return table


def _own_gpu(model: ModelFigures) -> str:
    if model.dedicated:
        return model.dedicated.name
    return "no single GPU holds it" if model.pool.prices.on_demand else "no price known"


def _cold_start(console: Console, services: Sequence[ServiceFigures]) -> None:
    table = _table(
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
        table.add_row(*row)
    _section(console, "Cold start: seconds until a model answers", table)
    sources = _table("step", "where its figure is from", "what changes it", texts=3)
    for source in source_rows(services):
        sources.add_row(*source, style="dim")
    console.print(Padding(sources, (1, 0, 0, 0)))
    for text in server_lines(services):
        console.print(Text(f"\n{text}"))


def _floor_title(figures: Figures) -> str:
    if any(item.name == "Warm GPU nodes" for item in figures.idle_floor):
        return "Idle floor: nobody asks anything, and some GPU nodes stay"
    return "Idle floor: no GPU and no CPU pool node runs"


def _difference(slot: float | None, own: float | None) -> str:
    if not own or slot is None:
        return "-"
    return f"{1 - slot / own:.0%} less" if slot <= own else f"{slot / own - 1:.0%} more"


def _compare(console: Console, figures: Figures) -> None:
    comparison = figures.comparison
    if comparison is None:
        return
    by_pool = {summary.name: summary for summary in figures.pools}
    nodes = [_nodes(count, by_pool[name]) for name, count in comparison.nodes.items()]
    shared, dedicated = comparison.shared_usd_per_hour, comparison.dedicated_usd_per_hour
    console.print(
        Text(
            f"All {count(len(figures.models), 'model')} at once: {' + '.join(nodes)}: {_usd(shared)} USD/h. "
            f"A GPU each, bought alike: {_usd(dedicated)} USD/h."
        )
    )
    if shared > dedicated:
        console.print(
            Text(f"Together sharing costs {_usd(shared - dedicated)} USD/h MORE than a GPU each.", style="bold")
        )
    for name, pool in comparison.pools.items():
        if pool.shared_usd_per_hour > pool.dedicated_usd_per_hour and by_pool[name].profile.shares:
            hanging(console, "- ", _dearer(by_pool[name], pool))


def _nodes(count: int, summary: Pool) -> str:
    """`2 × g6.xlarge (Spot estimate)`."""
    name = summary.price.instance_type if summary.price else "?"
    return f"{count} × {name} ({_bought(summary)}{_unsure(summary)})"


def _dearer(summary: Pool, pool: PoolComparison) -> str:
    """What a pool costs more than GPUs of their own, and what it is good for then."""
    reason = "it pays only where more slots are taken, or a GPU of this kind is needed"
    if summary.profile.isolated:
        reason = "it buys tenants parts of a large GPU that hardware isolates; for the price alone it is wrong"
    taken = f"{pool.taken} of {count(pool.slots, 'slot')} taken"
    shared, dedicated = _usd(pool.shared_usd_per_hour), _usd(pool.dedicated_usd_per_hour)
    return f"{summary.name}: {taken}, {shared} USD/h against {dedicated}: {reason}."


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


# --- Floor ------------------------------------------------------------------------------------------------------------


def _idle(items: Sequence[CostItem]) -> Table:
    table = _table("item", "what", "USD per month", texts=2)
    for item in items:
        table.add_row(item.name, item.detail, "-" if item.usd_per_month is None else f"{item.usd_per_month:,.2f}")
    known = [item.usd_per_month for item in items if item.usd_per_month is not None]
    what = "" if len(known) == len(items) else "of what is known" if known else "no price known"
    table.add_section()
    table.add_row("total", what, f"{sum(known):,.2f}" if known else "-", style="bold")
    return table


# --- Words and figures ------------------------------------------------------------------------------------------------


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.4f}" if amount < 10 else f"{amount:.2f}"
