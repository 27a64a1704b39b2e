"""What a stack costs when nobody uses it: the figure that stack outputs and the plan share."""

from __future__ import annotations

from config.bill import consumers, quiet_lines
from config.schema import StackConfig
from gpu.bill import sum_of


def idle_floor_usd(config: StackConfig) -> float | None:
    """The floor and what always runs, as expected, in USD per month; None where a price is not known."""
    quiet = sum_of(quiet_lines(config, consumers(config)))
    return quiet.expected if quiet else None
