"""A pool that is cut anew: node by node, and no pod ends before there is a slot for its successor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gpu.contract import CONFIG_LABEL, GPU_RESOURCE, NODE_POOL_LABEL
from twin.kube.client import Object
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.scenarios.play import Play, playing
from twin.view import slots_of

ROOT = Path(__file__).parents[2]
#: Pools, and how they share: under MPS a daemon that started anew would end all that runs.
STRATEGIES = {"slices": "time-slicing", "clients": "mps"}
NODES, FEW, MANY = 2, 4, 8
_PATIENCE = 300.0


def planned(folder: Path, replicas: int) -> TwinPlan:
    """The plan of two pools whose GPUs are cut into so many slots."""
    pools = [
        {
            "name": name,
            "instanceFamilies": ["g6"],
            "maxGpus": 2 * NODES,
            "sharing": {"strategy": strategy, "replicas": replicas},
        }
        for name, strategy in STRATEGIES.items()
    ]
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(described | {"main": str(ROOT), "stackConfigDir": str(folder)}))
    config = {"aws:region": "us-east-1", "gpu-slices:pools": pools, "gpu-slices:examples": False}
    (folder / "Pulumi.cut.yaml").write_text(yaml.safe_dump({"config": config}))
    return make_plan(folder, "cut")


@dataclass
class Watched:
    """What was seen while a cut changed."""

    offered: dict[str, set[int]] = field(default_factory=dict)
    """Every number of slots that a node has offered, by its name."""
    configs: dict[str, set[str]] = field(default_factory=dict)
    """Every configuration that its label has named."""
    at_once: int = 0
    """Most nodes of one pool that were about to go at the same time, with pods: Karpenter counts no others."""
    homeless: set[str] = field(default_factory=set)
    """Pods that waited while no node that stays had a free slot for them."""

    def look(self, play: Play) -> None:
        """Look once."""
        # Pods first: a copy of the nodes that is older than theirs would lack the slots of the newest.
        pods = {pool: play.pods(pool) for pool in STRATEGIES}
        nodes = gpu_nodes(play)
        for node in nodes:
            self.configs.setdefault(node["metadata"]["name"], set()).add(node["metadata"]["labels"][CONFIG_LABEL])
            if slots := slots_of(node["status"]).get(GPU_RESOURCE):
                self.offered.setdefault(node["metadata"]["name"], set()).add(slots)
        for pool in STRATEGIES:
            own = [node for node in nodes if node["metadata"]["labels"][NODE_POOL_LABEL] == pool]
            taken_by = [str(pod["spec"].get("nodeName", "")) for pod in pods[pool]]
            self.at_once = max(self.at_once, len({n["metadata"]["name"] for n in own if goes(n)} & set(taken_by)))
            stay = {n["metadata"]["name"]: slots_of(n["status"]).get(GPU_RESOURCE, 0) for n in own if not goes(n)}
            taken = sum(node in stay for node in taken_by)
            waiting = [pod["metadata"]["name"] for pod in pods[pool] if not pod["spec"].get("nodeName")]
            if len(waiting) > sum(stay.values()) - taken:
                self.homeless.update(waiting)


def gpu_nodes(play: Play) -> list[Object]:
    return [n for n in play.observed.all("Node") if n["metadata"]["labels"].get(NODE_POOL_LABEL) in STRATEGIES]


def goes(node: Object) -> bool:
    """Whether Karpenter has begun to take a node away."""
    taints = node["spec"].get("taints") or []
    return bool(node["metadata"].get("deletionTimestamp")) or any(t["key"] == "karpenter.sh/disrupted" for t in taints)


def names(play: Play) -> set[str]:
    return {node["metadata"]["labels"][CONFIG_LABEL] for node in gpu_nodes(play)}


def cut_anew(play: Play, bring_up: Callable[..., TwinPlan], plan: TwinPlan) -> Watched:
    """Apply another cut, and watch until no node of the old one is left and all pods run."""
    seen, before = Watched(), names(play)
    pods = {pool: len(play.pods(pool)) for pool in STRATEGIES}

    def over() -> bool:
        seen.look(play)
        return applied.done() and not names(play) & before and all(play.running(p) == pods[p] for p in STRATEGIES)

    with ThreadPoolExecutor(1) as worker:
        applied = worker.submit(bring_up, play.state, plan)
        play.wait(over, _PATIENCE, "nodes of the new cut alone")
    applied.result()
    return seen


def test_another_cut_reaches_a_pool_node_by_node_and_loses_no_work(
    tmp_path: Path, bring_up: Callable[..., TwinPlan]
) -> None:
    state = TwinState(tmp_path / ".twin", "cut")
    few, many = planned(tmp_path, FEW), planned(tmp_path, MANY)
    try:
        bring_up(state, few)
        with playing(state, lambda _: None) as play:
            for pool in STRATEGIES:
                play.deploy(pool, pool, GPU_RESOURCE, NODES * FEW)
            play.wait(lambda: all(play.running(p) == NODES * FEW for p in STRATEGIES), _PATIENCE, "all pods")
            first = {node["metadata"]["name"] for node in gpu_nodes(play)}
            seen = cut_anew(play, bring_up, many)
            assert seen.at_once == 1, "the budget for drift: one node of a pool at a time"
            assert not seen.homeless, "who is drained has a slot elsewhere at that moment"
            assert all(len(found) == 1 for found in seen.configs.values()), "a node keeps the cut that it came with"
            assert {name: found for name, found in seen.offered.items() if name in first} == {
                name: {FEW} for name in first
            }
            new = [found for name, found in seen.offered.items() if name not in first]
            assert new == [{MANY}] * len(STRATEGIES), "one node of each pool holds what two held"
    finally:
        launch.stop(state)
