"""Measures packing in the twin: `python -m bench.packing`; ten minutes, and the twin's programs the first time.

The same pods come and go in the same order in two pools that are alike: in one by the default scheduler, in the other
by the one that fills nodes (`gpuSharing.scoringStrategy: MostAllocated`). Every pod is a Deployment of its own, as
models and workloads are, so that who goes is the seed's choice and nobody's else. Karpenter ends nodes on which nothing
runs, after ten seconds here, and buys for what does not fit. After each step, when nothing changes any more: nodes, and
what they cost an hour.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.chart import Chart, Line
from bench.processes import ROOT, machine
from bench.twins import twin_of
from gpu.contract import GPU_RESOURCE, NODE_POOL_LABEL
from gpu.scheduler import PACKING_SCHEDULER
from twin.machine.build import ensure_built
from twin.machine.progress import BuildProgress
from twin.scenarios.packing import nodes_needed
from twin.scenarios.play import Play, playing

#: `spec.schedulerName` of the two, and what they are called.
SCHEDULERS = {"default-scheduler": "default scheduler", PACKING_SCHEDULER: "MostAllocated"}
#: Parts of the pods that are there after each step: a rush, and then days on which a third goes and others come.
STEPS = (1.0, 0.3, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3)
#: GPUs of each pool, enough for a thousand pods, and slots of a GPU.
_MAX_GPUS, SLOTS = 250, 4
#: Seconds without a change after which a step is over, where all pods run and no node is empty any more.
_QUIET = 10.0
_PATIENCE = 600.0
RESULT = ROOT / "bench" / "results" / "packing.json"
PICTURE = ROOT / "docs" / "images" / "packing.svg"


@dataclass(frozen=True)
class Moment:
    """After a step. needed: fewest nodes that hold the pods."""

    pods: int
    nodes: int
    needed: int
    usd_per_hour: float


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
    runs = _run(programs, steps)
    result = {**machine(), "pods": given.pods, "seed": given.seed, "slots": SLOTS, "runs": runs}
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


def _pool_name(scheduler: str) -> str:
    return SCHEDULERS[scheduler].lower().replace(" ", "-")


def _stack() -> dict[str, Any]:
    """Two pools that differ by name alone; the twin always has both schedulers."""
    sharing = {"strategy": "time-slicing", "replicas": SLOTS}
    alike = {"instanceFamilies": ["g6"], "maxGpus": _MAX_GPUS, "sharing": sharing}
    return {"gpu-slices:examples": False, "gpu-slices:pools": [{"name": _pool_name(s), **alike} for s in SCHEDULERS]}


def _run(programs: Path, steps: Sequence[frozenset[int]]) -> dict[str, list[dict[str, Any]]]:
    """All steps; what each scheduler has after each."""
    kinds = ("Node", "NodeClaim", "NodePool", "Pod", "Deployment")
    found: dict[str, list[dict[str, Any]]] = {scheduler: [] for scheduler in SCHEDULERS}
    with twin_of(_stack(), programs) as state, playing(state, lambda _: None, kinds, own_pods_only=True) as play:
        for scheduler in SCHEDULERS:
            play.empty_soon(_pool_name(scheduler))
        before: frozenset[int] = frozenset()
        for now in steps:
            _change(play, before, now)
            _settle(play, len(now))
            for scheduler, moments in found.items():
                nodes = play.view.pool(_pool_name(scheduler))
                usd = round(sum(node.usd_per_hour for node in nodes), 3)
                moments.append(asdict(Moment(len(now), len(nodes), nodes_needed(len(now), SLOTS), usd)))
                print(SCHEDULERS[scheduler], moments[-1], file=sys.stderr, flush=True)
            before = now
    return found


def _change(play: Play, before: frozenset[int], now: frozenset[int]) -> None:
    """Whoever goes, goes, and whoever comes, comes, in both pools."""
    for pod in sorted(before ^ now):
        for scheduler in SCHEDULERS:
            name = _pool_name(scheduler)
            play.deploy(f"{name}-{pod}", name, GPU_RESOURCE, int(pod in now), scheduler)


def _settle(play: Play, pods: int) -> None:
    """Wait until so many pods run in each pool, no node is empty and nothing changes any more."""
    began = last = time.monotonic()
    seen: list[tuple[int, int, int, int]] = []
    while True:
        time.sleep(1)
        play.pulse()
        now = [_state(play, _pool_name(scheduler)) for scheduler in SCHEDULERS]
        if now != seen:
            seen, last = now, time.monotonic()
        at_rest = all(there == running == pods and not empty for there, running, _, empty in now)
        if at_rest and time.monotonic() - last > _QUIET:
            return
        if time.monotonic() - began > _PATIENCE:
            raise SystemExit(f"{pods} pods do not come to rest: pods, running, nodes, empty nodes are {now}")


def _state(play: Play, pool: str) -> tuple[int, int, int, int]:
    """Of a pool: pods, those that run, nodes, and nodes with none of them."""
    there = [
        pod
        for pod in play.observed.all("Pod")
        if not pod["metadata"].get("deletionTimestamp") and pod["spec"]["nodeSelector"][NODE_POOL_LABEL] == pool
    ]
    running = sum((pod.get("status") or {}).get("phase") == "Running" for pod in there)
    nodes = play.view.pool(pool)
    return len(there), running, len(nodes), sum(not node.pods for node in nodes)


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
