import pytest

from policy.rules.eks_standard_support import RULE
from tests.policy.clusters import TYPES, cluster
from tests.policy.support import UNKNOWN, violations

pytestmark = pytest.mark.parametrize("type_", TYPES)


def test_standard_passes(type_: str) -> None:
    assert violations(RULE, type_, cluster(type_)) == []


def test_extended_and_missing_fail(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, supportType="EXTENDED"))
    assert "is EXTENDED: write STANDARD" in message
    (message,) = violations(RULE, type_, cluster(type_, supportType=None))
    assert "is missing, and EKS takes EXTENDED" in message


def test_unknown_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, supportType=UNKNOWN))
    assert "must be a literal" in message
    assert violations(RULE, type_, {**cluster(type_), "upgradePolicy": UNKNOWN})
