"""Prints what an interruption costs the Jobs of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rich.console import Console

from cli.console import hanging, heading
from gpu.pool import Pool
from plan.figures import Figures
from plan.work import interruption_of


def print_jobs(console: Console, figures: Figures) -> None:
    """A line for each Job; nothing where there is none."""
    lines = list(job_lines(figures))
    if lines:
        heading(console, "Jobs, when they are interrupted")
        for line in lines:
            hanging(console, "- ", line)


def job_lines(figures: Figures) -> Iterator[str]:
    """What each Job loses, in the order of the file."""
    for workload in figures.config.workloads:
        if workload.ends:
            where = _where(figures.config.gpu_pools[workload.pool])
            yield f"{workload.name}, {where}: {interruption_of(workload)}."


def _where(pool: Pool) -> str:
    match pool.purchase:
        case "spot":
            return "on Spot"
        case "on-demand":
            return "on demand"
        case "reserved":
            return "on a capacity block" if pool.block else "on reserved capacity"
        case _:
            assert_never(pool.purchase)
