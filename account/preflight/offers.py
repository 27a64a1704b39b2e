"""What the region has: its zones, the stack's instance types in them, EKS' versions and add-ons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from account.commands import HOME_REGION, Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Found, Unseen
from components.cluster.cluster import HOME_ZONES
from config.schema import StackConfig
from gpu.pool import Pool
from plan.figures import Figures
from plan.make import Plan

REGION = "Region and zones"
CAPACITY = "Capacity"
EKS = "EKS"

#: Of fewer types the score is always low (EC2 user guide, "Spot placement score").
_SCORED_TYPES = 3
#: From 1 to 10; 10 is "highly likely to succeed" (EC2 user guide). Below the middle it is worth a word.
_FAIR_SCORE = 5


def requirements(plan: Plan, config: StackConfig, figures: Figures) -> list[Requirement]:
    """The region, the zones, every pool's types, the system nodes' types, EKS' version and its add-ons.

    Of a cluster that is there: the region and the pools; `account.preflight.existing` has the rest.
    """
    makes_cluster = config.cluster.existing is None
    return [
        _region(config),
        *([_zones(config)] if makes_cluster and not config.network.existing else []),
        *(_pool(pool, config) for pool in figures.pools),
        *([_system_nodes(config)] if makes_cluster else []),
        *(_score(pool, config) for pool in figures.pools if pool.capacity_type == "spot"),
        *([_version(config), *_addons(plan, config)] if makes_cluster else []),
    ]


# --- Region and zones -------------------------------------------------------------------------------------------------


def _region(config: StackConfig) -> Requirement:
    return Requirement(
        topic=REGION,
        what=f"{config.region} is open to the account",
        look=[aws("account", "get-region-opt-status", region=HOME_REGION, region_name=config.region)],
        judge=partial(_judge_region, config.region),
    )


def _judge_region(region: str, sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "ec2", "describe_regions", "Regions[]", region=sight.account.home_region, AllRegions=True
    )
    if not isinstance(answer, Found):
        return _unseen(answer)
    status = next((each["OptInStatus"] for each in answer.value if each["RegionName"] == region), None)
    if status is None:
        return Missing("EC2 knows no such region")
    if status == "not-opted-in":
        return Missing(
            "the account has not opted in to it",
            [aws("account", "enable-region", region=HOME_REGION, region_name=region)],
        )
    return Ok(str(status))


def _zones(config: StackConfig) -> Requirement:
    wanted = config.zones
    return Requirement(
        topic=REGION,
        what=f"zones {', '.join(wanted)} are open to the account",
        look=[
            aws(
                "ec2",
                "describe-availability-zones",
                region=config.region,
                query="AvailabilityZones[].[ZoneId,State,OptInStatus]",
            )
        ],
        judge=partial(_judge_zones, wanted),
    )


def _judge_zones(wanted: Sequence[str], sight: Sight) -> Verdict:
    answer = sight.zones
    if not isinstance(answer, Found):
        return _unseen(answer)
    # `impaired` and `information` zones still take subnets and instances (EC2 API reference, "AvailabilityZone").
    known = {each["ZoneId"]: each for each in answer.value if each.get("OptInStatus") != "not-opted-in"}
    out = [zone for zone in wanted if zone not in known or known[zone]["State"] == "unavailable"]
    if out:
        there = ", ".join(sorted(zone for zone, each in known.items() if each.get("ZoneType") == "availability-zone"))
        return Missing(f"not {', '.join(out)}: write others into gpu-slices:network.zoneIds, of {there}")
    impaired = [zone for zone in wanted if known[zone]["State"] != "available"]
    return Note(f"{', '.join(impaired)}: AWS says {known[impaired[0]]['State']}") if impaired else Ok()


# --- Capacity ---------------------------------------------------------------------------------------------------------


def _offerings(names: Sequence[str], region: str) -> Command:
    """In which zones there are such types."""
    return aws(
        "ec2",
        "describe-instance-type-offerings",
        region=region,
        location_type="availability-zone-id",
        filters=f"Name=instance-type,Values={','.join(names)}",
        query="InstanceTypeOfferings[].[InstanceType,Location]",
    )


def _pool(pool: Pool, config: StackConfig) -> Requirement:
    names = [t.name for t in pool.types]
    classes = aws(
        "ec2",
        "describe-instance-types",
        region=config.region,
        filters=f"Name=instance-type,Values={','.join(names)}",
        query="InstanceTypes[].[InstanceType,SupportedUsageClasses]",
    )
    return Requirement(
        topic=CAPACITY,
        what=f"pool {pool.name}: its types are there {_AS[_usage_class(pool)]} in the stack's zones",
        look=[_offerings(names, config.region), classes],
        judge=partial(_judge_pool, pool),
    )


#: How EC2 sells a type (`SupportedUsageClasses`).
UsageClass = Literal["spot", "on-demand", "capacity-block"]
_AS: Mapping[UsageClass, str] = {"spot": "on Spot", "on-demand": "on demand", "capacity-block": "in capacity blocks"}


def _usage_class(pool: Pool) -> UsageClass:
    """How EC2 must sell the pool's types: some are sold in capacity blocks alone."""
    return "capacity-block" if pool.block else pool.capacity_type


def _judge_pool(pool: Pool, sight: Sight) -> Verdict:
    types, offerings = sight.instance_types, sight.offerings
    if not isinstance(types, Found):
        return _unseen(types)
    if not isinstance(offerings, Found):
        return _unseen(offerings)
    wanted, usage_class = sight.config.zones, _usage_class(pool)
    here, absent, other_class = [], [], []
    for name in (t.name for t in pool.types):
        if not any((name, zone) in offerings.value for zone in wanted):
            absent.append(name)
        elif usage_class not in types.value.get(name, {}).get("SupportedUsageClasses", []):
            other_class.append(name)
        else:
            here.append(name)
    out = _listed(
        (f"in none of {', '.join(wanted)}: {', '.join(absent)}", absent),
        (f"not sold {_AS[usage_class]}: {', '.join(other_class)}", other_class),
    )
    if not here:
        where = f"gpu-slices:pools, {pool.name}"
        return Missing(f"{out}: give {where}, other types or another capacityType, or the network other zones")
    return Note(f"{', '.join(here)} are; {out}") if out else Ok(", ".join(here))


def _listed(*parts: tuple[str, Sequence[str]]) -> str:
    return "; ".join(text for text, members in parts if members)


def _system_nodes(config: StackConfig) -> Requirement:
    names = config.cluster.system_nodes.instance_types
    home = config.zones[:HOME_ZONES]
    return Requirement(
        topic=CAPACITY,
        what=f"system nodes: {' or '.join(names)} in {' and '.join(home)}",
        look=[_offerings(names, config.region)],
        judge=partial(_judge_system_nodes, names, home),
    )


def _judge_system_nodes(names: Sequence[str], home: Sequence[str], sight: Sight) -> Verdict:
    offerings = sight.offerings
    if not isinstance(offerings, Found):
        return _unseen(offerings)
    out = [zone for zone in home if not any((name, zone) in offerings.value for name in names)]
    if out:
        keys = "gpu-slices:cluster.systemNodes.instanceTypes, or other first zones into gpu-slices:network.zoneIds"
        return Missing(f"not in {', '.join(out)}: write another type into {keys}")
    return Ok()


def _score(pool: Pool, config: StackConfig) -> Requirement:
    names = [t.name for t in pool.types]
    nodes = -(-pool.max_gpus // max(1, min(t.gpu_count for t in pool.types)))
    return Requirement(
        topic=CAPACITY,
        what=f"pool {pool.name}: Spot placement score for {nodes} instance{'s' if nodes > 1 else ''}",
        look=[
            aws(
                "ec2",
                "get-spot-placement-scores",
                region=config.region,
                region_names=config.region,
                single_availability_zone=True,
                target_capacity=nodes,
                instance_types=names,
                query="SpotPlacementScores[].[AvailabilityZoneId,Score]",
            )
        ],
        judge=partial(_judge_score, names, nodes),
    )


def _judge_score(names: Sequence[str], nodes: int, sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "ec2",
        "get_spot_placement_scores",
        "SpotPlacementScores[]",
        RegionNames=[sight.config.region],
        SingleAvailabilityZone=True,
        TargetCapacity=nodes,
        InstanceTypes=list(names),
    )
    if not isinstance(answer, Found):
        return _unseen(answer)
    wanted = sight.config.zones
    scores = {each["AvailabilityZoneId"]: each["Score"] for each in answer.value if "AvailabilityZoneId" in each}
    ours = {zone: scores[zone] for zone in wanted if zone in scores}
    if not ours:
        return Note("EC2 scores none of the stack's zones")
    said = ", ".join(f"{score} in {zone}" for zone, score in ours.items())
    if max(ours.values()) >= _FAIR_SCORE:
        return Ok(f"{said}, of 10")
    few = f"; EC2 always scores fewer than {_SCORED_TYPES} types low" if len(names) < _SCORED_TYPES else ""
    return Note(f"{said}, of 10: Spot may have none for hours; more families help{few}")


# --- EKS --------------------------------------------------------------------------------------------------------------


def _version(config: StackConfig) -> Requirement:
    return Requirement(
        topic=EKS,
        what=f"EKS offers Kubernetes {config.cluster.version} in standard support",
        look=[
            aws(
                "eks",
                "describe-cluster-versions",
                region=config.region,
                query="clusterVersions[].[clusterVersion,versionStatus]",
            )
        ],
        judge=partial(_judge_version, config.cluster.version),
    )


def _judge_version(version: str, sight: Sight) -> Verdict:
    answer = sight.account.collect("eks", "describe_cluster_versions", "clusterVersions[]", includeAll=True)
    if not isinstance(answer, Found):
        return _unseen(answer)
    status = {each["clusterVersion"]: each.get("versionStatus") for each in answer.value}
    if status.get(version) == "STANDARD_SUPPORT":
        return Ok()
    offered = ", ".join(sorted(each for each, how in status.items() if how == "STANDARD_SUPPORT"))
    return Missing(f"EKS says {status.get(version) or 'nothing of it'}: gpu-slices:cluster.version may be {offered}")


def _addons(plan: Plan, config: StackConfig) -> Iterable[Requirement]:
    for resource in plan.recording.of_type("aws:eks/addon:Addon"):
        name, version = resource.inputs["addonName"], resource.inputs.get("addonVersion")
        yield Requirement(
            topic=EKS,
            what=f"add-on {name}{f' {version}' if version else ''} for Kubernetes {config.cluster.version}",
            look=[
                aws(
                    "eks",
                    "describe-addon-versions",
                    region=config.region,
                    addon_name=name,
                    kubernetes_version=config.cluster.version,
                    query="addons[].addonVersions[].addonVersion",
                )
            ],
            judge=partial(_judge_addon, name, version),
        )


def _judge_addon(name: str, version: str | None, sight: Sight) -> Verdict:
    kubernetes = sight.config.cluster.version
    answer = sight.account.collect(
        "eks",
        "describe_addon_versions",
        "addons[].addonVersions[].addonVersion",
        absent=["ResourceNotFoundException"],
        addonName=name,
        kubernetesVersion=kubernetes,
    )
    if isinstance(answer, Unseen):
        return answer
    known: list[Any] = answer.value if isinstance(answer, Found) else []
    if not known:
        return Missing(f"EKS has no such add-on for Kubernetes {kubernetes} in {sight.config.region}")
    if version and version not in known:
        return Missing(f"EKS has {', '.join(known)}: write one of these into versions.py")
    return Ok()


def _unseen(answer: Absent | Unseen) -> Unseen:
    """These questions are about lists, which are never absent."""
    assert isinstance(answer, Unseen)
    return answer
