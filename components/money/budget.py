"""Budget: what the stack may cost in a month, who hears of it, and a brake on new GPU instances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.arguments import Arguments
from components.sdk import aws

#: Percent of the budget at which the brake inside the cluster is put on, where a stack has it (`SoftBrake`).
SOFT_BRAKE_AT = 80
#: Percent of the budget at which mail is sent for what was spent.
ACTUAL_ALERTS = (50, SOFT_BRAKE_AT, 100)
#: Percent of the budget at which the brake is put on.
BRAKE_AT = 100

#: An anomaly is told from this fraction of the monthly budget on, and never below a dollar.
ANOMALY_FRACTION = 0.05

#: EC2 categories g and p are NVIDIA GPUs (and AMD's g4ad): nothing else that this platform buys begins with them.
_GPU_TYPES = ["g*.*", "p*.*"]

_MAX_BUDGET_NAME = 100
_MAX_EMAILS = 10


@dataclass(frozen=True, kw_only=True)
class BudgetArgs(Arguments):
    """Inputs of `Budget`.

    monthly_usd: USD per calendar month for everything that carries the tag.
    emails: who gets the alerts.
    tag: name and value of the tag that the stack's resources carry. Billing must know it as a cost allocation tag
    (AWS Billing, "Cost allocation tags"), or the budget sees nothing.
    buyer_role_name: role that buys GPU instances; the brake denies it new ones. Running ones stay.
    topic_arn: SNS topic that hears what the mails say (`AlertTopic`, publisher `budgets`, with `anomalies` also
    `costalerts`); None: mails alone.
    anomalies: whether Cost Anomaly Detection watches what carries the tag. Only a management account, or one of no
    organisation, may have a monitor by tag (AWS Cost Management user guide, "Getting started with AWS Cost Anomaly
    Detection").
    """

    name: str
    monthly_usd: float
    emails: Sequence[str]
    tag: tuple[str, str]
    buyer_role_name: pulumi.Input[str]
    account_id: pulumi.Input[str]
    topic_arn: pulumi.Input[str] | None = None
    anomalies: bool = False
    partition: str = "aws"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for what AWS Budgets refuses (API reference, Budget, Notification, Subscriber)."""
        super().__post_init__()
        if not self.monthly_usd > 0:
            raise ValueError(f"budget {self.name}: monthly_usd is {self.monthly_usd}: write an amount above 0")
        if not 0 < len(self.name) <= _MAX_BUDGET_NAME or set(self.name) & set(":\\"):
            raise ValueError(f"budget {self.name}: a name has at most {_MAX_BUDGET_NAME} characters, no : and no \\")
        if len(self.emails) > _MAX_EMAILS or not (self.emails or self.topic_arn):
            raise ValueError(f"budget {self.name}: alerts go to one to {_MAX_EMAILS} emails, or to a topic")


class Budget(pulumi.ComponentResource):
    """A monthly cost budget with alerts by mail and to a topic, and an action that denies new GPU instances when it is
    spent; on request anomaly detection.

    The denial ends with the month, when AWS Budgets takes the action back. While it lasts Karpenter also calls the
    EC2NodeClasses of GPU pools NotReady, since it tries with a dry run whether it may buy for them: what changes them
    waits in vain. A stack that is destroyed while the brake is on needs it taken off first (`REVERSE_BUDGET_ACTION`):
    IAM keeps a policy that is still attached.
    """

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Budget", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        budget = aws.budgets.Budget(
            name,
            name=args.name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{args.monthly_usd:.2f}",
            limit_unit="USD",
            cost_filters=[
                aws.budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:{args.tag[0]}${args.tag[1]}"])
            ],
            notifications=[
                *(_alert("ACTUAL", percent, args) for percent in ACTUAL_ALERTS),
                _alert("FORECASTED", 100, args),
            ],
            tags=dict(args.tags),
            opts=child,
        )
        self._brake(name, args, budget)
        if args.anomalies:
            self._anomalies(name, args)
        self.register_outputs({"budget_name": budget.name})

    def _brake(self, name: str, args: BudgetArgs, budget: aws.budgets.Budget) -> None:
        """The action that denies new GPU instances to whoever buys them, and tells the same people."""
        child = pulumi.ResourceOptions(parent=self)
        brake = aws.iam.Policy(
            f"{name}-brake",
            description=f"{args.name}: no new GPU instances, the budget is spent",
            policy=json.dumps(_no_new_gpus(args.partition)),
            tags=dict(args.tags),
            opts=child,
        )
        aws.budgets.BudgetAction(
            f"{name}-brake",
            budget_name=budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            execution_role_arn=self._executor(f"{name}-executor", args, brake).arn,
            action_threshold=aws.budgets.BudgetActionActionThresholdArgs(
                action_threshold_type="PERCENTAGE", action_threshold_value=BRAKE_AT
            ),
            definition=aws.budgets.BudgetActionDefinitionArgs(
                iam_action_definition=aws.budgets.BudgetActionDefinitionIamActionDefinitionArgs(
                    policy_arn=brake.arn, roles=[args.buyer_role_name]
                )
            ),
            subscribers=[
                aws.budgets.BudgetActionSubscriberArgs(address=address, subscription_type=kind)
                for kind, address in _subscribers(args)
            ],
            tags=dict(args.tags),
            opts=child,
        )

    def _anomalies(self, name: str, args: BudgetArgs) -> None:
        """A monitor of what carries the tag. Mail comes by the day, to the topic at once: AWS allows no other mix."""
        child = pulumi.ResourceOptions(parent=self)
        key, value = args.tag
        # With the empty members that AWS gives back: without them every preview shows a change.
        specification = {
            **dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or")),
            "Tags": {"Key": key, "MatchOptions": None, "Values": [value]},
        }
        monitor = aws.costexplorer.AnomalyMonitor(
            f"{name}-anomalies",
            name=args.name,
            monitor_type="CUSTOM",
            monitor_specification=json.dumps(specification, sort_keys=True),
            tags=dict(args.tags),
            opts=child,
        )
        mails = [{"type": "EMAIL", "address": email} for email in args.emails]
        ways: list[tuple[str, str, Sequence[Mapping[str, pulumi.Input[str]]]]] = [("mail", "DAILY", mails)]
        if args.topic_arn is not None:
            topic: Mapping[str, pulumi.Input[str]] = {"type": "SNS", "address": args.topic_arn}
            ways.append(("topic", "IMMEDIATE", [topic]))
        for way, frequency, subscribers in ways:
            aws.costexplorer.AnomalySubscription(
                f"{name}-anomalies-{way}",
                name=f"{args.name}-{way}",
                frequency=frequency,
                monitor_arn_lists=[monitor.arn],
                subscribers=[aws.costexplorer.AnomalySubscriptionSubscriberArgs(**each) for each in subscribers],
                threshold_expression=aws.costexplorer.AnomalySubscriptionThresholdExpressionArgs(
                    dimension=aws.costexplorer.AnomalySubscriptionThresholdExpressionDimensionArgs(
                        key="ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                        match_options=["GREATER_THAN_OR_EQUAL"],
                        values=[f"{max(1.0, ANOMALY_FRACTION * args.monthly_usd):.0f}"],
                    )
                ),
                tags=dict(args.tags),
                opts=child,
            )

    def _executor(self, name: str, args: BudgetArgs, brake: aws.iam.Policy) -> aws.iam.Role:
        """Role under which AWS Budgets attaches and detaches the brake, and nothing else."""
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            description=f"{args.name}: puts the brake on",
            assume_role_policy=pulumi.Output.from_input(args.account_id).apply(lambda account: _trust(args, account)),
            tags=dict(args.tags),
            opts=child,
        )
        aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
                            # Of a role that somebody else made only the name is known, and it may have a path.
                            "Resource": [
                                pulumi.Output.concat(
                                    "arn:", args.partition, ":iam::*:role/", path, args.buyer_role_name
                                )
                                for path in ("", "*/")
                            ],
                            "Condition": {"ArnEquals": {"iam:PolicyARN": brake.arn}},
                        }
                    ],
                }
            ),
            opts=child,
        )
        return role


def _subscribers(args: BudgetArgs) -> list[tuple[str, pulumi.Input[str]]]:
    """Who hears: type of each, as AWS Budgets calls it, and address."""
    mails: list[tuple[str, pulumi.Input[str]]] = [("EMAIL", email) for email in args.emails]
    return mails if args.topic_arn is None else [*mails, ("SNS", args.topic_arn)]


def _trust(args: BudgetArgs, account_id: str) -> str:
    # AWS Cost Management user guide, "Configuring budget actions": conditions against a confused deputy.
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "budgets.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account_id},
            "ArnLike": {"aws:SourceArn": f"arn:{args.partition}:budgets::{account_id}:budget/{args.name}*"},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _alert(kind: str, percent: int, args: BudgetArgs) -> aws.budgets.BudgetNotificationArgs:
    return aws.budgets.BudgetNotificationArgs(
        comparison_operator="GREATER_THAN",
        notification_type=kind,
        threshold=percent,
        threshold_type="PERCENTAGE",
        subscriber_email_addresses=[*args.emails],
        subscriber_sns_topic_arns=None if args.topic_arn is None else [args.topic_arn],
    )


def _no_new_gpus(partition: str) -> dict[str, object]:
    """Both calls that buy: of the fleet EC2 judges the types that it names itself, of its launch templates those that
    it starts (service authorization reference of EC2, CreateFleet)."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
                "Resource": f"arn:{partition}:ec2:*:*:instance/*",
                "Condition": {"StringLike": {"ec2:InstanceType": _GPU_TYPES}},
            }
        ],
    }
