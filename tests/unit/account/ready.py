"""A stack that has everything, and an account in which it can be built."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from account.preflight.access import SPOT_ROLE
from account.preflight.requirement import Sight
from account.session import Found
from config.load import parse
from gpu.contract import STACK_TAG
from plan.figures import figures
from plan.make import Plan
from plan.project import StackFile, find_project, load_stack
from plan.record import record
from tests.plan.conftest import ROOT
from tests.plan.variants import DIGEST
from tests.unit.account.world import ACCOUNT, REGION, ApiError, Parameters, World, moto
from versions import EKS_ADDON_VERSIONS

ADDRESS = "18.32.7.9"
SNAPSHOT = "snap-0a1b2c3d4e5f60718"
ZONE = "Z04ABCDEFGHIJ"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0f5c1a2b-1111-2222-3333-0123456789ab"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/trainer:1.2"
TIME_SLICING = {"strategy": "time-slicing", "replicas": 2}

#: Keys of the stack file.
VALUES: dict[str, Any] = {
    "cluster": {
        "publicAccessCidrs": [f"{ADDRESS}/32"],
        "admins": [f"arn:aws:iam::{ACCOUNT}:role/team/Admin"],
        "viewers": [f"arn:aws:iam::{ACCOUNT}:user/reader", "arn:aws:iam::600000000001:role/Elsewhere"],
    },
    "network": {"zoneIds": ["use1-az1", "use1-az4"]},
    "cpuPools": [{"name": "x86", "arch": "amd64"}],
    "pools": [
        {"name": "p", "instanceFamilies": ["g6", "g5"], "gpusPerNode": [1], "maxGpus": 4, "sharing": TIME_SLICING},
        {
            "name": "q",
            "instanceFamilies": ["g6"],
            "gpusPerNode": [1],
            "maxGpus": 2,
            "sharing": TIME_SLICING,
            "ami": "bottlerocket",
            "volume": {"snapshotId": SNAPSHOT, "sizeGib": 200},
        },
        {
            "name": "paid",
            "instanceTypes": ["g6.xlarge"],
            "maxGpus": 1,
            "sharing": TIME_SLICING,
            "capacityType": "on-demand",
            "onDemand": {
                "justification": "GPU-1: the support chat must answer during Spot shortages",
                "expires": (date.today() + timedelta(days=60)).isoformat(),
            },
        },
        {"name": "cut", "instanceTypes": ["p5.4xlarge"], "maxGpus": 1, "sharing": {"strategy": "none"}},
    ],
    "models": [
        {"name": "a", "model": "llama3.2:3b", "pool": "p"},
        {"name": "b", "model": "llama3.2:3b", "pool": "p"},
    ],
    "serving": {"door": {"domain": "chat.acme.dev", "hostedZoneId": ZONE, "certificateArn": CERTIFICATE}},
    "workloads": [
        {"name": "train", "pool": "p", "kind": "Job", "containers": [{"name": "t", "image": IMAGE, "slots": 1}]}
    ],
    "dialogue": {"speakers": ["a", "b"], "image": "build"},
    "budget": {"monthlyUsd": 1000, "emails": ["platform@acme.dev"]},
    "tags": {},
    "examples": True,
}


@cache
def ready_plan(mirror: str | None = None, *, more: bool = False) -> Plan:
    """The plan of the stack, without the judgement of the policies. mirror: where its images come from. more: with what
    has names of its own and is off by default."""
    project = find_project(ROOT)
    dev = load_stack(project, "dev")
    cluster = {**VALUES["cluster"], **({"registryMirror": mirror} if mirror else {})}
    given = {**VALUES, "cluster": cluster}
    if more:
        given |= {"monitoring": {"backend": "cloudwatch"}, "budget": {**VALUES["budget"], "anomalies": True}}
        given |= {"dialogue": {**VALUES["dialogue"], "store": "dynamodb"}}
    values = {**dev.values, **{f"gpu-slices:{key}": json.dumps(value) for key, value in given.items()}}
    config = StackFile(stack="acme", values=values)
    recording = record(project, config)
    parsed = parse(given, stack="acme", region=REGION)
    return Plan(recording=recording, figures=figures(parsed), verdicts=(), notes=())


def sight(world: World, plan: Plan | None = None) -> Sight:
    """The account, seen with the stack in mind, from the address that the stack file allows."""
    plan = plan or ready_plan()
    assert plan.figures
    seen = Sight(plan, plan.figures.config, world)
    seen.__dict__["address"] = Found(ADDRESS)
    return seen


def make_ready(world: World) -> None:
    """Make and plant everything that the stack needs."""
    iam, ecr = moto("iam"), moto("ecr")
    # moto gives the role of create_service_linked_role another name than AWS does.
    iam.create_role(RoleName=SPOT_ROLE, AssumeRolePolicyDocument="{}", Path="/aws-service-role/spot.amazonaws.com/")
    iam.create_role(Path="/team/", RoleName="Admin", AssumeRolePolicyDocument="{}")
    iam.create_user(UserName="reader")
    ecr.create_repository(repositoryName="team/trainer")
    ecr.put_image(repositoryName="team/trainer", imageManifest=json.dumps(_MANIFEST), imageTag="1.2")
    names = [r.inputs["addonName"] for r in ready_plan().recording.of_type("aws:eks/addon:Addon")]
    quotas = world.quotas = {}  # type: ignore[attr-defined]

    def quota(parameters: Parameters) -> dict[str, Any]:
        code = parameters["QuotaCode"]
        metric = {
            "MetricNamespace": "AWS/Usage",
            "MetricName": "ResourceCount",
            "MetricDimensions": {"Class": code},
            "MetricStatisticRecommendation": "Maximum",
        }
        return {"Quota": {"QuotaCode": code, "Value": float(quotas.get(code, 5000)), "UsageMetric": metric}}

    def addon(parameters: Parameters) -> dict[str, Any]:
        known = [parameters["addonName"]] if parameters["addonName"] in names else []
        pinned = EKS_ADDON_VERSIONS[parameters["kubernetesVersion"]]
        return {"addons": [{"addonName": name, "addonVersions": [{"addonVersion": pinned[name]}]} for name in known]}

    world.planted |= {
        "service-quotas:GetServiceQuota": quota,
        "cloudwatch:GetMetricStatistics": lambda _: {"Datapoints": []},
        "ce:ListCostAllocationTags": lambda _: {"CostAllocationTags": [_tag("Active")]},
        "ec2:GetSpotPlacementScores": lambda _: {
            "SpotPlacementScores": [
                {"Region": REGION, "AvailabilityZoneId": zone, "Score": 9} for zone in ("use1-az1", "use1-az4")
            ]
        },
        "eks:DescribeClusterVersions": lambda _: {
            "clusterVersions": [
                {"clusterVersion": ready_config().cluster.version, "versionStatus": "STANDARD_SUPPORT"},
                {"clusterVersion": "1.30", "versionStatus": "EXTENDED_SUPPORT"},
            ]
        },
        "eks:DescribeAddonVersions": addon,
        "ec2:DescribeSnapshots": lambda _: {
            "Snapshots": [{"SnapshotId": SNAPSHOT, "State": "completed", "VolumeSize": 120}]
        },
        "acm:DescribeCertificate": lambda _: {"Certificate": {"Status": "ISSUED"}},
        "route53:GetHostedZone": lambda _: {
            "HostedZone": {"Id": f"/hostedzone/{ZONE}", "Name": "acme.dev.", "CallerReference": "1"}
        },
    }


def ready_config() -> Any:
    """The stack's configuration."""
    plan = ready_plan()
    assert plan.figures
    return plan.figures.config


def used(points: dict[str, float]) -> Any:
    """An answer of CloudWatch: what is in use, by the quota's code."""

    def answer(parameters: Parameters) -> dict[str, Any]:
        code = parameters["Dimensions"][0]["Value"]
        now = datetime.now(UTC)
        older = {"Timestamp": now - timedelta(minutes=30), "Maximum": 10_000.0}
        return {"Datapoints": [older, {"Timestamp": now, "Maximum": points[code]}] if code in points else []}

    return answer


def _tag(status: str) -> dict[str, str]:
    return {"TagKey": STACK_TAG, "Type": "UserDefined", "Status": status}


def tag_with(status: str) -> Any:
    """An answer of Cost Explorer."""
    return lambda _: {"CostAllocationTags": [_tag(status)]}


def not_found(code: str) -> Any:
    """An answer that says that there is no such thing."""

    def answer(_parameters: Parameters) -> dict[str, Any]:
        raise ApiError(code)

    return answer


_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 7023,
        "digest": DIGEST.removeprefix("@"),
    },
    "layers": [],
}
