from __future__ import annotations

from typing import Any

import pytest

from policy.rules.pool_gpu_taint import RULE
from tests.policy.platform import GPU, pool
from tests.policy.support import UNKNOWN, judged


def said(resource: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, resource)]


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_a_hard_taint_passes(effect: str) -> None:
    assert said(pool(taints=[{"key": "team", "effect": effect}])) == []


@pytest.mark.parametrize(
    "taints", [[], [{"key": GPU, "effect": "PreferNoSchedule"}], [{"key": GPU, "effect": UNKNOWN}], [UNKNOWN]]
)
def test_no_hard_taint_fails(taints: list[Any]) -> None:
    (message,) = said(pool(taints=taints))
    assert "has no taint" in message


def test_unknown_taints_fail() -> None:
    changed = pool()
    changed.inputs["spec"]["template"]["spec"]["taints"] = UNKNOWN
    assert said(changed)


def test_a_startup_taint_is_none() -> None:
    changed = pool(taints=[])
    changed.inputs["spec"]["template"]["spec"]["startupTaints"] = [{"key": GPU, "effect": "NoSchedule"}]
    assert said(changed)


def test_pools_without_gpus_need_none() -> None:
    assert said(pool("m7g.large", taints=[])) == []
