from typing import Any

import pytest

from policy.rules.sqs_encryption import RULE
from tests.policy.support import UNKNOWN, violations

QUEUES = ["aws:sqs/queue:Queue", "aws-native:sqs:Queue"]
TOPICS = ["aws:sns/topic:Topic", "aws-native:sns:Topic"]


@pytest.mark.parametrize("type_", [*QUEUES, *TOPICS])
@pytest.mark.parametrize("key", ["alias/data", UNKNOWN])
def test_a_key_passes_known_or_not(type_: str, key: str) -> None:
    assert violations(RULE, type_, {"kmsMasterKeyId": key}) == []


@pytest.mark.parametrize("type_", QUEUES)
def test_encryption_by_sqs_passes(type_: str) -> None:
    assert violations(RULE, type_, {"sqsManagedSseEnabled": True}) == []


@pytest.mark.parametrize("type_", [*QUEUES, *TOPICS])
@pytest.mark.parametrize("inputs", [{}, {"kmsMasterKeyId": ""}, {"sqsManagedSseEnabled": False}], ids=str)
def test_nothing_said_fails(type_: str, inputs: dict[str, Any]) -> None:
    assert len(violations(RULE, type_, inputs)) == 1


@pytest.mark.parametrize("type_", TOPICS)
def test_topics_know_no_other_encryption(type_: str) -> None:
    assert violations(RULE, type_, {"sqsManagedSseEnabled": True})


@pytest.mark.parametrize("type_", QUEUES)
def test_an_unknown_switch_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, {"sqsManagedSseEnabled": UNKNOWN})
    assert "must be a literal" in message
