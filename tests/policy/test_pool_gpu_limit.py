from __future__ import annotations

from typing import Any

import pytest

from policy.rules.pool_gpu_limit import RULE
from tests.policy.platform import GPU, SHARED, overlay, pool
from tests.policy.support import UNKNOWN, judged, violations


def said(resource: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, resource)]


@pytest.mark.parametrize(
    "limits", [{GPU: "4"}, {GPU: 4.0}, {SHARED: "16", "cpu": "64"}, {"nvidia.com/mig-1g.10gb": "7", "cpu": "9"}]
)
def test_a_limit_passes(limits: dict[str, Any]) -> None:
    assert said(pool(limits=limits)) == []


@pytest.mark.parametrize("limits", [{}, {"cpu": "100"}, {"resources": {"cpu": "100"}}, {"nvidia.com/gpus": "1"}])
def test_no_limit_on_gpus_fails(limits: dict[str, Any]) -> None:
    (message,) = said(pool(limits=limits))
    assert "can launch g5.xlarge without end" in message


@pytest.mark.parametrize("limits", [{GPU: UNKNOWN}, {GPU: "many"}])
def test_a_limit_that_is_unknown_or_no_number_fails(limits: dict[str, Any]) -> None:
    assert len(said(pool(limits=limits))) == 1


@pytest.mark.parametrize(
    ("types", "limits"),
    [
        (["g5.xlarge"], {SHARED: "16"}),
        (["g5.xlarge"], {"nvidia.com/mig-1g.10gb": "7"}),
        (["g6f.large", "g6f.xlarge"], {GPU: "4"}),
        (["g4ad.xlarge"], {GPU: "4"}),
        (["g5.xlarge", "g4ad.xlarge"], {GPU: "4"}),
    ],
)
def test_a_limit_on_what_karpenter_does_not_count_fails(types: list[str], limits: dict[str, Any]) -> None:
    (message,) = said(pool(*types, limits=limits))
    assert "of which Karpenter counts none on" in message
    assert said(pool(*types, limits={**limits, "cpu": "64"})) == []


@pytest.mark.parametrize("capacity", ["0", "-4", "nan", "inf"])
def test_an_overlay_of_nothing_makes_a_limit_none(capacity: str) -> None:
    resources = [pool(limits={GPU: "4"}), overlay({GPU: capacity})]
    assert "counts none on g5.xlarge" in judged(RULE, *resources)[0].message
    assert judged(RULE, pool(limits={GPU: "4"}), overlay({GPU: "4"})) == []
    assert judged(RULE, pool(limits={SHARED: "4"}), overlay({SHARED: "4"})) == []


def test_amd_s_own_resource_limits_amd_s_gpus() -> None:
    assert said(pool("g4ad.xlarge", limits={"amd.com/gpu": "4"})) == []
    assert said(pool("g5.xlarge", limits={"amd.com/gpu": "4"}))


def test_unknown_limits_fail() -> None:
    inputs = dict(pool().inputs)
    assert violations(RULE, pool().type, {**inputs, "spec": {**inputs["spec"], "limits": UNKNOWN}})


def test_pools_without_gpus_and_static_pools_need_none() -> None:
    assert said(pool("m7g.large", limits={})) == []
    inputs = dict(pool(limits={}).inputs)
    assert violations(RULE, pool().type, {**inputs, "spec": {**inputs["spec"], "replicas": 2}}) == []


def test_a_pool_that_does_not_exclude_gpus_needs_one() -> None:
    assert violations(RULE, pool().type, {"spec": {"template": {"spec": {"requirements": []}}}})


@pytest.mark.parametrize("value", ["-490", "inf", float("inf"), float("nan"), "1_6", True])
def test_a_limit_with_which_karpenter_buys_nothing_or_that_kubernetes_refuses_fails(value: Any) -> None:
    (message,) = said(pool(limits={GPU: value}))
    assert message.startswith(f"spec.limits.{GPU} is ")


@pytest.mark.parametrize("replicas", [False, "", "many"])
def test_only_a_number_of_nodes_stands_for_a_limit(replicas: Any) -> None:
    inputs = dict(pool(limits={}).inputs)
    (message,) = violations(RULE, pool().type, {**inputs, "spec": {**inputs["spec"], "replicas": replicas}})
    assert "without end" in message
