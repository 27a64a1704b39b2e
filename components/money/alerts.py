"""AlertTopic: where AWS publishes what people or programs should hear of; whoever wants to hear subscribes to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import pulumi

from components.sdk import aws

Publisher = Literal["budgets", "costalerts", "cloudwatch"]
"""AWS Budgets, Cost Anomaly Detection, and CloudWatch's alarms, as their principals are called."""


@dataclass(frozen=True, kw_only=True)
class AlertTopicArgs:
    """Inputs of `AlertTopic`.

    key_arn: a customer managed KMS key whose policy lets the publishers use it (`Encryption`, `publishers`). Those that
    may not publish nothing, and nothing says so.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    key_arn: pulumi.Input[str]
    publishers: Sequence[Publisher]
    tags: Mapping[str, str] = field(default_factory=dict)


class AlertTopic(pulumi.ComponentResource):
    """The encrypted topic `<cluster>-alerts`, to which only the named services publish, for this account alone."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlertTopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:AlertTopic", name, None, opts)
        topic = aws.sns.Topic(
            name,
            # Named, because its own policy says its ARN.
            name=topic_name(args.cluster_name),
            kms_master_key_id=args.key_arn,
            policy=pulumi.Output.from_input(args.account_id).apply(lambda account: _policy(args, account)),
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


def topic_name(cluster_name: str) -> str:
    """Name of a cluster's topic."""
    return f"{cluster_name}-alerts"


def publishing_conditions(publisher: Publisher, account_id: str, region: str, partition: str) -> dict[str, Any]:
    """Conditions against a confused deputy: the service acts for this account, and for a thing of this account.

    Sources: AWS Cost Management user guide, "Creating an Amazon SNS topic for budget notifications" and "… for anomaly
    notifications", which knows no ARN; CloudWatch user guide, "Permissions to publish to Amazon SNS".
    """
    account = {"StringEquals": {"aws:SourceAccount": account_id}}
    match publisher:
        case "budgets":
            return {**account, "ArnLike": {"aws:SourceArn": f"arn:{partition}:budgets::{account_id}:*"}}
        case "costalerts":
            return account
        case "cloudwatch":
            return {
                **account,
                "ArnLike": {"aws:SourceArn": f"arn:{partition}:cloudwatch:{region}:{account_id}:alarm:*"},
            }
        case _:
            assert_never(publisher)


def _policy(args: AlertTopicArgs, account_id: str) -> str:
    arn = f"arn:{args.partition}:sns:{args.region}:{account_id}:{topic_name(args.cluster_name)}"
    allowed = [
        {
            "Sid": f"Allow-{publisher}",
            "Effect": "Allow",
            "Principal": {"Service": f"{publisher}.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": publishing_conditions(publisher, account_id, args.region, args.partition),
        }
        for publisher in args.publishers
    ]
    denied = {
        "Sid": "DenyHTTP",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [*allowed, denied]})
