"""Budget: what the stack may cost in a month, who hears of it, and a brake on new GPU instances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.sdk import aws

#: Percent of the budget at which mail is sent for what was spent.
ACTUAL_ALERTS = (50, 80, 100)
#: Percent of the budget at which the brake is put on.
BRAKE_AT = 100

#: EC2 categories g and p are NVIDIA GPUs (and AMD's g4ad): nothing else that this platform buys begins with them.
_GPU_TYPES = ["g*.*", "p*.*"]


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Inputs of `Budget`.

    monthly_usd: USD per calendar month for everything that carries the tag.
    emails: who gets the alerts.
    tag: name and value of the tag that the stack's resources carry. Billing must know it as a cost allocation tag
    (AWS Billing, "Cost allocation tags"), or the budget sees nothing.
    buyer_role_name: role that buys GPU instances; the brake denies it new ones. Running ones stay.
    """

    name: str
    monthly_usd: float
    emails: Sequence[str]
    tag: tuple[str, str]
    buyer_role_name: pulumi.Input[str]
    partition: str = "aws"
    tags: Mapping[str, str] = field(default_factory=dict)


class Budget(pulumi.ComponentResource):
    """A monthly cost budget with alerts by mail, and an action that denies new GPU instances when it is spent.

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
                *(_alert("ACTUAL", percent, args.emails) for percent in ACTUAL_ALERTS),
                _alert("FORECASTED", 100, args.emails),
            ],
            tags=dict(args.tags),
            opts=child,
        )
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
                aws.budgets.BudgetActionSubscriberArgs(address=email, subscription_type="EMAIL")
                for email in args.emails
            ],
            tags=dict(args.tags),
            opts=child,
        )
        self.register_outputs({"budget_name": budget.name})

    def _executor(self, name: str, args: BudgetArgs, brake: aws.iam.Policy) -> aws.iam.Role:
        """Role under which AWS Budgets attaches and detaches the brake, and nothing else."""
        child = pulumi.ResourceOptions(parent=self)
        trust = {"Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = aws.iam.Role(
            name,
            description=f"{args.name}: puts the brake on",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
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
                            "Resource": pulumi.Output.concat(
                                "arn:", args.partition, ":iam::*:role/", args.buyer_role_name
                            ),
                            "Condition": {"ArnEquals": {"iam:PolicyARN": brake.arn}},
                        }
                    ],
                }
            ),
            opts=child,
        )
        return role


def _alert(kind: str, percent: int, emails: Sequence[str]) -> aws.budgets.BudgetNotificationArgs:
    return aws.budgets.BudgetNotificationArgs(
        comparison_operator="GREATER_THAN",
        notification_type=kind,
        threshold=percent,
        threshold_type="PERCENTAGE",
        subscriber_email_addresses=[*emails],
    )


def _no_new_gpus(partition: str) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": "ec2:RunInstances",
                "Resource": f"arn:{partition}:ec2:*:*:instance/*",
                "Condition": {"StringLike": {"ec2:InstanceType": _GPU_TYPES}},
            }
        ],
    }
