"""A monthly budget that stops new GPU instances of an existing Karpenter when it is spent."""

import pulumi
import pulumi_aws as aws

from components.money.budget import Budget, BudgetArgs

settings = pulumi.Config()
account = aws.Provider("aws", region=settings.require("region"))
caller = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=account))

Budget(
    "budget",
    BudgetArgs(
        name="gpus",
        monthly_usd=400,
        emails=[settings.require("email")],
        tag=("team", settings.require("stackTag")),
        account_id=caller.account_id,
        buyer_role_name=settings.require("buyerRole"),
    ),
    pulumi.ResourceOptions(providers=[account]),
)
