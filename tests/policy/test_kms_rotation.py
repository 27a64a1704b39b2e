from typing import Any

import pytest

from policy.rules.kms_rotation import RULE
from tests.policy.support import UNKNOWN, violations

KEY = "aws:kms/key:Key"


@pytest.mark.parametrize(
    "inputs",
    [
        {"enableKeyRotation": True},
        {"enableKeyRotation": True, "customerMasterKeySpec": "SYMMETRIC_DEFAULT"},
        {"customerMasterKeySpec": "RSA_4096"},
        {"keySpec": "ECC_NIST_P256"},
        {"keyUsage": "SIGN_VERIFY"},
        {"keyUsage": "GENERATE_VERIFY_MAC"},
        {"enableKeyRotation": True, "policy": UNKNOWN, "keyUsage": UNKNOWN},
    ],
    ids=str,
)
def test_rotating_keys_and_those_that_cannot_pass(inputs: dict[str, Any]) -> None:
    assert violations(RULE, KEY, inputs) == []


@pytest.mark.parametrize("type_", [KEY, "aws-native:kms:Key"])
@pytest.mark.parametrize(
    "inputs", [{}, {"enableKeyRotation": False}, {"keyUsage": "ENCRYPT_DECRYPT"}, {"keyUsage": UNKNOWN}], ids=str
)
def test_keys_that_do_not_rotate_fail(type_: str, inputs: dict[str, Any]) -> None:
    (message,) = violations(RULE, type_, inputs)
    assert "enableKeyRotation is not true" in message


def test_unknown_fails() -> None:
    (message,) = violations(RULE, KEY, {"enableKeyRotation": UNKNOWN})
    assert "must be a literal" in message
