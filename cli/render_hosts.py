"""Prints where pods with slots take more nodes by the CPU and memory that they ask for than by their slots."""

from __future__ import annotations

from rich.console import Console

from cli.console import hanging
from config.errors import counted
from plan.figures import Figures
from plan.hosts import HostFigures


def print_hosts(console: Console, figures: Figures) -> None:
    """A line for each such pool; nothing where there is none."""
    for each in figures.hosts:
        if each.on_cheapest.scarce:
            hanging(console, "- ", _line(each))


def _line(each: HostFigures) -> str:
    pool, needed = each.pool, each.needed
    limit = f"maxGpus {pool.max_gpus}" if pool.static is None else f"static.replicas {pool.static}"
    waits = f", and {limit} lets pods wait" if each.waits else ""
    share, other = pool.host_share, each.cheapest.instance_type if each.cheapest else each.instance_type
    scarce, slots = each.on_cheapest.scarce, counted(each.slots, "slot")
    would = f"{each.on_cheapest.by_gpu}{'' if other == each.instance_type else f' of {other}'} would do"
    return (
        f"{pool.name}: by the {scarce} that its pods ask for, {slots} at once take "
        f"{counted(needed.nodes, 'node')} of {each.instance_type}, where {would} by slots{waits}. "
        f"A slot's part of its node is {share.cpu_millis}m CPU and {share.memory_mib} MiB: write cpu and memory within "
        "it, fewer slots per GPU, or give the pool types with more of both."
    )
