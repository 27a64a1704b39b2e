"""Measures packing in the twin: `python -m bench.packing`; about ten minutes, and the twin's programs the first time.

The same pods come and go in the same order twice, by the default scheduler and by the one that fills nodes
(`gpuSharing.scoringStrategy: MostAllocated`). Every pod is a Deployment of its own, as models and workloads are, so
that who goes is the seed's choice and nobody's else. Karpenter ends nodes on which nothing runs, after ten seconds
here, and buys for what does not fit. After each step, when nothing changes any more: nodes, and what they cost an hour.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.chart import Chart, Line
from bench.processes import ROOT, machine
from gpu.scheduler import PACKING_SCHEDULER
from twin.machine import launch
from twin.machine.build import ensure_built
from twin.machine.progress import BuildProgress
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.scenarios.packing import nodes_needed
from twin.scenarios.play import Play, playing
from twin.up import Up

STACK = "local"
#: `spec.schedulerName` of the two, and what they are called.
SCHEDULERS = {"default-scheduler": "default scheduler", PACKING_SCHEDULER: "MostAllocated"}
#: Parts of the pods that are there after each step: a day, a quiet evening, a busy morning, and so on.
STEPS = (1.0, 0.3, 0.5, 0.2, 0.6, 0.3, 0.4, 0.2)
#: Seconds without a change after which a step is over, where all pods run and no node is empty any more.
_QUIET = 10.0
_PATIENCE = 420.0
RESULT = ROOT / "bench" / "results" / "packing.json"
PICTURE = ROOT / "docs" / "images" / "packing.svg"


@dataclass(frozen=True)
class Moment:
    """After a step. needed: fewest nodes that hold the pods. seconds: until nothing changed any more."""

    pods: int
    nodes: int
    needed: int
    usd_per_hour: float
    seconds: float


def main() -> int:
    """Measure, print, and write the result and its picture where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.packing", description=__doc__)
    parser.add_argument("--pods", type=int, default=300, help="pods at the beginning (default: 300)")
    parser.add_argument("--seed", type=int, default=16, help="who goes and who comes (default: 16)")
    parser.add_argument("--steps", type=int, default=len(STEPS), help="how many steps are played (default: all)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} and {PICTURE.name}")
    given = parser.parse_args()
    with BuildProgress(Console(stderr=True)) as progress:
        programs = ensure_built(progress)
    steps = list(awake(given.pods, given.seed, STEPS[: given.steps]))
    runs = {name: [asdict(moment) for moment in _run(programs, name, steps)] for name in SCHEDULERS}
    result = {**machine(), "pods": given.pods, "seed": given.seed, "runs": runs}
    Console().print(table(result))
    if given.write:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        PICTURE.write_text(picture(result), encoding="utf-8")
    return 0


def awake(pods: int, seed: int, parts: Sequence[float]) -> Iterator[frozenset[int]]:
    """Who is there after each step: whoever goes or comes is drawn by the seed."""
    draw = random.Random(seed)
    there: set[int] = set()
    for part in parts:
        wanted = round(pods * part)
        if wanted < len(there):
            there -= set(draw.sample(sorted(there), len(there) - wanted))
        else:
            there |= set(draw.sample(sorted(set(range(pods)) - there), wanted - len(there)))
        yield frozenset(there)


def _run(programs: Path, scheduler: str, steps: Sequence[frozenset[int]]) -> list[Moment]:
    """All steps with one scheduler, on a twin of its own."""
    with tempfile.TemporaryDirectory() as folder:
        state = TwinState(Path(folder) / ".twin", STACK)
        try:
            up = Up(state, programs, lambda _: None)
            with state.lock():
                up.run(lambda: make_plan(ROOT, STACK))
            kinds = ("Node", "NodeClaim", "NodePool", "Pod", "Deployment")
            with playing(state, lambda _: None, kinds, own_pods_only=True) as play:
                return list(_play(play, scheduler, steps))
        finally:
            launch.stop(state)


def _play(play: Play, scheduler: str, steps: Sequence[frozenset[int]]) -> Iterator[Moment]:
    pool = play.pool("time-slicing")
    play.make_room(pool, nodes_needed(max(map(len, steps)), pool.slots_per_node()))
    play.empty_soon(pool.name)
    before: frozenset[int] = frozenset()
    for now in steps:
        for pod in sorted(before ^ now):
            play.deploy(f"pod-{pod}", pool.name, pool.resource, int(pod in now), scheduler)
        seconds = _settled(play, pool.name, len(now))
        nodes = play.view.pool(pool.name)
        usd = round(sum(node.usd_per_hour for node in nodes), 3)
        yield (moment := Moment(len(now), len(nodes), nodes_needed(len(now), pool.slots_per_node()), usd, seconds))
        print(SCHEDULERS[scheduler], moment, file=sys.stderr, flush=True)
        before = now


def _settled(play: Play, pool: str, pods: int) -> float:
    """Wait until so many pods run, no node is empty and nothing changes any more; seconds to the last change."""
    began = last = time.monotonic()
    seen: tuple[int, ...] = ()
    while True:
        time.sleep(1)
        play.pulse()
        there = [pod for pod in play.observed.all("Pod") if not pod["metadata"].get("deletionTimestamp")]
        running = sum((pod.get("status") or {}).get("phase") == "Running" for pod in there)
        nodes = play.view.pool(pool)
        empty = sum(not node.pods for node in nodes)
        now = (len(there), running, len(nodes), empty)
        if now != seen:
            seen, last = now, time.monotonic()
        elif len(there) == running == pods and not empty and time.monotonic() - last > _QUIET:
            return round(last - began, 1)
        if time.monotonic() - began > _PATIENCE:
            raise SystemExit(f"{pods} pods do not come to rest: {running} run on {len(nodes)} nodes, {empty} empty")


def table(result: Any) -> Table:
    """Step by step, both schedulers beside each other."""
    found = Table("pods", "fewest nodes", *(f"{each} ({name})" for name in SCHEDULERS.values() for each in _COLUMNS))
    for moments in zip(*result["runs"].values(), strict=True):
        figures = (text for m in moments for text in (str(m["nodes"]), f"{m['usd_per_hour']:.2f}"))
        found.add_row(str(moments[0]["pods"]), str(moments[0]["needed"]), *figures)
    return found


_COLUMNS = ("nodes", "USD/h")


def picture(result: Any) -> str:
    """Nodes after each step, as SVG."""
    runs = result["runs"]
    moments = next(iter(runs.values()))
    steps = [float(step) for step in range(len(moments))]
    lines = [Line(SCHEDULERS[name], steps, [float(m["nodes"]) for m in run]) for name, run in runs.items()]
    lines.append(Line("fewest that would do", steps, [float(m["needed"]) for m in moments], dashed=True))
    labels = [f"{m['pods']}" for m in moments]
    chart = Chart(f"GPU nodes while {result['pods']} pods come and go", "nodes", lines, "pods after each step", labels)
    return chart.svg(f"Measured {result['date']} in the twin: {result['machine']}.")


if __name__ == "__main__":
    sys.exit(main())
