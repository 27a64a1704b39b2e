"""Lines of the bill for nodes of GPU pools, their volumes and addresses, and for capacity that is reserved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from config.consumers import standing_and_asked
from config.errors import counted, listed
from config.pool_schema import GpuPool
from config.pools import reservations_shared
from config.schema import StackConfig
from gpu.bill import (
    Consumer,
    Line,
    Reasons,
    asked_reasons,
    block_reasons,
    bought_words,
    node_of,
    reserved_reasons,
    standing_reasons,
    why_more_hours,
    why_most_hours,
    why_most_standing_hours,
    why_volume,
)
from gpu.pool import Pool
from gpu.sharing import AMIS
from gpu.why import Why, most, plus, times

NodePart = Literal["always", "on demand"]


def node_lines(config: StackConfig, holding: Sequence[Consumer], part: NodePart) -> Iterator[Line]:
    """Nodes and their volumes, pool by pool. On demand: what comes on top of what always runs."""
    for section in config.pools:
        pool = config.gpu_pools[section.name]
        if pool.purchase == "reserved" and part == "always":
            yield _reserved(section, pool, _on_the_same(section, config))
        standing, asked = standing_and_asked(holding, pool)
        if standing if part == "always" else asked:
            yield from _lines(section, config, standing, asked, part)


def _on_the_same(section: GpuPool, config: StackConfig) -> str:
    """Pools that name a reservation of this one: whoever writes them parts its GPUs, which no stack file tells."""
    named = {
        name: sorted({term.id for term in terms if term.id})
        for name, terms in reservations_shared(section, config.pools).items()
    }
    told = [f"{listed(ids, 'and')} is pool {name}'s too" for name, ids in named.items() if ids]
    return f"; {listed(told, 'and')}: each counts its own maxGpus" if told else ""


def _reserved(section: GpuPool, pool: Pool, others: str) -> Line:
    """What is paid whether nodes run or not: reservations by the hour, a capacity block once, for all of its time.

    others: in words, which pools have a part of the same reservation.
    """
    gpus = counted(pool.max_gpus, "GPU")
    if not pool.block:
        detail = f"{gpus}, paid whether nodes run or not{others}"
        return Line.reckoned("always", f"Reserved capacity, {pool.name}", detail, reserved_reasons(pool), pool.name)
    fee = section.upfront_fee_usd
    how_much = "" if fee else "; how much is not known: write upfrontFeeUsd"
    detail = f"{gpus}, paid once, in advance, whether nodes run or not{others}{how_much}"
    line = Line.reckoned("always", f"Capacity block, {pool.name}", detail, block_reasons(pool, fee), pool.name)
    return replace(line, once=True)


def _lines(
    section: GpuPool, config: StackConfig, standing: Sequence[Consumer], asked: Sequence[Consumer], part: NodePart
) -> Iterator[Line]:
    pool = config.gpu_pools[section.name]
    always = part == "always"
    name, held = f"GPU nodes, {pool.name}", sum(consumer.slots for consumer in (standing if always else asked))
    reasons = standing_reasons(pool, standing, asked) if always else asked_reasons(pool, standing, asked)
    node = node_of(pool, standing, asked)
    if node is None:
        yield Line.reckoned(part, name, "no price known", reasons, pool.name)
        return
    if always:
        hours = why_more_hours(pool, node, (), standing)
        longest = most(hours, why_most_standing_hours(pool, node, standing, asked))
    else:
        hours = why_more_hours(pool, node, standing, asked)
        longest = most(hours, why_most_hours(pool, node, standing, asked))
    where = f"{hours.value:,.0f} h of {node.instance_type}, {bought_words(pool)}"
    # Who comes on demand may find room on nodes that are there anyway.
    where = where if hours.value else "free on nodes that always run"
    if pool.purchase != "reserved":
        who = counted(held, "claim" if pool.claims else "slot")
        who = "nodes that always stand" if always and pool.static is not None else who
        yield Line.reckoned(part, name, f"{who}, {where}", reasons, pool.name)

    def hourly(each: Why) -> Reasons:
        usual = times(hours, each)
        return Reasons(usual, usual, times(longest, each))

    size = section.volume.size_gib + sum(volume.size_gib for volume in section.node_class.volumes)
    detail = f"{hours.value:,.0f} h of {size} GiB gp3"
    yield Line.reckoned(part, f"Volumes, {pool.name}", detail, hourly(_volume(section, config)), pool.name)
    if config.network.nat == "none":
        detail = f"{hours.value:,.0f} h of an IPv4 address"
        reasons = hourly(config.prices.services.why("public_ipv4_per_hour"))
        yield Line.reckoned(part, f"Public addresses, {pool.name}", detail, reasons, pool.name)


def beside_a_node(section: GpuPool, config: StackConfig) -> Iterator[Why]:
    """What a node costs an hour beside its instance."""
    yield _volume(section, config)
    if config.network.nat == "none":
        yield config.prices.services.why("public_ipv4_per_hour")


def _volume(section: GpuPool, config: StackConfig) -> Why:
    """Of all volumes of a node."""
    volume, system = section.volume, AMIS[section.ami].system_volume_gib
    services = config.prices.services
    first = why_volume(volume.size_gib + system, volume.iops, volume.throughput_mibps, services)
    more = [why_volume(v.size_gib, v.iops, v.throughput_mibps, services) for v in section.node_class.volumes]
    return plus(first, *more) if more else first
