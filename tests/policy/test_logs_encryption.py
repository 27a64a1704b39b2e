import pytest

from policy.rules.logs_encryption import RULE
from tests.policy.support import UNKNOWN, violations

GROUPS = ["aws:cloudwatch/logGroup:LogGroup", "aws-native:logs:LogGroup"]
pytestmark = pytest.mark.parametrize("type_", GROUPS)


@pytest.mark.parametrize("key", ["arn:aws:kms:us-east-1:111122223333:key/1", UNKNOWN])
def test_a_key_passes_known_or_not(type_: str, key: str) -> None:
    assert violations(RULE, type_, {"kmsKeyId": key}) == []


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_fails(type_: str, key: str | None) -> None:
    (message,) = violations(RULE, type_, {"kmsKeyId": key})
    assert "kmsKeyId is missing" in message
