"""Load test of the classifier: `python -m bench.load`, nine minutes; `make classifier-env` must have run.

The stack of docs/classifier.md runs in the twin: its Deployment, Kubernetes' own HorizontalPodAutoscaler, scheduler and
Karpenter decide how many pods and nodes there are. For each pod that runs the real service runs on this machine
(`bench.replicas`), and says by its own metric how much it has to do; the autoscaler reads that by the API of custom
metrics, averaged over 15 seconds. Users send one picture after the other, each to a replica at random, as a Service
does. How many users there are is the test's; everything else is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench.chart import Chart, Line, svg
from bench.custom_metrics import served
from bench.processes import ROOT, machine
from bench.replicas import ENVIRONMENT, Replicas
from bench.twins import twin_of
from gpu.contract import GPU_RESOURCE
from tests.plan.variants import snippet
from twin.kube.client import Kube
from twin.machine import launch
from twin.machine.build import ensure_built
from twin.machine.progress import BuildProgress

PAGE = "docs/classifier.md"
NAMESPACE, NAME, METRIC = "workloads", "classifier", "classifier_concurrency"
#: Seconds, and users in them: a quiet time, more than three replicas are for, a rush, and quiet again.
STAGES = ((60, 8), (90, 18), (120, 32), (170, 4))
#: Seconds over which the figure is averaged, and those of a line in the result.
_WINDOW, _BIN = 15, 10
#: What a user waits before he sends the next picture.
_PAUSE = 0.05
RESULT = ROOT / "bench" / "results" / "load.json"
PICTURE = ROOT / "docs" / "images" / "load.svg"


@dataclass(frozen=True)
class Request:
    """An answer, or none. at: seconds since the beginning. status: of HTTP, 0 without an answer."""

    at: float
    seconds: float
    status: int


@dataclass(frozen=True)
class Moment:
    """What there was: pods that the autoscaler wants, pods that run, replicas that serve, and GPU nodes."""

    at: float
    users: int
    wanted: int
    running: int
    serving: int
    nodes: int


@dataclass
class Test:
    """Everything that is seen."""

    requests: list[Request] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    users: int = 0
    over: bool = False
    began: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


def stack() -> dict[str, Any]:
    """The page's stack, with room for the rush, and in a hurry to be small again."""
    (pool,), (workload,) = snippet(PAGE, "gpu-slices:pools"), snippet(PAGE, "gpu-slices:workloads")
    scaling = {**workload["autoscaling"], "maxReplicas": 8, "stabilizationWindowSeconds": 45}
    return {
        "gpu-slices:examples": False,
        "gpu-slices:pools": [{**pool, "consolidateAfter": "30s"}],
        "gpu-slices:workloads": [{**workload, "autoscaling": scaling}],
    }


def pods(kube: Kube) -> dict[str, str]:
    """Pods of the service that run and are not about to go, with their nodes."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in kube.list("v1", "Pod", NAMESPACE)
        if (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    }


def follow(kube: Kube, replicas: Replicas, test: Test) -> None:
    """Every second: processes follow the pods, and what there is is written down."""
    with httpx.Client(timeout=2) as client:
        while not test.over:
            began = time.monotonic()
            running = pods(kube)
            replicas.follow(running)
            replicas.look(client)
            nodes = [n for n in kube.list("v1", "Node") if GPU_RESOURCE in (n["status"].get("allocatable") or {})]
            wanted = (kube.get("apps/v1", "Deployment", NAME, NAMESPACE) or {}).get("spec", {}).get("replicas", 0)
            test.moments.append(Moment(test.now(), test.users, wanted, len(running), len(replicas.serving), len(nodes)))
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))


def figures(replicas: Replicas) -> dict[str, float]:
    """What each pod has to do, on average of the window."""
    found = {pod: replica.concurrency(_WINDOW) for pod, replica in list(replicas.by_pod.items())}
    return {pod: value for pod, value in found.items() if value is not None}


async def user(
    client: httpx.AsyncClient, replicas: Replicas, pictures: Sequence[bytes], test: Test, number: int
) -> None:
    """Sends pictures, one after the other, as long as there are so many users."""
    draw = random.Random(number)
    while not test.over:
        serving = replicas.serving
        if number >= test.users or not serving:
            await asyncio.sleep(0.2)
            continue
        at, began = test.now(), time.monotonic()
        try:
            answer = await client.post(f"{draw.choice(serving).url}/classify", content=draw.choice(pictures))
            status = answer.status_code
        except httpx.HTTPError:
            status = 0
        test.requests.append(Request(at, time.monotonic() - began, status))
        await asyncio.sleep(_PAUSE)


async def load(replicas: Replicas, test: Test, stages: Sequence[tuple[float, int]]) -> None:
    """All stages."""
    pictures = [path.read_bytes() for path in sorted((ENVIRONMENT / "samples").glob("*.png"))[:100]]
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=100)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
        for number in range(max(users for _, users in stages)):
            group.create_task(user(client, replicas, pictures, test, number))
        for seconds, users in stages:
            test.users = users
            print(f"{test.now():6.1f} s  {users} users", file=sys.stderr, flush=True)
            await asyncio.sleep(seconds)
        test.over = True


def measured(programs: Path, stages: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """The whole test; its result."""
    (pool,) = snippet(PAGE, "gpu-slices:pools")
    with twin_of(stack(), programs) as state:
        kube, replicas = launch.connect(state), Replicas(pool["sharing"]["replicas"])
        test = Test()
        try:
            with served(kube, NAMESPACE, METRIC, lambda: figures(replicas)):
                watching = threading.Thread(target=follow, args=(kube, replicas, test))
                watching.start()
                try:
                    _ready(replicas, test)
                    asyncio.run(load(replicas, test, stages))
                finally:
                    test.over = True
                    watching.join()
                scaler = kube.get("autoscaling/v2", "HorizontalPodAutoscaler", NAME, NAMESPACE) or {}
        finally:
            replicas.close()
    conditions = {c["type"]: c["reason"] for c in (scaler.get("status") or {}).get("conditions", [])}
    scaling = stack()["gpu-slices:workloads"][0]["autoscaling"]
    head = {**machine(), "load": round(os.getloadavg()[0], 1), "autoscaling": scaling, "conditions": conditions}
    return {**head, "stages": [list(each) for each in stages], **summary(test)}


def _ready(replicas: Replicas, test: Test) -> None:
    """Wait for the first replicas; then the clock begins."""
    fewest = stack()["gpu-slices:workloads"][0]["autoscaling"]["minReplicas"]
    deadline = time.monotonic() + 300
    while len(replicas.serving) < fewest:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(replicas.serving)} of {fewest} replicas serve after five minutes")
        time.sleep(0.5)
    test.moments.clear()
    test.began = time.monotonic()


def summary(test: Test) -> dict[str, Any]:
    """Figures of the whole and of every ten seconds."""
    end = int(max(request.at for request in test.requests) // _BIN) + 1
    lines = []
    for place in range(end):
        first, last = place * _BIN, (place + 1) * _BIN
        moments = [m for m in test.moments if first <= m.at < last]
        requests = [r for r in test.requests if first <= r.at < last]
        if moments:
            state = {k: getattr(moments[-1], k) for k in ("users", "wanted", "running", "serving", "nodes")}
            lines.append({"at": first, **state, **_percentiles(requests)})
    changes = [(round(m.at), m.wanted, m.serving, m.nodes) for m in test.moments]
    seen = [now for before, now in zip([None, *changes], changes, strict=False) if not before or now[1:] != before[1:]]
    return {"all": _percentiles(test.requests), "changes": seen, "lines": lines}


def _percentiles(requests: Sequence[Request]) -> dict[str, Any]:
    """requests: answered with 200. Milliseconds to the answer."""
    good = sorted(request.seconds * 1000 for request in requests if request.status == httpx.codes.OK)
    at = {f"p{p}": round(good[min(len(good) - 1, len(good) * p // 100)], 1) if good else None for p in (50, 95, 99)}
    return {"requests": len(good), "errors": len(requests) - len(good), **at}


def table(result: Mapping[str, Any]) -> Table:
    """A line for each stage: its last minute, when everything has settled as far as it will."""
    found = Table("users", "replicas", "nodes", "pictures/s", "p50 ms", "p95 ms", "p99 ms", "errors")
    for row in stage_rows(result):
        found.add_row(*map(str, row))
    return found


def stage_rows(result: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """What the table has: replicas and nodes at the end of a stage, the rest of its last 40 seconds."""
    begins = 0.0
    for seconds, users in result["stages"]:
        ends = begins + seconds
        lines = [line for line in result["lines"] if max(begins, ends - 40) <= line["at"] < ends]
        rate = sum(line["requests"] for line in lines) / (_BIN * len(lines))
        parts = [round(statistics.median(line[p] for line in lines if line[p])) for p in ("p50", "p95", "p99")]
        yield users, lines[-1]["serving"], lines[-1]["nodes"], round(rate, 1), *parts, sum(x["errors"] for x in lines)
        begins = ends


def picture(result: Mapping[str, Any]) -> str:
    """Users and replicas, pictures a second, and latency over time."""
    lines = result["lines"]
    at = [float(line["at"]) for line in lines]

    def of(key: str, name: str, *, steps: bool = False, each: float = 1) -> Line:
        return Line(name, at, [(line[key] or 0) / each for line in lines], steps=steps)

    counts = [of("serving", "replicas", steps=True), of("nodes", "GPU nodes", steps=True)]
    charts = [
        Chart("Users, who send one picture after the other", "users", [of("users", "users", steps=True)], "seconds"),
        Chart("Replicas and GPU nodes", "", counts, "seconds"),
        Chart("Pictures a second", "", [of("requests", "answered", each=_BIN)], "seconds"),
        Chart("From a picture to its answer", "ms", [of("p50", "half of them"), of("p95", "95 %")], "seconds"),
    ]
    return svg(charts, f"Measured {result['date']}: {result['machine']}. python -m bench.load")


def main() -> int:
    """Measure, print, and write the result and its picture where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} and {PICTURE.name}")
    parser.add_argument("--pace", type=float, default=1.0, help="part of the stages' seconds (default: 1)")
    given = parser.parse_args()
    if not (ENVIRONMENT / "model.onnx").is_file():
        raise SystemExit("the classifier's environment is missing: run make classifier-env")
    with BuildProgress(Console(stderr=True)) as progress:
        programs = ensure_built(progress)
    result = measured(programs, [(seconds * given.pace, users) for seconds, users in STAGES])
    console = Console()
    console.print(table(result))
    console.print(result["all"], result["changes"], result["conditions"])
    if given.write:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        PICTURE.write_text(picture(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
