"""The queue through which AWS tells Karpenter that an instance is about to go away.

Karpenter drains a node when its Spot instance is reclaimed, when AWS schedules maintenance, when a reservation ends and
when somebody stops or terminates the instance. Event patterns and queue settings are those of upstream's
`cloudformation.yaml` for the pinned version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.karpenter import karpenter_policies as policies
from components.sdk import aws

#: Rule suffix: source and detail type of the events it passes on.
EVENTS: Mapping[str, tuple[str, str]] = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state-change": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}

#: Older messages are about instances that are gone: a Spot instance has two minutes.
RETENTION_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class InterruptionQueueArgs:
    """Inputs of `InterruptionQueue`.

    key_arn: a customer managed KMS key for the queue. Its policy must let `events.amazonaws.com` use `kms:Decrypt` and
    `kms:GenerateDataKey`, without conditions on the source, or no event ever arrives and nothing says so: EventBridge
    does not pass these on (SNS developer guide, "Managing Amazon SNS encryption keys"). Without a key SQS encrypts with
    one of its own, as upstream has it: the messages hold instance ids and live for five minutes.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str
    key_arn: pulumi.Input[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class InterruptionQueue(pulumi.ComponentResource):
    """An encrypted SQS queue, and one EventBridge rule for each kind of interruption.

    `queue_name` is known in preview: Karpenter's chart and permissions name it.
    """

    queue_name: str
    queue_arn: pulumi.Output[str]

    def __init__(self, name: str, args: InterruptionQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:InterruptionQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.queue_name = f"{args.cluster_name}-interruption"
        queue = aws.sqs.Queue(
            name,
            name=self.queue_name,
            message_retention_seconds=RETENTION_SECONDS,
            tags=dict(args.tags),
            **_encryption(args.key_arn),
            opts=child,
        )
        self.queue_arn = queue.arn
        policy = aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=pulumi.Output.from_input(args.account_id).apply(lambda account: _queue_policy(args, account)),
            opts=child,
        )
        for suffix, (source, detail_type) in EVENTS.items():
            rule = aws.cloudwatch.EventRule(
                f"{name}-{suffix}",
                # The queue's policy names it.
                name=rule_name(args.cluster_name, suffix),
                description=f"Tells Karpenter in {args.cluster_name}: {detail_type}",
                event_pattern=json.dumps({"source": [source], "detail-type": [detail_type]}),
                tags=dict(args.tags),
                opts=child,
            )
            aws.cloudwatch.EventTarget(
                f"{name}-{suffix}",
                rule=rule.name,
                arn=queue.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.register_outputs({"queue_name": self.queue_name, "queue_arn": self.queue_arn})


def _encryption(key_arn: pulumi.Input[str] | None) -> dict[str, Any]:
    if key_arn is None:
        return {"sqs_managed_sse_enabled": True}
    return {"kms_master_key_id": key_arn}


def rule_name(cluster_name: str, suffix: str) -> str:
    """Name of the rule for one kind of event, a key of `EVENTS`."""
    return f"{cluster_name}-{suffix}"


def _queue_policy(args: InterruptionQueueArgs, account_id: str) -> str:
    scope = policies.Scope(
        cluster_name=args.cluster_name, account_id=account_id, region=args.region, partition=args.partition
    )
    queue_arn = scope.queue_arn(f"{args.cluster_name}-interruption")
    rules = [
        f"arn:{args.partition}:events:{args.region}:{account_id}:rule/{rule_name(args.cluster_name, each)}"
        for each in EVENTS
    ]
    return json.dumps(
        policies.document(
            [
                {
                    "Sid": "AllowEventRules",
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": queue_arn,
                    "Condition": {
                        "ArnEquals": {"aws:SourceArn": rules},
                        "StringEquals": {"aws:SourceAccount": account_id},
                    },
                },
                {
                    "Sid": "DenyHTTP",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": queue_arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ]
        )
    )
