from __future__ import annotations

import pytest

from policy.rules.eks_no_root_access import RULE
from tests.policy.support import UNKNOWN, violations

ENTRY = "aws:eks/accessEntry:AccessEntry"
ASSOCIATION = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@pytest.mark.parametrize("type_", [ENTRY, ASSOCIATION, "aws-native:eks:AccessEntry"])
@pytest.mark.parametrize("principal", ["arn:aws:iam::111122223333:root", "111122223333", "*"])
def test_accounts_and_their_root_fail(type_: str, principal: str) -> None:
    (message,) = violations(RULE, type_, {"clusterName": "ml", "principalArn": principal})
    assert message == f"principalArn is {principal}: name the role that needs access."


def test_the_policy_is_named() -> None:
    given = {"principalArn": "arn:aws:iam::111122223333:root", "policyArn": ADMIN}
    assert "with AmazonEKSClusterAdminPolicy" in violations(RULE, ASSOCIATION, given)[0]


@pytest.mark.parametrize("principal", ["arn:aws:iam::111122223333:role/admin", UNKNOWN, None])
def test_roles_pass_and_what_is_no_output_of_this_program_is_not_known(principal: str | None) -> None:
    assert violations(RULE, ENTRY, {"clusterName": "ml", "principalArn": principal}) == []
