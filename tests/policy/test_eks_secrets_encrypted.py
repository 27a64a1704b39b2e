import pytest

from policy.rules.eks_secrets_encrypted import RULE
from tests.policy.clusters import AWS, KEY, NATIVE, TYPES, cluster
from tests.policy.support import UNKNOWN, violations


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("arn", [KEY, UNKNOWN])
def test_a_key_passes_known_or_not(type_: str, arn: str) -> None:
    assert violations(RULE, type_, cluster(type_, encryptionConfigKeyArn=arn)) == []


def test_configuration_made_from_an_output_passes() -> None:
    """What pulumi-eks hands to the cluster inside the component in preview."""
    assert violations(RULE, AWS, {**cluster(AWS), "encryptionConfig": UNKNOWN}) == []


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("arn", [None, "", " "])
def test_no_key_fails(type_: str, arn: str | None) -> None:
    (message,) = violations(RULE, type_, cluster(type_, encryptionConfigKeyArn=arn))
    assert "is missing" in message


@pytest.mark.parametrize("type_", [AWS, NATIVE])
def test_configuration_that_leaves_secrets_out_fails(type_: str) -> None:
    config = {"provider": {"keyArn": KEY}, "resources": []}
    inputs = {**cluster(type_), "encryptionConfig": [config] if type_ == NATIVE else config}
    (message,) = violations(RULE, type_, inputs)
    assert "does not name secrets" in message
