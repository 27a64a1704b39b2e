"""What counts as a wildcard action on a wildcard resource, and what does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from policy.rules.iam_no_wildcards import RULE
from tests.policy.support import UNKNOWN, violations

POLICY = "aws:iam/policy:Policy"
NATIVE = "aws-native:iam:ManagedPolicy"
Json = dict[str, Any]


def allow(action: Any = None, resource: Any = "*", **more: Any) -> Json:
    elements = {"Sid": "Test", "Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {name: value for name, value in elements.items() if value is not None}


def document(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def tagged(operator: str = "StringEquals", key: str = "aws:ResourceTag/team", value: Any = "ml") -> Json:
    return {operator: {key: value}}


WILDCARDS: dict[str, Json] = {
    "everything": allow("*"),
    "everything by two stars": allow("*:*"),
    "everything among others": allow(["s3:GetObject", "*"]),
    "a service": allow("ec2:*"),
    "a service, shouting": allow("EC2:*"),
    "a service among resources": allow("ec2:*", ["arn:aws:ec2:us-east-1:111122223333:instance/i-1", "*"]),
    "part of a service": allow("ec2:Run*"),
    "in the middle": allow("iam:*Role*"),
    "with a question mark": allow("ec2:RunInstance?"),
    "reading objects": allow("s3:Get*"),
    "reading secrets": allow("secretsmanager:Get*"),
    "a service by pattern": allow("ec*:Describe*"),
    "resource named by service alone": allow("s3:*", "arn:aws:s3:::*"),
    "resource named by account alone": allow("ec2:*", "arn:aws:ec2:us-east-1:111122223333:*"),
    "resource of stars and separators": allow("s3:*", "arn:aws:s3:::*/*"),
    "double star": allow("s3:*", "**"),
    "not these actions": allow(None, "*", NotAction="iam:*"),
    "not these resources": allow("s3:*", None, NotResource="arn:aws:s3:::secret/*"),
    "region is no narrowing": allow("ec2:*", Condition=tagged(key="aws:RequestedRegion", value="us-east-1")),
    "MFA is no narrowing": allow("ec2:*", Condition=tagged("Bool", "aws:MultiFactorAuthPresent", "true")),
    "negated tag": allow("ec2:*", Condition=tagged("StringNotEquals")),
    "tag only if it exists": allow("ec2:*", Condition=tagged("StringEqualsIfExists")),
    "tag absent": allow("ec2:*", Condition=tagged("Null", value="true")),
    "tag of any value": allow("ec2:*", Condition=tagged("StringLike", value="*")),
    "tag of any value among others": allow("ec2:*", Condition=tagged("StringLike", value=["ml", "*"])),
    "any tag that is not empty": allow("ec2:*", Condition=tagged("StringLike", value="?*")),
    "for all of no values": allow("ec2:*", Condition=tagged("ForAllValues:StringEquals")),
    "nothing excuses everything": allow("*", Condition=tagged()),
    "lower case elements": {"effect": "Allow", "action": "ec2:*", "resource": "*"},
}
NAMED: dict[str, Json] = {
    "named action on everything": allow("ec2:RunInstances"),
    "pattern on a named resource": allow("s3:*", "arn:aws:s3:::models/*"),
    "pattern on resources of a type": allow("ec2:*", "arn:aws:ec2:*:*:instance/*"),
    "description": allow(["ec2:Describe*", "autoscaling:describe*", "s3:List*"]),
    "denial": {**allow("*"), "Effect": "Deny"},
    "tag of the resource": allow("ec2:*", Condition=tagged()),
    "tag by a service's own key": allow("ec2:*", Condition=tagged(key="ec2:ResourceTag/team")),
    "tag of the request": allow("ec2:*", Condition=tagged(key="aws:RequestTag/team")),
    "use through a service": allow("kms:*", Condition=tagged(key="kms:ViaService", value="ec2.amazonaws.com")),
    "no resource at all": allow("sts:*", None),
}


@pytest.mark.parametrize("statement", WILDCARDS.values(), ids=WILDCARDS)
def test_wildcards_fail_as_text_and_as_object(statement: Json) -> None:
    (message,) = violations(RULE, POLICY, {"policy": json.dumps(document(allow("s3:GetObject"), statement))})
    assert "allow" in message
    assert violations(RULE, NATIVE, {"policyDocument": document(statement)})


@pytest.mark.parametrize("statement", NAMED.values(), ids=NAMED)
def test_what_is_named_or_narrowed_passes(statement: Json) -> None:
    assert violations(RULE, POLICY, {"policy": json.dumps(document(statement))}) == []
    assert violations(RULE, NATIVE, {"policyDocument": document(statement)}) == []


def test_a_lone_statement_is_read_too() -> None:
    assert violations(RULE, POLICY, {"policy": json.dumps({"Statement": allow("*")})})


PLACES: dict[str, Callable[[Any], Json]] = {
    **{
        f"aws:iam/{kind}Policy:{kind.title()}Policy": lambda text: {"policy": text}
        for kind in ("role", "user", "group")
    },
    POLICY: lambda text: {"policy": text},
    "aws:iam/role:Role": lambda text: {"inlinePolicies": [{"name": "a"}, {"name": "b", "policy": text}]},
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": lambda text: {"inlinePolicy": text},
    "aws-native:iam:RolePolicy": lambda text: {"policyDocument": text},
    "aws-native:iam:Role": lambda text: {"policies": [{"policyName": "a", "policyDocument": text}]},
}


@pytest.mark.parametrize("type_", PLACES)
def test_documents_are_found_where_they_stand(type_: str) -> None:
    assert violations(RULE, type_, PLACES[type_](json.dumps(document(allow("*")))))
    assert violations(RULE, type_, PLACES[type_](json.dumps(document(allow("s3:GetObject"))))) == []


@pytest.mark.parametrize("type_", PLACES)
def test_a_document_with_an_output_in_it_is_judged_in_the_update(type_: str) -> None:
    """In preview the whole text is unknown, and policies name ARNs: the engine asks again before it creates them."""
    assert violations(RULE, type_, PLACES[type_](UNKNOWN)) == []


def test_unknown_parts_of_an_object() -> None:
    arn_unknown = document(allow("s3:*", UNKNOWN))
    assert violations(RULE, NATIVE, {"policyDocument": arn_unknown}) == []
    for statement in (allow(UNKNOWN), allow(["s3:GetObject", UNKNOWN])):
        (message,) = violations(RULE, NATIVE, {"policyDocument": document(statement)})
        assert "not known in preview" in message
    assert violations(RULE, NATIVE, {"policyDocument": document({**allow("ec2:*"), "Effect": UNKNOWN})})
    assert violations(RULE, NATIVE, {"policyDocument": document(allow(["*", UNKNOWN]))})
    narrowed = allow("ec2:*", Condition=tagged(value=UNKNOWN))
    assert violations(RULE, NATIVE, {"policyDocument": document(narrowed)}) == []


@pytest.mark.parametrize("text", ["{", "", "[]", "1", '"*"', "null"])
def test_text_that_is_no_document_fails(text: str) -> None:
    (message,) = violations(RULE, POLICY, {"policy": text})
    assert "is no JSON object" in message


def test_both_lists_can_be_set() -> None:
    reading = {"policy": json.dumps(document(allow("cloudwatch:Get*")))}
    assert violations(RULE, POLICY, reading)
    assert violations(RULE, POLICY, reading, readOnlyPrefixes=["Get"]) == []
    narrowed = {"policy": json.dumps(document(allow("ec2:*", Condition=tagged(key="ec2:Vpc", value="vpc-1"))))}
    assert violations(RULE, POLICY, narrowed)
    assert violations(RULE, POLICY, narrowed, narrowingConditions=["ec2:Vpc"]) == []


ROLE = "aws:iam/role:Role"


def trust(principal: Any, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps(document({name: value for name, value in statement.items() if value is not None}))


@pytest.mark.parametrize(
    "policy",
    [
        trust("*"),
        trust({"AWS": "*"}),
        trust({"AWS": ["arn:aws:iam::111122223333:root", "*"]}),
        trust({"Federated": "*"}),
        trust(None, NotPrincipal={"AWS": "arn:aws:iam::111122223333:root"}),
        trust("*", Condition={"StringLike": {"aws:PrincipalArn": "*"}}),
    ],
)
def test_a_role_must_not_trust_everybody(policy: str) -> None:
    (message,) = violations(RULE, ROLE, {"assumeRolePolicy": policy})
    assert "lets anybody take the role" in message
    assert violations(RULE, "aws-native:iam:Role", {"assumeRolePolicyDocument": json.loads(policy)})


@pytest.mark.parametrize(
    "policy",
    [
        trust({"Service": "ec2.amazonaws.com"}),
        trust({"AWS": "arn:aws:iam::111122223333:root"}),
        trust("*", Effect="Deny"),
        trust("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}),
    ],
)
def test_roles_that_trust_somebody_pass(policy: str) -> None:
    assert violations(RULE, ROLE, {"assumeRolePolicy": policy}) == []
