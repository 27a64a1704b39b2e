"""A pool whose cut changes: its nodes are replaced one by one, and no pod ends before its successor has a slot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gpu.contract import CONFIG_LABEL, NODE_POOL_LABEL
from twin.kube.client import Object
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.scenarios.play import Play, playing
from twin.view import slots_of

ROOT = Path(__file__).parents[2]
#: Pools by name: how they share. Both sorts keep their slots without a restart, MPS also its daemon.
STRATEGIES = {"slices": "time-slicing", "clients": "mps"}
NODES = 2
_PATIENCE = 240.0


def planned(folder: Path, replicas: int) -> TwinPlan:
    """The plan of two pools whose GPUs are cut into so many slots."""
    pools = [
        {
            "name": name,
            "instanceFamilies": ["g6"],
            "maxGpus": NODES + 1,
            "sharing": {"strategy": strategy, "replicas": replicas},
        }
        for name, strategy in STRATEGIES.items()
    ]
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    project = {**described, "main": str(ROOT), "stackConfigDir": str(folder)}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    config = {"aws:region": "us-east-1", "gpu-slices:pools": pools, "gpu-slices:examples": False}
    (folder / "Pulumi.cut.yaml").write_text(yaml.safe_dump({"config": config}))
    return make_plan(folder, "cut")


@dataclass
class Watched:
    """What was seen while a cut changed. offered: slots of each node, by its name, every figure once."""

    before: dict[str, str]
    """Configuration of each pool's nodes before."""
    offered: dict[str, set[int]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    """Configuration that each node's label named."""
    ending: dict[str, int] = field(default_factory=dict)
    """Most nodes of a pool that were about to go at the same time."""
    fewest: dict[str, int] = field(default_factory=dict)
    """Fewest pods of a pool that ran."""
    homeless: set[str] = field(default_factory=set)
    """Pods that waited for a node which nobody had bought yet."""

    def look(self, play: Play) -> None:
        """Look once."""
        nodes = [n for n in play.observed.all("Node") if n["metadata"]["labels"].get(NODE_POOL_LABEL) in STRATEGIES]
        for node in nodes:
            name, labels = node["metadata"]["name"], node["metadata"]["labels"]
            self.names.setdefault(name, set()).add(labels[CONFIG_LABEL])
            if slots := sum(slots_of(node["status"]).values()):
                self.offered.setdefault(name, set()).add(slots)
        for pool in STRATEGIES:
            going = [n for n in nodes if n["metadata"]["labels"][NODE_POOL_LABEL] == pool and _goes(n)]
            self.ending[pool] = max(self.ending.get(pool, 0), len(going))
            running = play.running(pool)
            self.fewest[pool] = min(self.fewest.get(pool, running), running)
            free = sum(sum(slots_of(n["status"]).values()) for n in nodes if _of(n, pool) and not _goes(n))
            waiting = [p for p in play.pods(pool) if not p["spec"].get("nodeName")]
            used = sum(
                p["spec"].get("nodeName") in {n["metadata"]["name"] for n in nodes if not _goes(n)}
                for p in play.pods(pool)
            )
            if len(waiting) > free - used:
                self.homeless |= {p["metadata"]["name"] for p in waiting}


def _of(node: Object, pool: str) -> bool:
    return bool(node["metadata"]["labels"].get(NODE_POOL_LABEL) == pool)


def _goes(node: Object) -> bool:
    taints: list[dict[str, Any]] = node["spec"].get("taints") or []
    return bool(node["metadata"].get("deletionTimestamp")) or any(t["key"] == "karpenter.sh/disrupted" for t in taints)


def changes(play: Play, bring_up: Callable[..., TwinPlan], plan: TwinPlan, slots: int) -> Watched:
    """Apply another cut, and watch until no node of the old one is left."""
    seen = Watched(
        {
            n["metadata"]["labels"][NODE_POOL_LABEL]: n["metadata"]["labels"][CONFIG_LABEL]
            for n in play.observed.all("Node")
            if n["metadata"]["labels"].get(NODE_POOL_LABEL) in STRATEGIES
        }
    )
    began = time.monotonic()
    bring_up(play.state, plan)
    print("up", time.monotonic() - began)

    def over() -> bool:
        seen.look(play)
        nodes = [n for n in play.observed.all("Node") if n["metadata"]["labels"].get(NODE_POOL_LABEL) in STRATEGIES]
        return bool(nodes) and all(n["metadata"]["labels"][CONFIG_LABEL] not in seen.before.values() for n in nodes)

    try:
        play.wait(over, _PATIENCE, "nodes of the new cut alone")
    finally:
        print("over", time.monotonic() - began, seen)
    return seen


def test_x(tmp_path: Path, bring_up: Callable[..., TwinPlan]) -> None:
    state = TwinState(tmp_path / ".twin", "cut")
    four, eight = planned(tmp_path, 4), planned(tmp_path, 8)
    try:
        t = time.monotonic()
        bring_up(state, four)
        print("first up", time.monotonic() - t)
        with playing(state, print) as play:
            for pool in STRATEGIES:
                play.deploy(pool, pool, play.plan.gpu_pools[0].resource, NODES * 4)
            play.wait(lambda: all(play.running(p) == NODES * 4 for p in STRATEGIES), _PATIENCE, "running")
            print("running", time.monotonic() - t)
            changes(play, bring_up, eight, 8)
            print("AT 8", time.monotonic() - t, {p: play.running(p) for p in STRATEGIES}, len(play.claims))
            for pool in STRATEGIES:
                play.deploy(pool, pool, play.plan.gpu_pools[0].resource, NODES * 8)
            play.wait(lambda: all(play.running(p) == NODES * 8 for p in STRATEGIES), _PATIENCE, "running")
            print("full", time.monotonic() - t)
            for pool in STRATEGIES:
                play.deploy(pool, pool, play.plan.gpu_pools[0].resource, NODES * 4)
            time.sleep(5)
            changes(play, bring_up, four, 4)
            print("AT 4", time.monotonic() - t, {p: play.running(p) for p in STRATEGIES}, len(play.claims))
    finally:
        launch.stop(state)
