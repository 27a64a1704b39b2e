"""Today is 2026-11-21: 1.34 leaves standard support on 2026-12-02, 1.35 on 2027-03-27."""

from typing import Any

import pytest

from policy.rules.eks_support_ends_soon import RULE
from tests.policy.clusters import COMPONENT, TYPES, cluster
from tests.policy.support import UNKNOWN, violations


@pytest.mark.parametrize("type_", TYPES)
def test_a_release_in_its_last_days_is_said(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, version="1.34"))
    assert "leaves standard support on 2026-12-02" in message


@pytest.mark.parametrize("version", ["1.35", "1.36", "1.37", "1.33", "latest", None, UNKNOWN])
def test_others_are_not(version: Any) -> None:
    """Ended, missing and unknown versions are for eks-supported-version to say."""
    assert violations(RULE, COMPONENT, cluster(COMPONENT, version=version)) == []


@pytest.mark.parametrize(("days", "count"), [(10, 0), (11, 1), (0, 0)])
def test_how_early_can_be_set(days: int, count: int) -> None:
    assert len(violations(RULE, COMPONENT, cluster(COMPONENT, version="1.34"), days=days)) == count
