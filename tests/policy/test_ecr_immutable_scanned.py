from typing import Any

import pytest

from policy.rules.ecr_immutable_scanned import RULE
from tests.policy.support import UNKNOWN, violations

GOOD: dict[str, Any] = {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}
pytestmark = pytest.mark.parametrize("type_", ["aws:ecr/repository:Repository", "aws-native:ecr:Repository"])


@pytest.mark.parametrize("mutability", ["IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"])
def test_immutable_and_scanned_passes(type_: str, mutability: str) -> None:
    assert violations(RULE, type_, {**GOOD, "imageTagMutability": mutability}) == []


@pytest.mark.parametrize(
    "change",
    [
        {"imageTagMutability": "MUTABLE"},
        {"imageTagMutability": None},
        {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"},
        {"imageScanningConfiguration": {"scanOnPush": False}},
        {"imageScanningConfiguration": None},
        {"imageTagMutability": UNKNOWN},
        {"imageScanningConfiguration": {"scanOnPush": UNKNOWN}},
    ],
    ids=str,
)
def test_each_of_both_fails_alone(type_: str, change: dict[str, Any]) -> None:
    assert len(violations(RULE, type_, {**GOOD, **change})) == 1


def test_nothing_said_fails_twice(type_: str) -> None:
    mutable, unscanned = violations(RULE, type_, {})
    assert "imageTagMutability is missing, which means MUTABLE" in mutable
    assert "scanOnPush is not true" in unscanned
