from typing import Any

import pytest

from policy.rules.logs_retention import RULE
from tests.policy.support import UNKNOWN, violations

GROUPS = ["aws:cloudwatch/logGroup:LogGroup", "aws-native:logs:LogGroup"]
pytestmark = pytest.mark.parametrize("type_", GROUPS)


@pytest.mark.parametrize("days", [365.0, 400, 3653])
def test_a_year_and_more_passes(type_: str, days: float) -> None:
    assert violations(RULE, type_, {"retentionInDays": days}) == []


@pytest.mark.parametrize("days", [None, 0])
def test_for_ever_fails_unless_it_is_allowed(type_: str, days: Any) -> None:
    (message,) = violations(RULE, type_, {"retentionInDays": days})
    assert "for ever: write 365 or more" in message
    assert violations(RULE, type_, {"retentionInDays": days}, allowForEver=True) == []


def test_less_than_a_year_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, {"retentionInDays": 30.0})
    assert "retentionInDays is 30: write 365 or more" in message
    assert violations(RULE, type_, {"retentionInDays": 30.0}, minDays=30) == []


def test_unknown_fails(type_: str) -> None:
    assert violations(RULE, type_, {"retentionInDays": UNKNOWN})
