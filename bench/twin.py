"""Measures the twin: `python -m bench.twin [--pods 200 1000 3000]`; the first time it builds the twin's programs.

How long `slices up` takes, what a resting twin holds in memory, and how long many pods of one slot each take from
nothing to running. Each size gets a twin of its own, in a folder of its own. Of the seconds to the last pod 38 are
given: a batch of pods is 1 to 10 s old when Karpenter buys for it, an instance boots in 30, its plugin speaks after 8.
Processor seconds and memory are read from /proc and are left out where there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.machine import launch
from twin.machine.build import ensure_built
from twin.machine.processes import find
from twin.machine.progress import BuildProgress
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.scenarios.packing import nodes_needed
from twin.scenarios.play import Play, playing
from twin.up import Up

ROOT = Path(__file__).resolve().parents[1]
STACK = "local"
#: Seconds that a twin rests before its memory is read.
_REST = 20.0


@dataclass
class Run:
    """Pods of one slot each in one pool, all asked for at once. Seconds since the request."""

    pods: int
    nodes: int = 0
    nodes_needed: int = 0
    bought_ever: int = 0
    first_claim: float = 0.0
    last_claim: float = 0.0
    first_node: float = 0.0
    last_node: float = 0.0
    first_running: float = 0.0
    last_running: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, nargs="*", default=[200, 1000], help="sizes to measure (default: 200 1000)")
    parser.add_argument("--ups", type=int, default=3, help="how often `slices up` is measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    with BuildProgress(Console(stderr=True)) as progress:
        programs = ensure_built(progress)
    figures: dict[str, Any] = {"cpus": os.cpu_count(), "up": [], "runs": []}
    for _ in range(arguments.ups):
        with tempfile.TemporaryDirectory() as folder:
            figures["up"].append(_measure_up(Path(folder), programs, figures))
    for pods in arguments.pods:
        with tempfile.TemporaryDirectory() as folder:
            figures["runs"].append(asdict(_measure_pods(Path(folder), programs, pods)))
    Console().print(_table(figures["runs"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


def _start(state: TwinState, programs: Path) -> Up:
    up = Up(state, programs, lambda _: None)
    with state.lock():
        up.run(lambda: make_plan(ROOT, STACK))
    return up


def _measure_up(folder: Path, programs: Path, figures: dict[str, Any]) -> dict[str, float]:
    state = TwinState(folder / ".twin", STACK)
    try:
        up = _start(state, programs)
        print("up:", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in up.timing.steps.items()))
        if "idle_mib" not in figures:
            time.sleep(_REST)
            idle = {name: figure["rss"] for name, figure in _processes(state).items()}
            figures["idle_mib"] = idle
            print(f"idle memory: {sum(idle.values())} MiB:", ", ".join(f"{n} {m}" for n, m in idle.items()))
        return {step: round(seconds, 2) for step, seconds in up.timing.steps.items()}
    finally:
        launch.stop(state)


def _measure_pods(folder: Path, programs: Path, pods: int) -> Run:
    state = TwinState(folder / ".twin", STACK)
    try:
        _start(state, programs)
        before = {name: figure["cpu"] for name, figure in _processes(state).items()}
        kinds = ("Node", "NodeClaim", "NodePool", "Pod", "Deployment")
        with playing(state, lambda _: None, kinds, own_pods_only=True) as play:
            run = _many(play, pods)
            after = _processes(state)
        run.cpu_seconds = {name: round(figure["cpu"] - before.get(name, 0), 1) for name, figure in after.items()}
        run.peak_mib = {name: figure["peak"] for name, figure in after.items()}
        _print(run)
        return run
    finally:
        launch.stop(state)


def _many(play: Play, pods: int) -> Run:
    pool = play.pool()
    run = Run(pods, nodes_needed=nodes_needed(pods, pool.slots_per_node()))
    began = time.monotonic()

    def elapsed() -> float:
        return round(time.monotonic() - began, 1)

    play.deploy("bench", pool.name, pool.resource, pods)
    counts: list[tuple[str, Callable[[], int], int]] = [
        ("claim", lambda: len(play.claims_of(pool.name)), run.nodes_needed),
        (
            "node",
            lambda: sum(n["metadata"]["name"].startswith("kwok-") for n in play.observed.all("Node")),
            run.nodes_needed,
        ),
        ("running", lambda: play.running("bench"), pods),
    ]
    patience = 120 + pods * 0.2
    while run.last_running == 0.0 and elapsed() < patience:
        for name, count, wanted in counts:
            now = count()
            if now and not getattr(run, f"first_{name}"):
                setattr(run, f"first_{name}", elapsed())
            if now >= wanted and not getattr(run, f"last_{name}"):
                setattr(run, f"last_{name}", elapsed())
        time.sleep(0.25)
    play.stays(lambda: True, 5)
    run.bought_ever = len(play.claims_of(pool.name))
    run.nodes = len(play.view.pool(pool.name))
    return run


def _table(runs: list[dict[str, Any]]) -> Table:
    table = Table("pods", "nodes", "fewest", "s to the last claim", "node", "pod", "processor s", "peak MiB")
    for run in runs:
        times = (f"{run[name]:.0f}" for name in ("last_claim", "last_node", "last_running"))
        sums = (f"{sum(run[name].values()):,.0f}" for name in ("cpu_seconds", "peak_mib"))
        table.add_row(f"{run['pods']:,}", str(run["bought_ever"]), str(run["nodes_needed"]), *times, *sums)
    return table


def _print(run: Run) -> None:
    verdict = "as few as can be" if run.bought_ever == run.nodes_needed else f"{run.nodes_needed} would do"
    print(
        f"{run.pods} pods: all run after {run.last_running} s; {run.bought_ever} nodes bought, {verdict}; "
        f"claims {run.first_claim} to {run.last_claim} s, nodes {run.first_node} to {run.last_node} s, "
        f"pods {run.first_running} to {run.last_running} s"
    )
    for title, figures in (("processor seconds", run.cpu_seconds), ("peak MiB", run.peak_mib)):
        print(f"  {title}: {sum(figures.values()):.0f} in all:", ", ".join(f"{n} {v}" for n, v in figures.items()))


def _processes(state: TwinState) -> dict[str, dict[str, Any]]:
    """Processor seconds, memory now and at most (MiB) of each process."""
    if sys.platform != "linux":
        return {}
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid, name in sorted(find(state).items(), key=lambda pair: pair[1]):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        memory = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm")
        )
        found[name] = {
            "cpu": (int(stat[11]) + int(stat[12])) / ticks,
            "rss": int(memory["VmRSS"].split()[0]) // 1024,
            "peak": int(memory["VmHWM"].split()[0]) // 1024,
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
