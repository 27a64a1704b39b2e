"""Budget: alerts by mail and topic, anomalies, and a brake that denies the buyer's role new GPU instances."""

import fnmatch
import json
from typing import Any

import pulumi
import pytest

from components.karpenter import karpenter_policies as policies
from components.money.alerts import AlertTopic, AlertTopicArgs
from components.money.budget import Budget, BudgetArgs
from gpu.catalog import INSTANCE_TYPES
from gpu.prices import named_types
from tests.iam import decide
from tests.unit.components.recording import Recording, record

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:c-alerts"


def budget(anomalies: bool = False, monthly_usd: float = 400) -> Recording[Budget]:
    """The recorded component."""
    arguments = BudgetArgs(
        name="c",
        monthly_usd=monthly_usd,
        emails=["a@example.com"],
        tag=("gpu-slices/stack", "dev"),
        buyer_role_name="karpenter",
        account_id=ACCOUNT,
        topic_arn=TOPIC,
        anomalies=anomalies,
    )
    return record(lambda: Budget("budget", arguments))


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
    assert all(a["subscriberSnsTopicArns"] == [TOPIC] for a in alerts)


def test_the_brake_denies_every_gpu_type_and_no_cpu_type() -> None:
    recording = budget()
    statement = _policy(recording, "aws:iam/policy:Policy")
    patterns = statement["Condition"]["StringLike"]["ec2:InstanceType"]
    assert (statement["Effect"], statement["Action"]) == (
        "Deny",
        ["ec2:RunInstances", "ec2:CreateFleet"],
    )
    for name in INSTANCE_TYPES:
        assert any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns), name
    for name in named_types() - INSTANCE_TYPES.keys():
        assert not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns), name


def test_the_brake_is_put_on_the_buyer_by_a_role_that_can_do_nothing_else() -> None:
    recording = budget()
    action = recording.one("aws:budgets/budgetAction:BudgetAction").inputs
    assert action["definition"]["iamActionDefinition"]["roles"] == ["karpenter"]
    assert [(each["subscriptionType"], each["address"]) for each in action["subscribers"]] == [
        ("EMAIL", "a@example.com"),
        ("SNS", TOPIC),
    ]
    assert (action["actionType"], action["approvalModel"]) == ("APPLY_IAM_POLICY", "AUTOMATIC")
    statement = _policy(recording, "aws:iam/rolePolicy:RolePolicy")
    # The buyer may have a path, such as eksctl's; another role whose name ends alike is none of its.
    for role, decision in (
        ("karpenter", "allowed"),
        ("teams/ai/karpenter", "allowed"),
        ("not-karpenter", "not allowed"),
    ):
        attach = ("iam:AttachRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/{role}")
        context = {"iam:PolicyARN": statement["Condition"]["ArnEquals"]["iam:PolicyARN"]}
        assert decide([{"Statement": [statement]}], *attach, context) == decision
    brake = recording.one("aws:iam/policy:Policy")
    assert statement["Condition"] == {
        "ArnEquals": {"iam:PolicyARN": f"arn:aws:mock:us-east-1:123456789012:{brake.name}"}
    }


SCOPE = policies.Scope(cluster_name="c", account_id=ACCOUNT, region="us-east-1")
KARPENTER = policies.document(policies.node_lifecycle(SCOPE))
OURS = {
    "ec2:InstanceType": "g6.xlarge",
    "aws:RequestTag/kubernetes.io/cluster/c": "owned",
    "aws:RequestTag/eks:eks-cluster-name": "c",
    "aws:RequestTag/karpenter.sh/nodepool": "shared",
    "aws:ResourceTag/kubernetes.io/cluster/c": "owned",
    "aws:ResourceTag/karpenter.sh/nodepool": "shared",
}
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"


@pytest.mark.parametrize(
    ("action", "resource", "instance_type", "before", "with_brake"),
    [
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::instance/*", "g6.xlarge", "allowed", "denied"),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::instance/*", "p5.48xlarge", "allowed", "denied"),
        ("ec2:CreateFleet", "arn:aws:ec2:us-east-1::instance/*", "g5.xlarge", "allowed", "denied"),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::instance/*", "m7g.large", "allowed", "allowed"),
        ("ec2:CreateFleet", "arn:aws:ec2:us-east-1::instance/*", "c7i.large", "allowed", "allowed"),
        # A fleet's type is asked of its instances alone.
        ("ec2:CreateFleet", "arn:aws:ec2:us-east-1::fleet/*", None, "allowed", "allowed"),
        ("ec2:TerminateInstances", INSTANCE, "g6.xlarge", "allowed", "allowed"),
        ("ec2:StopInstances", INSTANCE, "g6.xlarge", "not allowed", "not allowed"),
    ],
)
def test_what_karpenter_may_while_the_brake_is_on(
    action: str, resource: str, instance_type: str | None, before: str, with_brake: str
) -> None:
    """By Karpenter's own policy: the brake takes GPUs from it that it had, and nothing else."""
    context = {**OURS, "ec2:InstanceType": instance_type} if instance_type else OURS.copy()
    if instance_type is None:
        del context["ec2:InstanceType"]
    brake = json.loads(budget().one("aws:iam/policy:Policy").inputs["policy"])
    assert decide([KARPENTER], action, resource, context) == before
    assert decide([KARPENTER, brake], action, resource, context) == with_brake


def test_the_executor_serves_this_accounts_budget_alone() -> None:
    (statement,) = json.loads(budget().one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "budgets.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:budget/c*"},
    }


def test_anomalies_are_watched_only_where_that_is_asked_for() -> None:
    assert budget().of_type("aws:costexplorer/anomalyMonitor:AnomalyMonitor") == []
    recording = budget(anomalies=True)
    monitor = recording.one("aws:costexplorer/anomalyMonitor:AnomalyMonitor").inputs
    assert monitor["monitorType"] == "CUSTOM"
    assert json.loads(monitor["monitorSpecification"])["Tags"] == {
        "Key": "gpu-slices/stack",
        "MatchOptions": None,
        "Values": ["dev"],
    }
    subscriptions = recording.of_type("aws:costexplorer/anomalySubscription:AnomalySubscription")
    # Cost Explorer takes mail by the day, and a topic at once (API reference, AnomalySubscription).
    assert [(each.inputs["frequency"], each.inputs["subscribers"]) for each in subscriptions] == [
        ("DAILY", [{"type": "EMAIL", "address": "a@example.com"}]),
        ("IMMEDIATE", [{"type": "SNS", "address": TOPIC}]),
    ]


@pytest.mark.parametrize(("monthly_usd", "least"), [(400, "20"), (12, "1"), (30_000, "1500")])
def test_an_anomaly_is_told_from_a_twentieth_of_the_budget_on(monthly_usd: float, least: str) -> None:
    for each in budget(True, monthly_usd).of_type("aws:costexplorer/anomalySubscription:AnomalySubscription"):
        assert each.inputs["thresholdExpression"]["dimension"] == {
            "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
            "matchOptions": ["GREATER_THAN_OR_EQUAL"],
            "values": [least],
        }


def test_only_the_named_services_publish_for_this_account_and_over_tls() -> None:
    def program() -> AlertTopic:
        arguments = AlertTopicArgs(
            cluster_name="c",
            account_id=pulumi.Output.from_input(ACCOUNT),
            region="us-east-1",
            key_arn="key",
            publishers=["budgets", "costalerts", "cloudwatch"],
        )
        return AlertTopic("alerts", arguments)

    inputs = record(program).one("aws:sns/topic:Topic").inputs
    assert (inputs["name"], inputs["kmsMasterKeyId"]) == ("c-alerts", "key")
    *allowed, denied = json.loads(inputs["policy"])["Statement"]
    assert {each["Principal"]["Service"] for each in allowed} == {
        "budgets.amazonaws.com",
        "costalerts.amazonaws.com",
        "cloudwatch.amazonaws.com",
    }
    for each in (*allowed, denied):
        assert (each["Action"], each["Resource"]) == ("sns:Publish", TOPIC)
    assert all(each["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT} for each in allowed)
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
