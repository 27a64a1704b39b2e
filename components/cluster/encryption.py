"""The customer managed keys: one for data at rest that services write, one for node volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.money.alerts import Publisher, publishing_conditions
from components.sdk import aws

DELETION_WINDOW_DAYS = 30
"""Days in which a deleted key, and all that it encrypted, can still be restored. The longest that KMS allows."""

_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")

# Roles under which AWS itself starts instances from launch templates. They cannot be given IAM permissions, so the
# key's policy must name them (EC2 user guide, "Service-linked role for Spot Instance requests"; Auto Scaling user
# guide, "Required AWS KMS key policy for use with encrypted volumes").
_LAUNCHING_ROLES = (
    "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com/AWSServiceRoleForEC2Spot",
    "ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet",
)


@dataclass(frozen=True, kw_only=True)
class EncryptionArgs:
    """Inputs of `Encryption`. publishers: services that publish to a topic that the data key encrypts."""

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    publishers: Sequence[Publisher] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class Encryption(pulumi.ComponentResource):
    """Two KMS keys that rotate every year, with the aliases `alias/<cluster>/data` and `alias/<cluster>/volumes`.

    The data key encrypts Kubernetes secrets and the cluster's log groups (`/aws/eks/<cluster>/`, `/aws/vpc/<cluster>/`
    and `/aws/containerinsights/<cluster>/`), and topics; the volume key encrypts the disks of nodes.
    """

    data_key_arn: pulumi.Output[str]
    volume_key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Encryption", name, None, opts)
        data = self._key(name, args, "data", [_administration(args), _logs(args), *_publishers(args)])
        volumes = self._key(name, args, "volumes", [_administration(args), *_volumes(args)])
        self.data_key_arn = data.arn
        self.volume_key_arn = volumes.arn
        self.register_outputs({"data_key_arn": self.data_key_arn, "volume_key_arn": self.volume_key_arn})

    def _key(self, name: str, args: EncryptionArgs, purpose: str, statements: list[dict[str, Any]]) -> aws.kms.Key:
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{name}-{purpose}",
            description=f"{args.cluster_name}: {purpose}",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
            tags={**args.tags, "Name": f"{args.cluster_name}-{purpose}"},
            opts=child,
        )
        aws.kms.Alias(
            f"{name}-{purpose}", name=f"alias/{args.cluster_name}/{purpose}", target_key_id=key.id, opts=child
        )
        return key


def _administration(args: EncryptionArgs) -> dict[str, Any]:
    # Without the account itself nobody could ever change the key again; IAM policies decide who in it may.
    return {
        "Sid": "AllowAccountThroughIam",
        "Effect": "Allow",
        "Principal": {"AWS": pulumi.Output.concat("arn:", args.partition, ":iam::", args.account_id, ":root")},
        "Action": "kms:*",
        "Resource": "*",
    }


def _logs(args: EncryptionArgs) -> dict[str, Any]:
    groups = pulumi.Output.concat("arn:", args.partition, ":logs:", args.region, ":", args.account_id, ":log-group:")
    return {
        "Sid": "AllowLogGroupsOfThisCluster",
        "Effect": "Allow",
        "Principal": {"Service": f"logs.{args.region}.amazonaws.com"},
        "Action": [*_USE],
        "Resource": "*",
        "Condition": {
            "ArnLike": {
                "kms:EncryptionContext:aws:logs:arn": [
                    pulumi.Output.concat(groups, f"/aws/{service}/{args.cluster_name}/*")
                    for service in ("eks", "vpc", "containerinsights")
                ]
            }
        },
    }


def _publishers(args: EncryptionArgs) -> list[dict[str, Any]]:
    # SNS developer guide, "Managing Amazon SNS encryption keys": what AWS' services publish they encrypt themselves.
    def statement(publisher: Publisher) -> dict[str, Any]:
        conditions = pulumi.Output.from_input(args.account_id).apply(
            lambda account: publishing_conditions(publisher, account, args.region, args.partition)
        )
        return {
            "Sid": f"Allow-{publisher}",
            "Effect": "Allow",
            "Principal": {"Service": f"{publisher}.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": conditions,
        }

    return [statement(publisher) for publisher in args.publishers]


def _volumes(args: EncryptionArgs) -> list[dict[str, Any]]:
    """Let AWS's own roles start instances with encrypted volumes, and nobody else beyond what IAM allows.

    A policy that names a role which does not exist is refused, and in a new account these roles appear only with the
    first Auto Scaling group or Spot request. So the principal is open and the conditions say who: this account, through
    EC2, under one of the roles. This is how AWS writes the policy of its own EBS key.
    """
    roles = [
        pulumi.Output.concat("arn:", args.partition, ":iam::", args.account_id, f":role/aws-service-role/{role}")
        for role in _LAUNCHING_ROLES
    ]
    conditions = {
        "StringEquals": {
            "kms:CallerAccount": args.account_id,
            "kms:ViaService": f"ec2.{args.region}.amazonaws.com",
        },
        "ArnEquals": {"aws:PrincipalArn": roles},
    }
    return [
        {
            "Sid": "AllowInstanceLaunchesToUseVolumes",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [*_USE],
            "Resource": "*",
            "Condition": conditions,
        },
        {
            "Sid": "AllowInstanceLaunchesToAttachVolumes",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {**conditions, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]
