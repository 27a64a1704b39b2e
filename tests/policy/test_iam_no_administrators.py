from typing import Any

import pytest

from policy.rules.iam_no_administrators import RULE
from tests.policy.support import UNKNOWN, violations

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
NODE = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
#: Types, and how they attach a policy.
WRITTEN: dict[str, Any] = {
    **{
        f"aws:iam/{kind}PolicyAttachment:{kind.title()}PolicyAttachment": lambda arn: {"policyArn": arn}
        for kind in ("role", "user", "group")
    },
    "aws:iam/policyAttachment:PolicyAttachment": lambda arn: {"policyArn": arn, "roles": ["a"]},
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": lambda arn: {"policyArns": [NODE, arn]},
    "aws:iam/role:Role": lambda arn: {"managedPolicyArns": [NODE, arn]},
    "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment": lambda arn: {"managedPolicyArn": arn},
    **{f"aws-native:iam:{kind}": lambda arn: {"managedPolicyArns": [arn]} for kind in ("Role", "User", "Group")},
}
pytestmark = pytest.mark.parametrize("type_", WRITTEN)


@pytest.mark.parametrize(
    "arn",
    [
        ADMINISTRATOR,
        "arn:aws-cn:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/PowerUserAccess",
        "arn:aws:iam::aws:policy/IAMFullAccess",
    ],
)
def test_policies_for_administrators_fail(type_: str, arn: str) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_](arn))
    assert arn.rpartition("/")[2] in message


@pytest.mark.parametrize("arn", [NODE, "arn:aws:iam::aws:policy/AdministratorAccess-Amplify", None])
def test_others_pass(type_: str, arn: str | None) -> None:
    assert violations(RULE, type_, WRITTEN[type_](arn)) == []


def test_an_unknown_arn_is_a_policy_of_the_program_and_passes(type_: str) -> None:
    assert violations(RULE, type_, WRITTEN[type_](UNKNOWN)) == []


def test_the_list_can_be_set(type_: str) -> None:
    assert violations(RULE, type_, WRITTEN[type_](ADMINISTRATOR), policies=[]) == []
    assert violations(RULE, type_, WRITTEN[type_](NODE), policies=["AmazonEKSWorkerNodePolicy"])
