"""Today is 2026-11-21: 1.34 leaves standard support on 2026-12-02, 1.35 on 2027-03-27."""

from datetime import date
from typing import Any

import pytest

from policy.analyzer import judge
from policy.rules.eks_support_ends_soon import RULE
from tests.policy.clusters import COMPONENT, TYPES, cluster
from tests.policy.support import UNKNOWN, recorded, violations


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


def test_a_release_that_the_table_does_not_have_is_said_once_it_may_end() -> None:
    """The table ends with 1.36 on 2027-08-02; 1.37 ends 100 days later at the earliest."""
    coming = recorded(COMPONENT, cluster(COMPONENT, version="1.37"))
    days = [date(2027, 8, 3), date(2027, 9, 10), date(2027, 9, 11), date(2028, 1, 1)]
    messages = [[said.message for said in judge([coming], rules=[RULE], today=day)] for day in days]
    assert [len(found) for found in messages] == [0, 0, 1, 1]
    assert "1.37 is newer than this project's table, which ends with 1.36" in messages[-1][0]


@pytest.mark.parametrize("version", ["1." + "9" * 5000, "1.٣٦", "1.36.2"])
def test_what_is_no_release_breaks_nothing(version: str) -> None:
    assert violations(RULE, COMPONENT, cluster(COMPONENT, version=version)) == []
