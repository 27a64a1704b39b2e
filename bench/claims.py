"""Measures claims of GPU memory: `python -m bench.claims`; the first time it builds the twin's programs.

How many GPUs unequal pods take, beside their bound (their sum on full GPUs), the fewest that hold them, equal slots,
and a pool per size: by the plan's model for 30 seeds of each number of pods, and by the twin of stack memory for some.
And whether `maxGpus` holds: bursts twice as large, from zero and on running nodes, while Karpenter is killed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fewest import fewest
from bench.processes import ROOT, machine
from gpu.catalog import INSTANCE_TYPES
from gpu.claims import bought, bound, equal_slots, pools_by_size
from twin.machine import launch
from twin.machine.build import ensure_built
from twin.machine.progress import BuildProgress
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.scenarios.claiming import MOST_OVER_BOUND, Claiming, Kill, draw
from twin.scenarios.play import playing
from twin.up import Up

RESULT = ROOT / "bench" / "results" / "claims.json"
STACK = "memory"
PODS = (12, 20, 30, 40, 60, 100, 150, 200)
SEEDS = 30
#: Numbers of pods for which the fewest GPUs are looked for: of more pods the search takes too long.
_FEW = 30
_GPU_MIB = INSTANCE_TYPES["g6.xlarge"].gpu.memory.total_mib

Row = dict[str, Any]


def main() -> int:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims", description=__doc__)
    parser.add_argument("--pods", type=int, nargs="*", default=[60, 200], help="pods that the twin plays")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1], help="draws of each number that the twin plays")
    parser.add_argument("--bursts", type=int, default=20, help="bursts against maxGpus, half of them on running nodes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}, of the model alone")
    arguments = parser.parse_args()
    figures = {"model": [model(pods) for pods in PODS], "twin": list[Row](), "bursts": list[Row]()}
    _show("By the plan's model, 30 seeds each", figures["model"])
    if arguments.write:
        result = {**machine(), "seeds": SEEDS, "gpu_mib": _GPU_MIB, "rows": figures["model"]}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if arguments.pods or arguments.bursts:
        with BuildProgress(Console(stderr=True)) as progress:
            programs = ensure_built(progress)
        with tempfile.TemporaryDirectory() as folder:
            state = TwinState(Path(folder) / ".twin", STACK)
            try:
                with state.lock():
                    Up(state, programs, lambda _: None).run(lambda: make_plan(ROOT, STACK))
                figures["bursts"] = _bursts(state, arguments.bursts)
                figures["twin"] = [_mixed(state, pods, seed) for pods in arguments.pods for seed in arguments.seeds]
            finally:
                launch.stop(state)
        _show("By the twin", figures["twin"])
        _show("Bursts of twice maxGpus", figures["bursts"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


def model(pods: int) -> Row:
    """All seeds of a number of pods, by arithmetic."""
    draws = [draw(pods, seed) for seed in range(SEEDS)]
    least = [bound(sizes, _GPU_MIB) for sizes in draws]
    taken = [len(bought(sorted(sizes, reverse=True), _GPU_MIB)) for sizes in draws]
    over = [gpus / fewer for gpus, fewer in zip(taken, least, strict=True)]
    can = [fewest(sizes, _GPU_MIB) for sizes in draws] if pods <= _FEW else []
    return {
        "pods": pods,
        "bound": round(statistics.mean(least), 1),
        "fewest": round(statistics.mean(can), 1) if can else None,
        "GPUs": round(statistics.mean(taken), 1),
        "over the bound, mean": round(statistics.mean(over), 3),
        "over the bound, most": round(max(over), 3),
        "GPUs over it, most": max(gpus - fewer for gpus, fewer in zip(taken, least, strict=True)),
        "above 1.15": sum(ratio > MOST_OVER_BOUND for ratio in over),
        "fewest above 1.15": sum(gpus > MOST_OVER_BOUND * fewer for gpus, fewer in zip(can, least, strict=True))
        if can
        else None,
        "equal slots": round(statistics.mean(equal_slots(sizes, _GPU_MIB) for sizes in draws), 1),
        "pool per size": round(statistics.mean(pools_by_size(sizes, _GPU_MIB) for sizes in draws), 1),
    }


def _mixed(state: TwinState, pods: int, seed: int) -> Row:
    with playing(state, lambda _: None) as play:
        row = {"pods": pods, "seed": seed, **Claiming.of(play).mixed(draw(pods, seed))}
        return {**row, "checks": f"{sum(c.passed for c in play.checks)} of {len(play.checks)}"}


def _bursts(state: TwinState, bursts: int) -> list[Row]:
    """Half of them from zero, each followed by one on the nodes that it has bought; Karpenter dies in two of three."""
    rows: list[Row] = []
    for number in range(-(-bursts // 2)):
        kill: Kill | None = (None, "asked", "bought")[number % 3]
        with playing(state, lambda _: None) as play:
            on = Claiming.of(play)
            for name in ("from-zero", "on-nodes"):
                most = on.burst(name, kill)
                rows.append({"burst": name, "Karpenter killed when": kill, "maxGpus": on.most_gpus, "most": most})
                on.end(name)
    return rows


def _show(title: str, rows: Iterable[Row]) -> None:
    table, listed = Table(title=title), list(rows)
    for name in listed[0] if listed else ():
        table.add_column(name, justify="right")
    for row in listed:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
