"""Whether a budget can hold at all: it must be above what the stack costs when nobody uses it."""

from __future__ import annotations

from collections.abc import Iterator

from config.bill import quiet_lines
from config.consumers import consumers
from config.errors import Problem
from config.schema import StackConfig
from gpu.bill import known_of, sum_of


def check_budget(config: StackConfig) -> Iterator[Problem]:
    """A brake that holds nothing, and a budget below the floor and what always runs.

    Needs a configuration in which nothing else is wrong.

    Spot counts at the least that was seen, and what has no price counts nothing, nor what is paid in one month alone: a
    budget is refused only where it cannot hold.
    """
    if config.budget is None:
        return
    yield from _soft_brake(config)
    lines = [line for line in quiet_lines(config, consumers(config)) if not line.once]
    known = known_of(lines)
    quiet, floor = sum_of(known), sum_of([line for line in known if line.part == "floor"])
    if quiet is None or floor is None or config.budget.monthly_usd >= quiet.low:
        return
    always = quiet.low - floor.low
    least = f"{'' if len(known) == len(lines) else 'at least '}{quiet.low:,.2f}"
    more = f", and {always:,.2f} of what always runs" if always else ""
    message = (
        f"cannot hold: the stack costs {least} USD a month when nobody uses it, {floor.low:,.2f} of its "
        f"floor{more}; write more, or take away what stands there (slices plan lists it)"
    )
    yield Problem(("budget", "monthlyUsd"), config.budget.monthly_usd, message)


def _soft_brake(config: StackConfig) -> Iterator[Problem]:
    if config.budget and config.budget.soft_brake and all(p.always_paid for p in config.gpu_pools.values()):
        message = "would hold nothing: every pool is static or of reserved capacity, which is paid anyway; leave it out"
        yield Problem(("budget", "softBrake"), True, message)
