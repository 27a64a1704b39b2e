"""`slices check` against an account that has everything but one thing: it finds that one, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from account.preflight import names, requirements
from account.preflight.requirement import Finding, Missing, Note, Sight, findings
from account.session import Found, Unseen
from cli.check import status_of
from cli.errors import MISSING_ERROR, UNSEEN_ERROR
from gpu.contract import STACK_TAG
from plan.figures import figures
from tests.unit.account.aws_command import problems
from tests.unit.account.ready import ADDRESS, make_ready, ready_config, ready_plan, sight, tag_with, used
from tests.unit.account.world import ACCOUNT, REGION, ApiError, NoConnectionError, World, fail, moto, world

#: What AWS makes anew over one of the same name, or of which it allows several.
WRITTEN_OVER = frozenset(
    {
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
    }
)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    with world(monkeypatch) as account:
        make_ready(account)
        yield account


def check(seen: Sight) -> list[Finding]:
    plan = seen.plan
    assert plan
    assert plan.figures
    needed = requirements(plan, plan.figures)
    found = dict(findings(needed, seen))
    return [found[index] for index in range(len(needed))]


def odd(found: list[Finding]) -> dict[str, str]:
    """What is not ok, beside what no account can change, by what it is about: status and detail."""
    return {
        finding.requirement.what: f"{finding.status}: {finding.verdict}"
        for finding in found
        if finding.status != "ok" and not finding.requirement.what.startswith(ALWAYS_NOTED)
    }


#: The limit of Docker Hub, a principal of another account, and pools of one or two types that EC2 scores low.
ALWAYS_NOTED = ("pulls from Docker Hub", "arn:aws:iam::600000000001:role/Elsewhere")


def test_an_account_that_has_everything_is_ok(ready: World) -> None:
    found = check(sight(ready))
    assert odd(found) == {}
    assert status_of(found) == 0
    assert len(found) > 40


def test_it_only_reads(ready: World) -> None:
    check(sight(ready))
    operations = {operation.partition(":")[2] for operation, _ in ready.asked}
    assert len(operations) > 20
    assert {operation for operation in operations if not operation.startswith(("Get", "Describe", "List"))} == set()


# --- One thing missing ------------------------------------------------------------------------------------------------

Plant = Callable[[World], Any]


def quota(code: str, value: int) -> Plant:
    return lambda account: account.quotas.update({code: value})  # type: ignore[attr-defined]


def planted(operation: str, answer: Any) -> Plant:
    return lambda account: account.planted.update({operation: answer})


def without_types(*names: str) -> Plant:
    """Zones no longer offer the types."""

    def plant(account: World) -> None:
        answer = account.collect(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings[]",
            LocationType="availability-zone-id",
            Filters=[{"Name": "location", "Values": ["use1-az1", "use1-az4"]}],
        )
        assert isinstance(answer, Found)
        left = [each for each in answer.value if each["InstanceType"] not in names]
        account.planted["ec2:DescribeInstanceTypeOfferings"] = lambda _: {"InstanceTypeOfferings": left}

    return plant


def other_class(name: str, *classes: str) -> Plant:
    """A type is not sold as before."""

    def plant(account: World) -> None:
        answer = account.collect("ec2", "describe_instance_types", "InstanceTypes[].[InstanceType]")
        assert isinstance(answer, Found)
        names = [each for (each,) in answer.value]
        account.planted["ec2:DescribeInstanceTypes"] = lambda _: {
            "InstanceTypes": [
                {
                    "InstanceType": each,
                    "SupportedUsageClasses": list(classes) if each == name else ["on-demand", "spot"],
                }
                for each in names
            ]
        }

    return plant


def zones(*states: tuple[str, str, str]) -> Any:
    listed = [
        {"ZoneId": zone, "State": state, "OptInStatus": opted, "ZoneType": "availability-zone"}
        for zone, state, opted in states
    ]
    return lambda _: {"AvailabilityZones": listed}


def region_status(status: str) -> Any:
    return lambda _: {"Regions": [{"RegionName": REGION, "OptInStatus": status}]}


def key_waits(account: World) -> None:
    kms = moto("kms")
    key = kms.create_key(Tags=[{"TagKey": STACK_TAG, "TagValue": "acme"}])["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)


def alias_left(account: World) -> None:
    kms = moto("kms")
    kms.create_alias(AliasName="alias/gpu-slices-acme/data", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def foreign_cluster(account: World) -> None:
    make_cluster({STACK_TAG: "another"})


def make_cluster(tags: dict[str, str]) -> None:
    moto("eks").create_cluster(
        name="gpu-slices-acme", roleArn=f"arn:aws:iam::{ACCOUNT}:role/r", resourcesVpcConfig={}, tags=tags
    )


BUDGET = {"BudgetName": "gpu-slices-acme", "TimeUnit": "MONTHLY", "BudgetType": "COST"}


def budget_left(account: World) -> None:
    moto("budgets").create_budget(AccountId=ACCOUNT, Budget={**BUDGET, "BudgetLimit": {"Amount": "1", "Unit": "USD"}})


def four_more_vpcs(account: World) -> None:
    quota("L-F678F1CE", 5)(account)
    for number in range(4):  # the fifth is the default one
        moto("ec2").create_vpc(CidrBlock=f"10.{number}.0.0/16")


#: What is planted; the beginning of what it is about; status and some words of what is said; how it is mended.
FAULTS: list[tuple[str, Plant, str, str, str]] = [
    (
        "no quota for G on Spot",
        quota("L-3819A6DF", 0),
        "All G and VT Spot",
        "missing: the account has 0",
        "--desired-value 384",
    ),
    ("no quota for P5 on Spot", quota("L-C4BD4855", 8), "All P5 Spot", "missing", "--quota-code L-C4BD4855"),
    ("no quota for G on demand", quota("L-DB2E81BA", 3), "Running On-Demand G", "missing", "--desired-value 4"),
    ("5 vCPUs on demand", quota("L-1216C47A", 3), "Running On-Demand Standard", "missing", "--desired-value 70"),
    ("5 vCPUs on Spot", quota("L-34B43A08", 1), "All Standard", "missing", "--desired-value 64"),
    ("quota for some", quota("L-3819A6DF", 64), "All G and VT Spot", "note: the account has 64", "--desired-value 384"),
    (
        "others use the quota",
        planted("cloudwatch:GetMetricStatistics", used({"L-3819A6DF": 4998})),
        "All G and VT Spot",
        "missing: the account has 5000, of which 4998 are in use",
        "--desired-value 5382",
    ),
    ("no VPC left", four_more_vpcs, "VPCs per Region", "missing: the account has 5 of 5", "--desired-value 6"),
    ("no cluster left", quota("L-1194D53C", 0), "Clusters", "missing", "--service-code eks"),
    ("no address left", quota("L-0263D0A3", 0), "EC2-VPC Elastic IPs", "missing", "--desired-value 1"),
    (
        "Spot's role",
        lambda _: moto("iam").delete_role(RoleName="AWSServiceRoleForEC2Spot"),
        "the account has Spot's service-linked role",
        "missing",
        "aws iam create-service-linked-role --region us-east-1 --aws-service-name spot.amazonaws.com",
    ),
    (
        "an inactive tag",
        planted("ce:ListCostAllocationTags", tag_with("Inactive")),
        STACK_TAG,
        "missing",
        "aws ce update-cost-allocation-tags-status --region us-east-1 --cost-allocation-tags-status",
    ),
    (
        "a tag that Billing has not seen",
        planted("ce:ListCostAllocationTags", lambda _: {"CostAllocationTags": []}),
        STACK_TAG,
        "note: Billing has never seen it",
        "TagKey=gpu-slices/stack,Status=Active",
    ),
    (
        "no admin",
        lambda _: moto("iam").delete_role(RoleName="Admin"),
        "arn:aws:iam::482910365577:role/team/Admin",
        "missing: IAM has no such role",
        "",
    ),
    (
        "no viewer",
        lambda _: moto("iam").delete_user(UserName="reader"),
        "arn:aws:iam::482910365577:user/reader",
        "missing: IAM has no such user",
        "",
    ),
    (
        "the admin is the caller",
        planted(
            "sts:GetCallerIdentity",
            lambda _: {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/me", "UserId": "x"},
        ),
        "arn:aws:iam::482910365577:role/team/Admin",
        "missing: it runs pulumi up itself",
        "",
    ),
    (
        "a closed region",
        planted("ec2:DescribeRegions", region_status("not-opted-in")),
        "us-east-1 is open",
        "missing",
        "aws account enable-region --region us-east-1 --region-name us-east-1",
    ),
    ("no such region", planted("ec2:DescribeRegions", lambda _: {"Regions": []}), "us-east-1 is open", "missing", ""),
    (
        "a zone that the account does not see",
        planted("ec2:DescribeAvailabilityZones", zones(("use1-az1", "available", "opt-in-not-required"))),
        "zones use1-az1, use1-az4",
        "missing: not use1-az4",
        "",
    ),
    (
        "a zone that is not opted in to",
        planted(
            "ec2:DescribeAvailabilityZones",
            zones(("use1-az1", "available", "opted-in"), ("use1-az4", "available", "not-opted-in")),
        ),
        "zones use1-az1, use1-az4",
        "missing: not use1-az4",
        "",
    ),
    (
        "p5 in no zone",
        without_types("p5.4xlarge"),
        "pool cut: its types",
        "missing: in none of use1-az1, use1-az4: p5.4xlarge",
        "",
    ),
    (
        "p5 not on Spot",
        other_class("p5.4xlarge", "on-demand", "capacity-block"),
        "pool cut: its types",
        "missing: not sold on Spot: p5.4xlarge",
        "",
    ),
    ("no system nodes", without_types("m7g.large"), "system nodes", "missing: not in use1-az1, use1-az4", ""),
    (
        "a version EKS left",
        planted(
            "eks:DescribeClusterVersions",
            lambda _: {
                "clusterVersions": [
                    {"clusterVersion": ready_config().cluster.version, "versionStatus": "EXTENDED_SUPPORT"}
                ]
            },
        ),
        "EKS offers",
        "missing: EKS says EXTENDED_SUPPORT",
        "",
    ),
    (
        "the snapshot is not there",
        planted("ec2:DescribeSnapshots", fail(ApiError("InvalidSnapshot.NotFound"))),
        "snapshot snap-0a1b2c3d4e5f60718",
        "missing: us-east-1 has none",
        "",
    ),
    (
        "the snapshot is not complete",
        planted("ec2:DescribeSnapshots", lambda _: {"Snapshots": [{"State": "pending", "VolumeSize": 1}]}),
        "snapshot snap-0a1b2c3d4e5f60718",
        "missing: it is pending",
        "",
    ),
    (
        "the snapshot is too large",
        planted("ec2:DescribeSnapshots", lambda _: {"Snapshots": [{"State": "completed", "VolumeSize": 500}]}),
        "snapshot snap-0a1b2c3d4e5f60718",
        "missing: it is of 500 GiB",
        "",
    ),
    (
        "a certificate that waits",
        planted("acm:DescribeCertificate", lambda _: {"Certificate": {"Status": "PENDING_VALIDATION"}}),
        "certificate arn",
        "missing: ACM says PENDING",
        "",
    ),
    (
        "no certificate",
        planted("acm:DescribeCertificate", fail(ApiError("ResourceNotFoundException"))),
        "certificate arn",
        "missing: ACM has none",
        "",
    ),
    (
        "no hosted zone",
        planted("route53:GetHostedZone", fail(ApiError("NoSuchHostedZone"))),
        "hosted zone",
        "missing: Route 53 has none",
        "",
    ),
    (
        "another hosted zone",
        planted(
            "route53:GetHostedZone", lambda _: {"HostedZone": {"Id": "Z", "Name": "cme.dev.", "CallerReference": "1"}}
        ),
        "hosted zone",
        "missing: it holds cme.dev",
        "",
    ),
    (
        "no image",
        lambda _: moto("ecr").batch_delete_image(repositoryName="team/trainer", imageIds=[{"imageTag": "1.2"}]),
        f"{ACCOUNT}.dkr.ecr",
        "missing: ECR has none",
        "",
    ),
    (
        "no image's repository",
        lambda _: moto("ecr").delete_repository(repositoryName="team/trainer", force=True),
        f"{ACCOUNT}.dkr.ecr",
        "missing: ECR has none",
        "",
    ),
    (
        "EKS made its log group again",
        lambda _: moto("logs").create_log_group(logGroupName="/aws/eks/gpu-slices-acme/cluster"),
        "the log group /aws/eks/gpu-slices-acme/cluster",
        "missing",
        "aws logs delete-log-group --region us-east-1 --log-group-name /aws/eks/gpu-slices-acme/cluster",
    ),
    (
        "an alias is left",
        alias_left,
        "the KMS alias alias/gpu-slices-acme/data",
        "missing",
        "aws kms delete-alias --region us-east-1 --alias-name alias/gpu-slices-acme/data",
    ),
    (
        "a queue is left",
        lambda _: moto("sqs").create_queue(QueueName="gpu-slices-acme-interruption"),
        "the SQS queue",
        "missing",
        "",
    ),
    (
        "a rule is left",
        lambda _: moto("events").put_rule(Name="gpu-slices-acme-spot", EventPattern="{}"),
        "the EventBridge rule gpu-slices-acme-spot",
        "missing",
        "",
    ),
    (
        "a role is left",
        lambda _: moto("iam").create_role(RoleName="gpu-slices-acme-karpenter-node", AssumeRolePolicyDocument="{}"),
        "the IAM role",
        "missing",
        "",
    ),
    (
        "a repository is left",
        lambda _: moto("ecr").create_repository(repositoryName="gpu-slices-acme/dialogue"),
        "the ECR repository",
        "missing",
        "",
    ),
    (
        "a budget is left",
        budget_left,
        "the budget gpu-slices-acme",
        "missing",
        f"aws budgets delete-budget --region us-east-1 --account-id {ACCOUNT} --budget-name gpu-slices-acme",
    ),
    (
        "a topic is left",
        lambda _: moto("sns").create_topic(Name="gpu-slices-acme-alerts"),
        "the SNS topic gpu-slices-acme-alerts",
        "missing",
        f"aws sns delete-topic --region us-east-1 --topic-arn arn:aws:sns:us-east-1:{ACCOUNT}:gpu-slices-acme-alerts",
    ),
    ("a cluster of another stack", foreign_cluster, "the EKS cluster gpu-slices-acme", "missing", ""),
    ("a key waits for its deletion", key_waits, "no KMS key", "note", ""),
]


@pytest.mark.parametrize(
    ("plant", "about", "said", "mended"), [case[1:] for case in FAULTS], ids=[c[0] for c in FAULTS]
)
def test_what_is_missing_is_found_and_nothing_else(
    ready: World, plant: Plant, about: str, said: str, mended: str
) -> None:
    plant(ready)
    found = check(sight(ready))
    wrong = odd(found)
    (what,) = wrong
    assert what.startswith(about)
    (finding,) = [each for each in found if each.requirement.what == what]
    verdict = finding.verdict
    assert isinstance(verdict, Missing | Note)
    assert f"{finding.status}: {verdict.detail}".startswith(said)
    assert [problem for command in verdict.mend for problem in problems(command)] == []
    mends = [" ".join(command) for command in verdict.mend]
    assert any(mended in mend for mend in mends) if mended else mends == []
    assert status_of(found) == (MISSING_ERROR if finding.status == "missing" else 0)


def test_an_address_that_may_not_reach_the_api_server_is_told(ready: World) -> None:
    seen = sight(ready)
    seen.__dict__["address"] = Found("18.32.7.10")
    ((what, said),) = odd(check(seen)).items()
    assert what == f"this machine's public address is in {ADDRESS}/32"
    assert "add 18.32.7.10/32 to gpu-slices:cluster.publicAccessCidrs" in said


def test_a_mirror_in_ecr_needs_a_rule_for_each_registry_it_pulls_through_and_the_rest_is_pushed(ready: World) -> None:
    mirror = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    plan = ready_plan(mirror)

    def rules(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        known = [prefix for prefix in parameters["ecrRepositoryPrefixes"] if prefix != "docker-hub"]
        if not known:
            raise ApiError("PullThroughCacheRuleNotFoundException")
        return {"pullThroughCacheRules": [{"ecrRepositoryPrefix": prefix} for prefix in known]}

    ready.planted["ecr:DescribePullThroughCacheRules"] = rules
    wrong = odd(check(sight(ready, plan)))
    assert f"ECR of {ACCOUNT} in {REGION} has a pull through cache rule for docker-hub" in wrong
    pushed = {what for what in wrong if what.endswith("is in ECR")}
    assert pushed
    assert all(what.startswith((f"{mirror}/nvcr/", f"{mirror}/gcr/")) for what in pushed)
    # Whoever looks by hand gets commands that AWS knows, and nothing comes from Docker Hub itself any more.
    needed = requirements(plan, plan.figures) if plan.figures else []
    looks = [command for each in needed for command in each.look if command[0] == "aws"]
    assert [problem for command in looks for problem in problems(command)] == []
    assert not [each.what for each in needed if each.what.startswith("pulls from Docker Hub")]
    assert {what for what in wrong if "rule for" not in what} == pushed
    (rule,) = [what for what in wrong if "rule for" in what]
    assert "no node could pull" in wrong[rule]


def test_images_that_only_charts_name_need_their_rules_too(ready: World) -> None:
    """Karpenter's, from public.ecr.aws: no container of the plan names it."""
    plan = ready_plan(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
    asked: list[str] = []

    def rules(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.extend(parameters["ecrRepositoryPrefixes"])
        return {"pullThroughCacheRules": [{"ecrRepositoryPrefix": p} for p in parameters["ecrRepositoryPrefixes"]]}

    ready.planted["ecr:DescribePullThroughCacheRules"] = rules
    check(sight(ready, plan))
    assert "ecr-public" in asked


def test_a_low_placement_score_is_told_with_its_reason(ready: World) -> None:
    scores = [{"Region": REGION, "AvailabilityZoneId": "use1-az1", "Score": 3}]
    ready.planted["ec2:GetSpotPlacementScores"] = lambda _: {"SpotPlacementScores": scores}
    found = {finding.requirement.what: finding for finding in check(sight(ready)) if finding.status != "ok"}
    few = found["pool cut: Spot placement score for 1 instance"]
    many = found["pool p: Spot placement score for 4 instances"]
    assert few.status == many.status == "note"
    assert "3 in use1-az1, of 10" in str(few.verdict)
    assert "fewer than 3 types low" in str(few.verdict)
    assert "fewer than 3 types" not in str(many.verdict)
    assert status_of(list(found.values())) == 0


def test_types_that_are_not_all_there_are_told(ready: World) -> None:
    without_types("g5.xlarge", "g5.2xlarge")(ready)
    ((what, said),) = odd(check(sight(ready))).items()
    assert what.startswith("pool p: its types")
    assert said.startswith("note")
    assert "in none of use1-az1, use1-az4: g5.xlarge, g5.2xlarge" in said


def make_up(account: World) -> None:
    """The stack is there, and has taken what it needs."""
    make_cluster({STACK_TAG: "acme"})
    moto("logs").create_log_group(logGroupName="/aws/eks/gpu-slices-acme/cluster")
    moto("sqs").create_queue(QueueName="gpu-slices-acme-interruption")
    four_more_vpcs(account)
    account.planted["cloudwatch:GetMetricStatistics"] = used({"L-3819A6DF": 4998})


def test_a_stack_that_is_up_is_not_in_its_own_way(ready: World) -> None:
    make_up(ready)
    assert odd(check(sight(ready))) == {}


def test_a_stack_that_may_be_up_is_not_told_to_be_in_the_way(ready: World) -> None:
    make_up(ready)
    ready.planted["eks:DescribeCluster"] = fail(ApiError("AccessDeniedException"))
    wrong = odd(check(sight(ready)))
    assert len(wrong) == 5  # cluster, log group, queue, VPCs, vCPUs
    assert all(said.startswith("unseen: could not be looked at: denied, needs eks:Desc") for said in wrong.values())


def test_a_quota_that_was_never_changed_has_its_default(ready: World) -> None:
    ready.planted["service-quotas:GetServiceQuota"] = fail(ApiError("NoSuchResourceException"))
    ready.planted["service-quotas:GetAWSDefaultServiceQuota"] = lambda _: {"Quota": {"Value": 0.0}}
    wrong = odd(check(sight(ready)))
    assert len(wrong) == 9
    assert all(said.startswith("missing: Missing(detail='the account has ") for said in wrong.values())


# --- What cannot be looked at -----------------------------------------------------------------------------------------

#: Error and the word by which a person knows it.
CAUSES = {
    "denied": (ApiError("AccessDeniedException"), "denied, needs "),
    "denied as EC2 says it": (ApiError("UnauthorizedOperation"), "denied, needs "),
    "throttled": (ApiError("ThrottlingException"), "took no more calls"),
    "throttled as EC2 says it": (ApiError("RequestLimitExceeded"), "took no more calls"),
    "no connection": (NoConnectionError(), "no connection"),
    "expired": (ApiError("ExpiredToken"), "the login of AWS_ACCESS_KEY_ID has expired"),
    "an error nobody knows": (ApiError("InternalFailure"), "failed"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_cannot_be_looked_at_is_told_and_never_taken_for_absent(ready: World, cause: str) -> None:
    error, words = CAUSES[cause]
    check(sight(ready))
    operations = {operation for operation, _ in ready.asked} - {"sts:GetCallerIdentity"}
    ready.planted |= {operation: fail(error) for operation in operations}
    found = check(sight(ready))
    asked = [each for each in found if callable(each.requirement.judge)]
    # The caller and its address are known without these operations; another account's role is not asked for.
    assert [each.requirement.topic for each in asked if each.status != "unseen"] == [
        "Credentials",
        "Way to the API server",
        "Access to the cluster",
    ]
    assert {str(each.verdict) for each in asked if each.status == "unseen" and words not in str(each.verdict)} == set()
    assert status_of(found) == UNSEEN_ERROR


def test_each_operation_that_is_denied_is_told(ready: World) -> None:
    """One after the other, since one that fails may hide another."""
    check(sight(ready))
    operations = sorted({operation for operation, _ in ready.asked} - {"sts:GetCallerIdentity"})
    assert len(operations) > 20
    before = ready.planted.copy()
    for operation in operations:
        ready.planted = {**before, operation: fail(ApiError("AccessDenied"))}
        wrong = odd(check(sight(ready)))
        assert wrong, operation
        for said in wrong.values():
            assert said.startswith("unseen: could not be looked at: denied, needs "), (operation, said)


def test_a_call_that_is_denied_names_the_permission(ready: World) -> None:
    denied = fail(ApiError("AccessDenied"))
    ready.planted |= {
        "budgets:DescribeBudget": denied,
        "resourcegroupstaggingapi:GetResources": denied,
        "cloudwatch:GetMetricStatistics": denied,
        "service-quotas:GetServiceQuota": denied,
    }
    said = " ".join(odd(check(sight(ready))).values())
    for permission in ("budgets:ViewBudget", "tag:GetResources", "servicequotas:GetServiceQuota"):
        assert f"denied, needs {permission} " in said


def test_too_low_a_quota_is_missing_whoever_uses_it(ready: World) -> None:
    quota("L-3819A6DF", 0)(ready)
    ready.planted["cloudwatch:GetMetricStatistics"] = fail(ApiError("AccessDenied"))
    said = {what: text.partition(":")[0] for what, text in odd(check(sight(ready))).items()}
    assert said.pop(next(what for what in said if "L-3819A6DF" in what)) == "missing"
    assert set(said.values()) == {"unseen"}


def test_an_unknown_address_is_told(ready: World) -> None:
    seen = sight(ready)
    seen.__dict__["address"] = Unseen("unreachable", "https://checkip.amazonaws.com", "timed out")
    ((_, said),) = odd(check(seen)).items()
    assert said == "unseen: could not be looked at: no connection for https://checkip.amazonaws.com (timed out)"


# --- Derived from the plan --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [False, True], ids=["stack", "with a table, monitoring and anomalies"])
def test_every_name_in_the_plan_is_looked_at(ready: World, more: bool) -> None:
    """Names of resources in AWS are unique in an account and region, so each can be in the way."""
    plan = ready_plan(more=more)
    # Children of something that is new itself, whose names are free: the hosted zone's record, which Pulumi may adopt.
    inside = {"aws:route53/record:Record", *WRITTEN_OVER}
    named = {
        resource.inputs["name"]
        for resource in plan.recording.resources
        if resource.type.startswith(("aws:", "eks:")) and resource.type not in inside and "name" in resource.inputs
    }
    assert len(named) > 12
    looked = " ".join(each.what for each in requirements(plan, plan.figures) if each.topic == names.TOPIC)  # type: ignore[arg-type]
    assert {name for name in named if name not in looked} == set()


def test_a_table_of_the_name_is_in_the_way(ready: World) -> None:
    moto("dynamodb").create_table(
        TableName="gpu-slices-acme-conversations",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    what = "the DynamoDB table gpu-slices-acme-conversations is not there yet"
    assert "it is there, and the stack is not" in odd(check(sight(ready, ready_plan(more=True))))[what]


def test_a_stack_without_spot_needs_no_spot(ready: World) -> None:
    config = ready_config()
    pools = tuple(pool for pool in config.pools if pool.capacity_type == "on-demand")
    paid = config.model_copy(update={"pools": pools, "cpu_pools": (), "models": (), "workloads": (), "dialogue": None})
    plan = replace(ready_plan(), figures=figures(paid))
    assert plan.figures
    needed = requirements(plan, plan.figures)
    assert not [each.what for each in needed if "Spot" in each.what]
