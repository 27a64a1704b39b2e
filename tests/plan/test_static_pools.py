"""Pools whose nodes merge or always stand, in a whole stack: what Karpenter is told, and what the pack says of it."""

from __future__ import annotations

from typing import Any

import yaml

from plan.record import Recording
from policy.analyzer import judge
from tests.plan.conftest import as_judged
from tests.plan.variants import varied

VARIANT = "nodes that merge, nodes that always stand, and a soft brake"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
RELEASE = "kubernetes:helm.sh/v3:Release"


def spec(name: str) -> dict[str, Any]:
    (found,) = [each for each in varied(VARIANT).of_type(NODE_POOL) if each.inputs["metadata"]["name"] == name]
    return dict(found.inputs["spec"])


def gates(plan: Recording) -> dict[str, Any]:
    (chart,) = [each for each in plan.of_type(RELEASE) if each.inputs["name"] == "karpenter"]
    return dict(chart.inputs["values"]["settings"]["featureGates"])


def test_the_gate_is_on_where_a_pool_is_static_and_elsewhere_nobody_speaks_of_it() -> None:
    assert gates(varied(VARIANT))["staticCapacity"] is True
    assert "staticCapacity" not in gates(varied("everything"))


def test_a_static_pool_has_its_nodes_and_the_other_its_slots() -> None:
    assert (spec("standing")["replicas"], spec("standing")["limits"]) == (2, {"nodes": "3"})
    assert "replicas" not in spec("p")
    assert spec("p")["disruption"]["consolidationPolicy"] == "Balanced"


def test_each_reason_for_which_nodes_of_a_pool_may_go_has_a_budget() -> None:
    """Karpenter holds back nothing for a reason that no budget names."""
    budgets = spec("p")["disruption"]["budgets"]
    assert {reason for each in budgets for reason in each["reasons"]} == {"Empty", "Drifted", "Underutilized"}


def test_the_pack_finds_no_fault_in_them() -> None:
    judged = [as_judged(each, each.inputs) for each in varied(VARIANT).resources]
    assert [verdict for verdict in judge(judged) if verdict.mandatory] == []


def test_the_soft_brake_leaves_nodes_that_are_paid_anyway() -> None:
    """The API server would refuse its limit: of a static pool nothing but the nodes may be limited."""
    (files,) = [
        each.inputs["data"]
        for each in varied(VARIANT).of_type("kubernetes:core/v1:ConfigMap")
        if each.name.startswith("soft-brake")
    ]
    assert {each["metadata"]["name"] for each in yaml.safe_load_all(files["on.yaml"]) if "spec" in each} == {"p"}
