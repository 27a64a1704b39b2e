"""Encryption: who may use which key."""

import json
from typing import Any

import pulumi

from components.cluster.encryption import Encryption, EncryptionArgs
from tests.unit.components.recording import Recording, record

KEY = "aws:kms/key:Key"
ACCOUNT = "123456789012"


def build(account: pulumi.Input[str] = ACCOUNT, preview: bool = False) -> Recording[Encryption]:
    args = EncryptionArgs(cluster_name="gpu-slices-test", account_id=account, region="us-east-1", tags={"team": "ml"})
    return record(lambda: Encryption("keys", args), watch=["data_key_arn", "volume_key_arn"], preview=preview)


def statements(recording: Recording[Encryption], purpose: str) -> dict[str, dict[str, Any]]:
    policy = json.loads(recording.one(KEY, f"keys-{purpose}").inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_both_keys_rotate_and_can_be_restored() -> None:
    recording = build()
    assert [key.name for key in recording.of_type(KEY)] == ["keys-data", "keys-volumes"]
    for key in recording.of_type(KEY):
        assert key.inputs["enableKeyRotation"] is True
        assert key.inputs["deletionWindowInDays"] == 30
        assert key.inputs["tags"]["team"] == "ml"
        assert "bypassPolicyLockoutSafetyCheck" not in key.inputs
    aliases = {alias.inputs["name"]: alias.inputs["targetKeyId"] for alias in recording.of_type("aws:kms/alias:Alias")}
    assert aliases == {
        "alias/gpu-slices-test/data": "keys-data-id",
        "alias/gpu-slices-test/volumes": "keys-volumes-id",
    }
    assert recording.outputs == {
        "data_key_arn": f"arn:aws:mock:us-east-1:{ACCOUNT}:keys-data",
        "volume_key_arn": f"arn:aws:mock:us-east-1:{ACCOUNT}:keys-volumes",
    }


def test_nobody_is_in_a_policy_who_need_not_be() -> None:
    recording = build()
    assert [*statements(recording, "data")] == ["AllowAccountThroughIam", "AllowLogGroupsOfThisCluster"]
    assert [*statements(recording, "volumes")] == [
        "AllowAccountThroughIam",
        "AllowInstanceLaunchesToUseVolumes",
        "AllowInstanceLaunchesToAttachVolumes",
    ]


def test_publishers_of_the_topic_may_use_the_data_key_for_this_account() -> None:
    args = EncryptionArgs(cluster_name="c", account_id=ACCOUNT, region="us-east-1", publishers=["budgets"])
    recording = record(lambda: Encryption("keys", args))
    assert statements(recording, "data")["Allow-budgets"] == {
        "Sid": "Allow-budgets",
        "Effect": "Allow",
        "Principal": {"Service": "budgets.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:*"},
        },
    }
    assert "Allow-budgets" not in statements(recording, "volumes")


def test_the_account_keeps_control_of_both_keys() -> None:
    recording = build()
    for purpose in ("data", "volumes"):
        administration = statements(recording, purpose)["AllowAccountThroughIam"]
        assert administration["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert administration["Action"] == "kms:*"


def test_cloudwatch_uses_the_data_key_for_this_clusters_log_groups_only() -> None:
    logs = statements(build(), "data")["AllowLogGroupsOfThisCluster"]
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    groups = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws"
    assert logs["Condition"] == {
        "ArnLike": {
            "kms:EncryptionContext:aws:logs:arn": [
                f"{groups}/eks/gpu-slices-test/*",
                f"{groups}/vpc/gpu-slices-test/*",
                f"{groups}/containerinsights/gpu-slices-test/*",
            ]
        }
    }


def test_an_open_principal_is_bounded_by_account_service_and_role() -> None:
    recording = build()
    everyone = [
        (purpose, statement)
        for purpose in ("data", "volumes")
        for statement in statements(recording, purpose).values()
        if "*" in statement["Principal"].values()
    ]
    assert [(purpose, statement["Sid"]) for purpose, statement in everyone] == [
        ("volumes", "AllowInstanceLaunchesToUseVolumes"),
        ("volumes", "AllowInstanceLaunchesToAttachVolumes"),
    ]
    roles = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role"
    for _, statement in everyone:
        assert statement["Condition"]["StringEquals"] == {
            "kms:CallerAccount": ACCOUNT,
            "kms:ViaService": "ec2.us-east-1.amazonaws.com",
        }
        assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [
            f"{roles}/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
            f"{roles}/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
            f"{roles}/ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet",
        ]


def test_grants_are_for_aws_resources_only() -> None:
    volumes = statements(build(), "volumes")
    assert volumes["AllowInstanceLaunchesToAttachVolumes"]["Action"] == "kms:CreateGrant"
    assert volumes["AllowInstanceLaunchesToAttachVolumes"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert "kms:CreateGrant" not in volumes["AllowInstanceLaunchesToUseVolumes"]["Action"]


def test_an_account_id_that_is_an_output_is_written_into_the_policies() -> None:
    assert statements(build(account=pulumi.Output.from_input(ACCOUNT)), "volumes") == statements(build(), "volumes")


def test_a_preview_shows_the_policies() -> None:
    recording = build(preview=True)
    assert statements(recording, "data") == statements(build(), "data")
    assert recording.outputs["data_key_arn"] == "<unknown>"
