"""Takes the pictures for the documentation from a twin of its own: `python -m tests.twin.screenshot docs/images`.

Three models share one GPU's slots, jobs fill others, a node must go and waits for its pods, one pod asks for more than
any node has.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from gpu.contract import NODE_POOL_LABEL
from tests.apps import chromium
from twin.machine import launch
from twin.machine.build import ensure_built
from twin.machine.progress import BuildProgress
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.play.agent.knative import ask
from twin.play.platform import PAUSE
from twin.scenarios.play import NAMESPACE, Play, playing
from twin.up import Up
from twin.view import NodeView
from twin.watch.run import write_picture
from twin.watch.server import Server, listen
from twin.watch.source import Source

_SECONDS = 1200.0


def _fill(play: Play) -> None:
    """Everything but what moves in the picture."""
    slots = {pool.name: pool.resource for pool in play.plan.gpu_pools}
    for model in play.plan.models:
        ask(play.kube, model, time.time() + _SECONDS)
    play.deploy("embeddings", "mps", slots["mps"], 1)
    play.deploy("reranker", "time-slicing", slots["time-slicing"], 2)
    play.deploy("whisper", "mig", slots["mig"], 3)
    play.deploy("ocr", "mig", slots["mig"], 2)
    play.deploy("captions", "time-slicing", slots["time-slicing"], 3)
    play.kube.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "captions", "namespace": NAMESPACE},
            "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app.kubernetes.io/name": "captions"}}},
        }
    )
    play.wait(lambda: _settled(play), 240, "everybody in their place")


def _settled(play: Play) -> bool:
    nodes = play.view.gpu_nodes
    pods = [pod for node in nodes for pod in node.pods if pod.slots]
    return not play.view.pending and len(pods) == 14 and all(pod.ready for pod in pods)


def _move(play: Play) -> None:
    """A node that must go, one that comes, and a pod that waits for nothing."""
    slots = {pool.name: pool.resource for pool in play.plan.gpu_pools}
    _ask_for_too_much(play, slots["mps"])
    leaving = next(node for node in play.view.pool("time-slicing") if any(p.owner == "captions" for p in node.pods))
    claim = next(c for c in play.observed.all("NodeClaim") if _is_of(c, leaving))
    play.kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])
    play.deploy("embeddings", "mps", slots["mps"], 3)
    play.wait(lambda: any(node.stage == "leaving" for node in play.view.nodes), 30, "a node that leaves")
    play.wait(lambda: any(node.stage == "bought" for node in play.view.nodes), 30, "a node that comes")
    play.wait(lambda: any(pod.reason for pod in play.view.pending), 30, "a reason")
    play.stays(lambda: True, 6)


def _ask_for_too_much(play: Play, resource: str) -> None:
    container = {"name": "work", "image": PAUSE, "resources": {"limits": {resource: "8"}}}
    play.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "llama3-70b", "namespace": NAMESPACE},
            "spec": {
                "nodeSelector": {NODE_POOL_LABEL: "mps"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "containers": [container],
            },
        }
    )


def _is_of(claim: dict[str, object], node: NodeView) -> bool:
    status = claim.get("status")
    return isinstance(status, dict) and status.get("nodeName") == node.name


async def _shoot(source: Source, folder: Path) -> None:
    listener = listen(0)
    server = Server(source)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with tempfile.TemporaryDirectory() as scratch:
        async with chromium.opened(Path(scratch)) as page:
            await page.size(1280, 812)
            await page.goto(url)
            await page.until("document.getElementById('state').textContent === 'live'")
            await page.screenshot(folder / "twin-watch.png")
    server.should_exit = True
    await running


def main(folder: Path) -> None:
    """Start, fill, shoot, stop."""
    with tempfile.TemporaryDirectory() as scratch:
        state = TwinState(Path(scratch) / ".twin", "local")
        with BuildProgress(Console(stderr=True)) as progress:
            programs = ensure_built(progress)
        try:
            with state.lock():
                Up(state, programs, lambda _: None).run(lambda: make_plan(Path.cwd(), "local"))
            with playing(state, lambda _: None) as play, Source(state) as source:
                _fill(play)
                _move(play)
                write_picture(source.scene(), str(folder / "twin.svg"))
                asyncio.run(_shoot(source, folder))
        finally:
            launch.stop(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
