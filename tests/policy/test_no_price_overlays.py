from typing import Any

import pytest

from policy.rules.no_price_overlays import RULE
from tests.policy.support import UNKNOWN, violations

OVERLAY = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"


def overlay(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "o"}, "spec": {"requirements": [], **spec}}


def test_capacity_alone_passes() -> None:
    assert violations(RULE, OVERLAY, overlay(capacity={"nvidia.com/gpu": "4"})) == []


@pytest.mark.parametrize("spec", [{"price": "0.5"}, {"priceAdjustment": "-10%"}, {"price": UNKNOWN}])
def test_price_fails_known_or_not(spec: dict[str, str]) -> None:
    (message,) = violations(RULE, OVERLAY, overlay(**spec))
    assert f"spec.{next(iter(spec))} is set" in message


def test_a_patch_is_judged_too() -> None:
    assert violations(RULE, f"{OVERLAY}Patch", {"spec": {"price": "0.5"}})


def test_unknown_spec_fails() -> None:
    assert violations(RULE, OVERLAY, {"spec": UNKNOWN})


def test_other_kinds_are_not_its_business() -> None:
    assert violations(RULE, "kubernetes:karpenter.sh/v1:NodePool", overlay(price="0.5")) == []
