"""Service quotas: how much of each the stack needs, at least and at most, and what the account has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, assert_never

from account.commands import Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Answer, Found, Unseen
from config.schema import StackConfig
from gpu.catalog import InstanceType
from gpu.prices import CapacityType
from plan.figures import Figures
from plan.make import Plan

TOPIC = "Quotas"


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas: its service and code, and AWS' name."""

    service: str
    code: str
    name: str


# Codes and names: EC2 developer guide, "Amazon EC2 instance type quotas", whose tables link every code.
SPOT_G = Quota("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests")
SPOT_P4 = Quota("ec2", "L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests")
SPOT_P5 = Quota("ec2", "L-C4BD4855", "All P5 Spot Instance Requests")
SPOT_STANDARD = Quota("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")
ON_DEMAND_G = Quota("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances")
ON_DEMAND_P = Quota("ec2", "L-417A185B", "Running On-Demand P instances")
ON_DEMAND_STANDARD = Quota("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
STANDARD: Mapping[CapacityType, Quota] = {"spot": SPOT_STANDARD, "on-demand": ON_DEMAND_STANDARD}


def gpu_quota(family: str, capacity_type: CapacityType) -> Quota | None:
    """The vCPU quota of a family such as `g6`; None for P6 on Spot, for which AWS documents none."""
    in_g = family.startswith("g")
    match capacity_type:
        case "on-demand":
            return ON_DEMAND_G if in_g else ON_DEMAND_P
        case "spot":
            generation = family[1]
            return SPOT_G if in_g else {"2": SPOT_P4, "3": SPOT_P4, "4": SPOT_P4, "5": SPOT_P5}.get(generation)
        case _:
            assert_never(capacity_type)


@dataclass(frozen=True)
class Need:
    """vCPUs of a quota that the stack needs to begin with, and with all that it may have at a time."""

    least: int
    most: int
    users: tuple[str, ...]

    def __add__(self, other: Need) -> Need:
        return Need(self.least + other.least, self.most + other.most, (*self.users, *other.users))


def needs(config: StackConfig, figures: Figures) -> Mapping[Quota, Need]:
    """What the stack needs of each vCPU quota: system nodes, CPU pools, GPU pools.

    Not what is reserved: a reservation counts from the day it is made, used or not, once, whichever pools name it (EC2
    user guide, "On-Demand Capacity Reservations", Limitations), and instances in a Capacity Block never do ("Capacity
    Blocks for ML", Considerations).
    """
    found: dict[Quota, Need] = {}

    def add(quota: Quota, need: Need) -> None:
        found[quota] = found[quota] + need if quota in found else need

    for pool in figures.pools:
        if pool.purchase == "reserved":
            continue
        for quota, types in _by_quota(pool.types, pool.capacity_type).items():
            least = min(t.vcpus for t in types) * (pool.static or 1)
            add(quota, Need(least, most_vcpus(types, pool.max_gpus), (f"pool {pool.name}",)))
        for quota, types in _by_quota(pool.types if pool.fallback else (), "on-demand").items():
            # Only where Spot is out.
            add(quota, Need(0, most_vcpus(types, pool.max_gpus), (f"pool {pool.name}",)))
    for cpu_pool in config.cpu_pools:
        # Of both Karpenter takes Spot first, so on-demand need not be there to begin with.
        for index, capacity_type in enumerate(sorted(cpu_pool.capacity_types, reverse=True)):
            add(
                STANDARD[capacity_type],
                Need(0 if index else min(cpu_pool.cpus), cpu_pool.limit_cpus, (f"pool {cpu_pool.name}",)),
            )
    if config.cluster.existing:
        return found
    nodes = config.cluster.system_nodes
    sizes = [graviton_vcpus(name) for name in nodes.instance_types]
    add(STANDARD[nodes.capacity_type], Need(nodes.desired * min(sizes), nodes.max * max(sizes), ("system nodes",)))
    return found


def _by_quota(types: Iterable[InstanceType], capacity_type: CapacityType) -> Mapping[Quota, list[InstanceType]]:
    groups: dict[Quota, list[InstanceType]] = {}
    for each in types:
        quota = gpu_quota(each.family, capacity_type)
        if quota:
            groups.setdefault(quota, []).append(each)
    return groups


def most_vcpus(types: Sequence[InstanceType], max_gpus: int) -> int:
    """Most vCPUs that whole nodes of the types have together when they have at most so many GPUs."""
    best = [0] * (max_gpus + 1)
    for gpus in range(1, max_gpus + 1):
        choices = [best[gpus - t.gpu_count] + t.vcpus for t in types if t.gpu_count <= gpus]
        best[gpus] = max([best[gpus - 1], *choices])
    return best[max_gpus]


def graviton_vcpus(name: str) -> int:
    """vCPUs of a Graviton type from `large` to `4xlarge`, the sizes that system nodes may have (EC2 user guide)."""
    size = name.partition(".")[2]
    return {"large": 2, "xlarge": 4}.get(size) or 4 * int(size.removesuffix("xlarge"))


@dataclass(frozen=True)
class Counted:
    """A quota on things that are counted: what lists those that are there."""

    quota: Quota
    service: str
    operation: str
    items: str
    noun: str


#: By type of the resource in the plan. Codes: the Service Quotas pages of Amazon VPC and Amazon EKS.
COUNTED: Mapping[str, Counted] = {
    "eks:index:Cluster": Counted(Quota("eks", "L-1194D53C", "Clusters"), "eks", "list_clusters", "clusters[]", "EKS"),
    "aws:ec2/vpc:Vpc": Counted(Quota("vpc", "L-F678F1CE", "VPCs per Region"), "ec2", "describe_vpcs", "Vpcs[]", "VPC"),
    "aws:ec2/internetGateway:InternetGateway": Counted(
        Quota("vpc", "L-A4707A72", "Internet gateways per Region"),
        "ec2",
        "describe_internet_gateways",
        "InternetGateways[]",
        "internet gateway",
    ),
    "aws:ec2/eip:Eip": Counted(
        Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs"), "ec2", "describe_addresses", "Addresses[]", "address"
    ),
}


def requirements(plan: Plan, config: StackConfig, figures: Figures) -> list[Requirement]:
    """Every quota that the stack counts against."""
    found = [_vcpus(quota, need, config.region) for quota, need in needs(config, figures).items()]
    undocumented = sorted(
        {t.family for pool in figures.pools for t in pool.types if gpu_quota(t.family, pool.capacity_type) is None}
    )
    if undocumented:
        found.append(_undocumented(undocumented, config.region))
    for type_, counted in COUNTED.items():
        number = len(plan.recording.of_type(type_))
        if number:
            found.append(_counted(counted, number, config.region))
    return found


def _look(quota: Quota, region: str) -> Command:
    return aws(
        "service-quotas",
        "get-service-quota",
        region=region,
        service_code=quota.service,
        quota_code=quota.code,
        query="Quota.Value",
    )


def _raise(quota: Quota, value: int, region: str) -> Command:
    return aws(
        "service-quotas",
        "request-service-quota-increase",
        region=region,
        service_code=quota.service,
        quota_code=quota.code,
        desired_value=value,
    )


def _undocumented(families: Sequence[str], region: str) -> Requirement:
    query = 'Quotas[?contains(QuotaName, `"Spot"`)].[QuotaCode,QuotaName,Value]'
    look = aws("service-quotas", "list-service-quotas", region=region, service_code="ec2", query=query)
    detail = "AWS documents no Spot quota for it: look for one in the list"
    return Requirement(
        topic=TOPIC,
        what=f"Spot quota of {', '.join(families)}",
        look=[look],
        judge=Note(detail, [look]),
    )


# --- vCPUs ------------------------------------------------------------------------------------------------------------


def _vcpus(quota: Quota, need: Need, region: str) -> Requirement:
    users = ", ".join(need.users)
    return Requirement(
        topic=TOPIC,
        what=f"{quota.name} ({quota.code}): {need.least} vCPUs to begin with, {need.most} at most, for {users}",
        look=[_look(quota, region)],
        judge=partial(_judge_vcpus, quota, need),
    )


def _judge_vcpus(quota: Quota, need: Need, sight: Sight) -> Verdict:
    answer = _value(quota, sight)
    if isinstance(answer, Unseen):
        return answer
    if isinstance(answer, Absent):
        return Unseen(
            "refused", "servicequotas:GetServiceQuota", f"Service Quotas knows no {quota.code} in this region"
        )
    limit = int(answer.value["Value"])
    alone = _against(quota, need, sight, limit=limit, used=None)
    if sight.up is True:
        # Its own nodes are among those that run; what is left says nothing.
        return alone
    match _in_use(answer.value, sight):
        case Found(used):
            verdict = _against(quota, need, sight, limit=limit, used=math.ceil(used))
        case Absent():
            verdict = alone
        case Unseen() as unseen:
            verdict = unseen
    if isinstance(alone, Missing):
        # Too low is too low, whatever is in use.
        return verdict if isinstance(verdict, Missing) else alone
    # What is in use may be the stack's own.
    return sight.up if isinstance(verdict, Missing) and isinstance(sight.up, Unseen) else verdict


def _against(quota: Quota, need: Need, sight: Sight, *, limit: int, used: int | None) -> Verdict:
    said = f"the account has {limit}" + (f", of which {used} are in use" if used is not None else "")
    free = limit - (used or 0)
    mend = [_raise(quota, (used or 0) + need.most, sight.config.region)]
    if free < need.least:
        return Missing(said, mend)
    if free < need.most:
        return Note(f"{said}: enough to begin with, not for all that the stack file allows", mend)
    return Ok(said)


def _value(quota: Quota, sight: Sight) -> Answer[Mapping[str, Any]]:
    """The quota; where the account never had another value than AWS' own, that one."""
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        answer = sight.account.ask(
            "service-quotas",
            operation,
            absent=["NoSuchResourceException"],
            ServiceCode=quota.service,
            QuotaCode=quota.code,
        )
        if isinstance(answer, Found):
            return Found(answer.value["Quota"])
        if isinstance(answer, Unseen):
            return answer
    return Absent()


def _in_use(quota: Mapping[str, Any], sight: Sight) -> Answer[float]:
    """What CloudWatch last counted against the quota, by the metric that Service Quotas names; Absent without one."""
    metric = quota.get("UsageMetric") or {}
    if not metric.get("MetricName"):
        return Absent()
    now = datetime.now(UTC)
    statistic = metric.get("MetricStatisticRecommendation") or "Maximum"
    answer = sight.account.collect(
        "cloudwatch",
        "get_metric_statistics",
        "Datapoints[]",
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=[{"Name": name, "Value": value} for name, value in metric["MetricDimensions"].items()],
        # The metric comes every five minutes; none at all means that nothing runs.
        StartTime=now - timedelta(hours=1),
        EndTime=now,
        Period=300,
        Statistics=[statistic],
    )
    match answer:
        case Found(points):
            return Found(max(points, key=lambda point: point["Timestamp"])[statistic] if points else 0.0)
        case other:
            return other


# --- Things that are counted ------------------------------------------------------------------------------------------


def _counted(counted: Counted, number: int, region: str) -> Requirement:
    quota = counted.quota
    return Requirement(
        topic=TOPIC,
        what=f"{quota.name} ({quota.code}): {number} more",
        look=[_look(quota, region)],
        judge=partial(_judge_counted, counted, number),
    )


def _judge_counted(counted: Counted, number: int, sight: Sight) -> Verdict:
    if sight.up is True:
        return Ok("the stack is up: its own are there")
    answer = _value(counted.quota, sight)
    if isinstance(answer, Absent):
        return Unseen("refused", "servicequotas:GetServiceQuota", f"Service Quotas knows no {counted.quota.code} here")
    there = sight.account.collect(counted.service, counted.operation, counted.items)
    for each in (answer, there):
        if isinstance(each, Unseen):
            return each
    assert isinstance(answer, Found)
    assert isinstance(there, Found)
    limit, used = int(answer.value["Value"]), len(there.value)
    said = f"the account has {used} of {limit}"
    if used + number > limit:
        if isinstance(sight.up, Unseen):
            return sight.up  # they may be the stack's own
        return Missing(said, [_raise(counted.quota, used + number, sight.config.region)])
    return Ok(said)
