"""Budget: alerts by mail, and a brake that denies the buyer's role new GPU instances."""

import fnmatch
import json
from typing import Any

from components.money.budget import Budget, BudgetArgs
from gpu.catalog import INSTANCE_TYPES
from gpu.prices import named_types
from tests.unit.components.recording import Recording, record

ARGS = BudgetArgs(
    name="c", monthly_usd=400, emails=["a@example.com"], tag=("gpu-slices/stack", "dev"), buyer_role_name="karpenter"
)


def budget() -> Recording[Budget]:
    """The recorded component."""
    return record(lambda: Budget("budget", ARGS))


def _policy(recording: Recording[Budget], type_: str) -> dict[str, Any]:
    (statement,) = json.loads(recording.one(type_).inputs["policy"])["Statement"]
    return dict(statement)


def test_it_counts_what_carries_the_tag() -> None:
    inputs = budget().one("aws:budgets/budget:Budget").inputs
    assert (inputs["limitAmount"], inputs["limitUnit"], inputs["timeUnit"]) == ("400.00", "USD", "MONTHLY")
    assert inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:gpu-slices/stack$dev"]}]


def test_mail_is_sent_before_and_when_it_is_spent() -> None:
    alerts = budget().one("aws:budgets/budget:Budget").inputs["notifications"]
    assert [(a["notificationType"], a["threshold"]) for a in alerts] == [
        ("ACTUAL", 50),
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    assert all(a["subscriberEmailAddresses"] == ["a@example.com"] for a in alerts)


def test_the_brake_denies_every_gpu_type_and_no_cpu_type() -> None:
    recording = budget()
    statement = _policy(recording, "aws:iam/policy:Policy")
    patterns = statement["Condition"]["StringLike"]["ec2:InstanceType"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "ec2:RunInstances")
    for name in INSTANCE_TYPES:
        assert any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns), name
    for name in named_types() - INSTANCE_TYPES.keys():
        assert not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns), name


def test_the_brake_is_put_on_the_buyer_by_a_role_that_can_do_nothing_else() -> None:
    recording = budget()
    action = recording.one("aws:budgets/budgetAction:BudgetAction").inputs
    assert action["definition"]["iamActionDefinition"]["roles"] == ["karpenter"]
    assert (action["actionType"], action["approvalModel"]) == ("APPLY_IAM_POLICY", "AUTOMATIC")
    statement = _policy(recording, "aws:iam/rolePolicy:RolePolicy")
    assert statement["Resource"] == "arn:aws:iam::*:role/karpenter"
    brake = recording.one("aws:iam/policy:Policy")
    assert statement["Condition"] == {
        "ArnEquals": {"iam:PolicyARN": f"arn:aws:mock:us-east-1:123456789012:{brake.name}"}
    }
