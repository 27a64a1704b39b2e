"""Today is 2026-11-21: 1.33 left standard support on 2026-07-29, 1.34 leaves it on 2026-12-02."""

from datetime import timedelta

import pytest

from policy.analyzer import judge
from policy.rules.eks_supported_version import RULE
from tests.policy.clusters import TYPES, cluster
from tests.policy.support import UNKNOWN, recorded, violations
from versions import EKS_STANDARD_SUPPORT_ENDS

NEWEST = list(EKS_STANDARD_SUPPORT_ENDS)[-1]

pytestmark = pytest.mark.parametrize("type_", TYPES)


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36", "1.37", "1.40"])
def test_supported_and_newer_than_the_table_pass(type_: str, version: str) -> None:
    assert violations(RULE, type_, cluster(type_, version=version)) == []


@pytest.mark.parametrize("version", ["1.33", "1.30", "1.29", "1.3"])
def test_versions_past_standard_support_fail(type_: str, version: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, version=version))
    assert f"{version} left standard support" in message


@pytest.mark.parametrize("version", ["latest", "v1.36", "1.36.2", "2.0"])
def test_what_is_no_release_fails(type_: str, version: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, version=version))
    assert "is no EKS release" in message


def test_a_missing_version_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, version=None))
    assert "version is missing" in message


def test_unknown_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, version=UNKNOWN))
    assert "version must be a literal" in message


@pytest.mark.parametrize("version", ["1.35", NEWEST])
def test_the_last_day_still_passes(type_: str, version: str) -> None:
    last = EKS_STANDARD_SUPPORT_ENDS[version]
    plan = [recorded(type_, cluster(type_, version=version))]
    assert judge(plan, today=last, rules=[RULE]) == []
    assert judge(plan, today=last + timedelta(days=1), rules=[RULE])


def test_when_none_is_in_support_the_remedy_is_not_one_of_them(type_: str) -> None:
    later = EKS_STANDARD_SUPPORT_ENDS[NEWEST] + timedelta(days=1)
    (verdict,) = judge([recorded(type_, cluster(type_, version="1.35"))], today=later, rules=[RULE])
    assert f"so did {NEWEST}, the newest that this project knows; update it" in verdict.message
