"""The bill of a stack for a month: the floor, what always runs, what is used, traffic and logs; line by line.

All prices are USD of the stack's region, for 730 hours; a line whose price is not known has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.idle_floor import floor_items
from config.node_lines import beside_a_node, node_lines
from config.schema import StackConfig
from config.traffic_lines import traffic_lines
from gpu.bill import Consumer, Line, Part, Reasons, Spread, block_reasons, sum_of, why_ceiling
from gpu.estimate import MONTH, CostItem
from gpu.pool import Pool
from gpu.why import Why, given, plus, times


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A month's bill, USD. ceiling: all GPUs that `maxGpus` allows, around the clock, and the rest of the bill."""

    lines: tuple[Line, ...]
    why_ceiling: Why

    @property
    def ceiling(self) -> float | None:
        """The sum of `why_ceiling`."""
        return self.why_ceiling.value

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts that have a line, in their order."""
        return tuple(dict.fromkeys(line.part for line in self.lines))

    def of(self, *parts: Part) -> Spread | None:
        """The sum of some parts, or of all."""
        return sum_of([line for line in self.lines if not parts or line.part in parts])


def quiet_lines(config: StackConfig, holding: Sequence[Consumer]) -> list[Line]:
    """The floor, and what always runs: what the stack costs when nobody uses it."""
    floor = [Line.reckoned("floor", item.name, item.detail, _floor_reasons(item)) for item in floor_items(config)]
    return [*floor, *node_lines(config, holding, "always")]


def bill(config: StackConfig, holding: Sequence[Consumer]) -> Bill:
    """The bill of a stack. holding: its `consumers`."""
    lines = [*quiet_lines(config, holding), *node_lines(config, holding, "on demand")]
    lines += traffic_lines(config, holding)
    pools = config.gpu_pools
    # A capacity block is not paid by the hour.
    nodes = plus(*(why_ceiling(pool) for pool in pools.values() if not pool.block))
    blocks = [
        block_reasons(pools[each.name], each.upfront_fee_usd).high for each in config.pools if pools[each.name].block
    ]
    volumes = plus(*(times(_most(pools[each.name]), plus(*beside_a_node(each, config))) for each in config.pools))
    steady = [given(line.name, line.usd.high if line.usd else None, "USD") for line in lines if line.part in _STEADY]
    return Bill(lines=tuple(lines), why_ceiling=plus(times(plus(nodes, volumes), MONTH), *blocks, *steady))


#: Parts that do not depend on how many GPU nodes there are.
_STEADY: tuple[Part, ...] = ("floor", "traffic and logs")


def _floor_reasons(item: CostItem) -> Reasons:
    low, high = item.range or (item.why, item.why)
    return Reasons(low, item.why, high)


def _most(pool: Pool) -> Why:
    return given(f"volumes of {pool.name} within maxGpus", max(pool.most_nodes(t.name) for t in pool.types))
