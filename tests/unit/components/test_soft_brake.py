"""SoftBrake: what its job asks of AWS and tells Karpenter, and that it may do nothing else."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.session import get_session
from botocore.validate import ParamValidator

import versions
from components.money.budget import Budget, BudgetArgs
from components.money.soft_brake import LIMIT, NAME, NAMESPACE, SoftBrake, SoftBrakeArgs, manifests, script
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import BRAKE_ANNOTATION
from gpu.system_pods import SOFT_BRAKE_POD
from tests.iam import decide
from tests.unit.components.recording import Recording, record

ACCOUNT = "123456789012"
BUDGET = f"arn:aws:budgets::{ACCOUNT}:budget/ml"
#: Stands for AWS' CLI: notes what it was asked, and answers from a file, through the query and as text, as the CLI
#: does. Without the file it fails.
CLI = f"""#!{sys.executable}
import json, sys, jmespath
from pathlib import Path
folder = Path(sys.argv[0]).parent
(folder / "asked.json").write_text(json.dumps(sys.argv[1:]))
if not (folder / "answer.json").exists():
    sys.exit("An error occurred (ThrottlingException)")
query = sys.argv[sys.argv.index("--query") + 1]
print(jmespath.search(query, json.loads((folder / "answer.json").read_text())))
"""


@functools.cache
def made() -> Recording[SoftBrake]:
    def program() -> SoftBrake:
        arguments = SoftBrakeArgs(
            cluster_name="ml", account_id=ACCOUNT, budget_name="ml", pools=["shared", "large"], others=["reserved"]
        )
        return SoftBrake("soft-brake", arguments)

    return record(program)


def pod() -> dict[str, Any]:
    job = made().one("kubernetes:batch/v1:CronJob").inputs["spec"]["jobTemplate"]["spec"]
    spec: dict[str, Any] = job["template"]["spec"]
    return spec


def notifications(alarms: set[float]) -> list[dict[str, Any]]:
    """Those of the component's own budget as AWS describes them; in alarm are the thresholds of what was spent."""
    return [
        {
            "NotificationType": each["notificationType"],
            "ComparisonOperator": each["comparisonOperator"],
            "Threshold": float(each["threshold"]),
            "ThresholdType": each["thresholdType"],
            "NotificationState": (
                "ALARM" if each["notificationType"] == "ACTUAL" and each["threshold"] in alarms else "OK"
            ),
        }
        for each in budget().one("aws:budgets/budget:Budget").inputs["notifications"]
    ]


@functools.cache
def budget() -> Recording[Budget]:
    """The budget that is asked about."""
    arguments = BudgetArgs(
        name="ml",
        monthly_usd=400,
        emails=["a@example.com"],
        tag=("gpu-slices/stack", "dev"),
        buyer_role_name="karpenter",
        account_id=ACCOUNT,
    )
    return record(lambda: Budget("budget", arguments))


class Asking:
    """The first container, run by a shell with its own environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "aws").write_text(CLI)
        (folder / "aws").chmod(0o755)
        (folder / "soft_brake.sh").write_text(script())
        for name, text in manifests(["shared"], ["reserved"]).items():
            (folder / name).write_text(text)

    def run(self, released_in: str | None = None) -> str:
        """What it says at last."""
        (container,) = pod()["initContainers"]
        given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        wanted = {"WANTED": str(self.folder / "wanted.yaml"), "PATH": f"{self.folder}:/usr/bin:/bin"}
        released = {} if released_in is None else {"RELEASED_IN": released_in}
        shell, path = container["command"]
        done = subprocess.run(
            [shell, str(self.folder / Path(path).name)],
            env={**given, **wanted, **released},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip().rpartition(" ")[2]

    def answer(self, alarms: set[float]) -> None:
        (self.folder / "answer.json").write_text(json.dumps({"Notifications": notifications(alarms)}))

    def wanted(self, pool: str) -> dict[str, Any]:
        """What the second container will apply to a pool."""
        texts = yaml.safe_load_all((self.folder / "wanted.yaml").read_text())
        return next(each for each in texts if each["metadata"]["name"] == pool)


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking(tmp_path)


@pytest.mark.parametrize(
    ("alarms", "state"),
    [(set(), "off"), ({50}, "off"), ({50, 80}, "on"), ({50, 80, 100}, "on"), ({100}, "off")],
    ids=["nothing", "half", "80 percent", "all", "another threshold alone"],
)
def test_only_the_alarm_at_its_own_threshold_puts_it_on(asking: Asking, alarms: set[float], state: str) -> None:
    asking.answer(alarms)
    assert asking.run() == state
    limits = asking.wanted("shared").get("spec", {}).get("limits")
    assert limits == (LIMIT if state == "on" else None)


def test_a_forecast_does_not_put_it_on(asking: Asking) -> None:
    found = [{**each, "Threshold": 80.0, "NotificationState": "ALARM"} for each in notifications(set())[-1:]]
    assert found[0]["NotificationType"] == "FORECASTED"
    (asking.folder / "answer.json").write_text(json.dumps({"Notifications": [*notifications(set()), *found]}))
    assert asking.run() == "off"


@pytest.mark.parametrize("answer", [None, {"Notifications": []}], ids=["AWS does not answer", "no such notification"])
def test_what_aws_does_not_say_takes_it_off_and_is_told(asking: Asking, answer: object) -> None:
    if answer:
        (asking.folder / "answer.json").write_text(json.dumps(answer))
    assert asking.run() == "unknown"
    assert "spec" not in asking.wanted("shared")
    assert asking.wanted("shared")["metadata"]["annotations"][BRAKE_ANNOTATION].startswith("off: AWS did not say")


def test_a_release_by_hand_ends_with_its_month(asking: Asking) -> None:
    asking.answer({80})
    assert asking.run(released_in=datetime.now(UTC).strftime("%Y-%m")) == "released"
    assert "spec" not in asking.wanted("shared")
    assert asking.run(released_in="2026-01") == "on"


def test_pools_of_what_is_paid_anyway_are_let_go_and_never_held(asking: Asking) -> None:
    asking.answer({80})
    asking.run()
    assert asking.wanted("reserved") == {
        "apiVersion": versions.NODE_POOL_API,
        "kind": "NodePool",
        "metadata": {"name": "reserved"},
    }


def test_aws_knows_the_question(asking: Asking) -> None:
    asking.answer(set())
    asking.run()
    service, command, *options = json.loads((asking.folder / "asked.json").read_text())
    assert command == "describe-notifications-for-budget"
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given.pop("--output") == "text"
    del given["--query"]
    asked = {"".join(part.title() for part in key.strip("-").split("-")): value for key, value in given.items()}
    operation = get_session().get_service_model(service).operation_model("DescribeNotificationsForBudget")
    report = ParamValidator().validate(asked, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert asked == {"AccountId": ACCOUNT, "BudgetName": "ml"}


@pytest.mark.parts
def test_moto_describes_the_budget_as_these_tests_do() -> None:
    from moto import mock_aws  # noqa: PLC0415

    written = notifications({50, 80})
    with mock_aws():
        budgets = boto3.client("budgets", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        limit = {"Amount": "400", "Unit": "USD"}
        budgets.create_budget(
            AccountId=ACCOUNT,
            Budget={"BudgetName": "ml", "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"},
            NotificationsWithSubscribers=[
                {"Notification": each, "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}]}
                for each in written
            ],
        )
        described = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName="ml")["Notifications"]
    assert described == written


@pytest.mark.parametrize(
    ("action", "resource", "decision"),
    [
        ("budgets:ViewBudget", BUDGET, "allowed"),
        ("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/ml-prod", "not allowed"),
        ("budgets:ModifyBudget", BUDGET, "not allowed"),
        ("budgets:ExecuteBudgetAction", f"{BUDGET}/action/1", "not allowed"),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::instance/*", "not allowed"),
    ],
)
def test_its_role_reads_one_budget(action: str, resource: str, decision: str) -> None:
    policy = json.loads(made().one("aws:iam/policy:Policy").inputs["policy"])
    assert decide([policy], action, resource, {}) == decision


def test_only_its_own_account_takes_the_role_and_changes_the_pools() -> None:
    recording = made()
    association = recording.one("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    assert (association["namespace"], association["serviceAccount"]) == (NAMESPACE, NAME)
    (rule,) = recording.one("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole").inputs["rules"]
    assert rule == {
        "apiGroups": ["karpenter.sh"],
        "resources": ["nodepools"],
        "resourceNames": ["shared", "large", "reserved"],
        "verbs": ["patch"],
    }
    assert pod()["serviceAccountName"] == NAME


def test_the_token_is_for_the_container_that_speaks_to_the_api_server() -> None:
    assert pod()["automountServiceAccountToken"] is False
    mounted = {
        container["name"]
        for container in (*pod()["initContainers"], *pod()["containers"])
        if any(mount["name"] == "token" for mount in container["volumeMounts"])
    }
    assert mounted == {"apply"}


def test_the_job_comes_after_its_rights_and_goes_before_them() -> None:
    recording = made()
    job = recording.one("kubernetes:batch/v1:CronJob")
    for type_ in (
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    ):
        assert recording.outlives(recording.one(type_), job)


def test_its_pod_fits_what_the_system_nodes_count() -> None:
    """The kubelet counts the larger of the two, since one ends before the other begins."""
    for container in (*pod()["initContainers"], *pod()["containers"]):
        requests = {"cpu": f"{SOFT_BRAKE_POD.cpu_millis}m", "memory": f"{SOFT_BRAKE_POD.memory_mib}Mi"}
        assert container["resources"]["requests"] == requests


def test_every_gpu_has_memory_beside_it() -> None:
    """A limit of no memory holds whatever a pool may buy."""
    assert all(each.memory_mib > 0 for each in INSTANCE_TYPES.values())
