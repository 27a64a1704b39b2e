"""Prints what the pods of a plan claim of GPUs, and how many GPUs that takes."""

from __future__ import annotations

from rich.console import Console

from cli.console import hanging
from cli.tables import section, table
from config.errors import counted
from gpu.pool import MIB_PER_GIB
from plan.claims import ClaimFigures
from plan.figures import Figures


def print_claims(console: Console, figures: Figures) -> None:
    """A table of claims, and a line for each pool; nothing where no pod claims memory."""
    if not figures.claims:
        return
    found = table("who, on which pool", "pods", "need\nMiB", "claim\nMiB", "part of\na GPU", "USD an hour", texts=1)
    for each in figures.claims:
        for holder in each.holders:
            usd = each.why_claim(holder, each.pool.capacity_type).value
            found.add_row(
                f"{holder.name} on {each.pool.name}",
                str(holder.slots),
                f"{sum(holder.needs):,}" if holder.needs else "-",
                f"{holder.claim_mib:,}",
                f"{holder.claim_mib / each.gpu_mib:.0%}".replace("%", " %"),
                "-" if usd is None else f"{usd:.4f}",
            )
    section(console, "GPU memory that pods claim", found)
    for each in figures.claims:
        hanging(console, "- ", _sum(each))
        if each.gpus_with_hosts > each.gpus:
            hanging(console, "- ", _hosts(each))
    hanging(console, "- ", "Alpha: a claim is a promise that nothing enforces (docs/sharing.md, Claims of memory).")


def _hosts(each: ClaimFigures) -> str:
    """What the pods ask of their nodes beside the GPU is more than goes with their claims."""
    nodes, most = each.gpus_with_hosts, each.pool.max_gpus
    waits = f", and maxGpus {most} lets pods wait" if nodes > most else ""
    return (
        f"{each.pool.name}: by the CPU and memory of workloads it is {counted(nodes, 'GPU')}{waits}, and the bill has "
        "them: give workloads cpu and memory in proportion to gpuMemoryMib, or the pool types with more of both."
    )


def _sum(each: ClaimFigures) -> str:
    usd = each.why_gib(each.pool.capacity_type).value
    total = f"{sum(each.claims) / MIB_PER_GIB:.1f} of {each.gpus * each.gpu_mib / MIB_PER_GIB:.1f} GiB"
    price = "" if usd is None else f"; a GiB costs {usd:.4f} USD an hour"
    return (
        f"{each.pool.name}: {counted(each.gpus, 'GPU')} for {counted(len(each.claims), 'claim')} at once ({total}), "
        f"at least {each.bound} by their sum; in equal slots {each.in_equal_slots}, with a pool for each size "
        f"{each.by_size}{price}."
    )
