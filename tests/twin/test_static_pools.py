"""A pool with a fixed number of nodes: Karpenter's own controller holds it, whoever needs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.kube.client import ApiError, Kube
from twin.kube.observe import KINDS
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan

ROOT = Path(__file__).parents[2]
POOL = "standing"
STACK = Path(__file__).parent / "stacks" / "Pulumi.static.yaml"


def test_nodes_stand_without_pods_are_replaced_and_follow_the_stack_file(
    tmp_path: Path, bring_up: Callable[..., TwinPlan]
) -> None:
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({**described, "main": str(ROOT)}))
    stack = yaml.safe_load(STACK.read_text())
    _write(tmp_path, stack)
    state = TwinState(tmp_path / ".twin", "static")
    try:
        bring_up(state, make_plan(tmp_path, "static"))
        kube = launch.connect(state)
        first = _wait(kube, lambda found: len(found) == 2, "two nodes, which no pod asked for")
        assert all(node["status"]["allocatable"]["nvidia.com/gpu"] == "4" for node in _nodes(kube).values())
        assert _of(kube, "spec")["limits"] == {"nodes": "3"}
        taken = min(first)
        kube.delete("karpenter.sh/v1", "NodeClaim", _claim_of(kube, taken))
        _wait(kube, lambda found: len(found) == 2 and taken not in found, "another in place of one that was taken")
        with pytest.raises(ApiError, match="Cannot transition NodePool between static"):
            kube.patch({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": POOL}}, _NOT_STATIC)
        stack["config"]["gpu-slices:pools"][0]["static"]["replicas"] = 1
        _write(tmp_path, stack)
        bring_up(state, make_plan(tmp_path, "static"))
        _wait(kube, lambda found: len(found) == 1, "one node less")
    finally:
        launch.stop(state)


_NOT_STATIC: dict[str, Any] = {"spec": {"replicas": None}}


def _write(project: Path, stack: dict[str, Any]) -> None:
    (project / "Pulumi.static.yaml").write_text(yaml.safe_dump(stack))


def _nodes(kube: Kube) -> dict[str, Any]:
    """Nodes of the pool that are ready, with their slots, by name."""
    found = {}
    for node in kube.list(KINDS["Node"], "Node"):
        status = node.get("status", {})  # a node that comes this moment has said nothing yet
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
        slots = "nvidia.com/gpu" in status.get("allocatable", {})
        if node["metadata"]["labels"].get("karpenter.sh/nodepool") == POOL and ready and slots:
            found[str(node["metadata"]["name"])] = node
    return {name: node for name, node in found.items() if not node["metadata"].get("deletionTimestamp")}


def _wait(kube: Kube, right: Callable[[set[str]], bool], what: str) -> set[str]:
    deadline = time.monotonic() + 240.0
    while not right(found := set(_nodes(kube))):
        assert time.monotonic() < deadline, f"{what}: still {sorted(found)}"
        time.sleep(0.5)
    return found


def _claim_of(kube: Kube, node: str) -> str:
    (claim,) = [c for c in kube.list(KINDS["NodeClaim"], "NodeClaim") if c.get("status", {}).get("nodeName") == node]
    return str(claim["metadata"]["name"])


def _of(kube: Kube, part: str) -> Any:
    (pool,) = [each for each in kube.list(KINDS["NodePool"], "NodePool") if each["metadata"]["name"] == POOL]
    return pool[part]
