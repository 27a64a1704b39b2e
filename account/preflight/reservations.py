"""Capacity reservations and blocks that pools use: whether they are there, and are what the pools say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from account.commands import Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Found, Unseen
from config.errors import listed
from config.pool_schema import GpuPool, ReservationTerm
from config.pools import reservations_shared
from config.schema import StackConfig
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import DRAINED_BEFORE_END, Pool, ReservationType

TOPIC = "Capacity"


def requirements(config: StackConfig) -> list[Requirement]:
    """One for each pool of reserved capacity."""
    return [_pool(pool, config) for pool in config.pools if pool.capacity_reservation_selector_terms]


def _pool(pool: GpuPool, config: StackConfig) -> Requirement:
    terms = pool.capacity_reservation_selector_terms
    kind = "capacity block is" if config.gpu_pools[pool.name].block else "capacity reservations are"
    return Requirement(
        topic=TOPIC,
        what=f"pool {pool.name}: its {kind} active, for {pool.max_gpus} GPUs of its types",
        look=[_look(term, config.region) for term in terms],
        judge=partial(_judge, pool, config.gpu_pools[pool.name]),
    )


def _filters(term: ReservationTerm) -> Mapping[str, str]:
    """As EC2 filters reservations; `*` stands for any value there as in an EC2NodeClass."""
    owner = {"owner-id": term.owner_id} if term.owner_id else {}
    return {**{f"tag:{key}": value for key, value in term.tags.items()}, **owner}


def _look(term: ReservationTerm, region: str) -> Command:
    what = ["CapacityReservationId", "ReservationType", "State", "InstanceType", "TotalInstanceCount"]
    query = f"CapacityReservations[].[{','.join([*what, 'AvailabilityZoneId', 'StartDate', 'EndDate'])}]"
    filters = [f"Name={name},Values={value}" for name, value in _filters(term).items()]
    named: dict[str, Any] = {"capacity_reservation_ids": term.id} if term.id else {"filters": filters}
    return aws("ec2", "describe-capacity-reservations", region=region, query=query, **named)


def _judge(section: GpuPool, pool: Pool, sight: Sight) -> Verdict:
    found: dict[str, Mapping[str, Any]] = {}
    for term in section.capacity_reservation_selector_terms:
        if term.id:
            asked: dict[str, Any] = {"CapacityReservationIds": [term.id]}
        else:
            asked = {"Filters": [{"Name": name, "Values": [value]} for name, value in _filters(term).items()]}
        answer = sight.account.collect(
            "ec2",
            "describe_capacity_reservations",
            "CapacityReservations[]",
            absent=["InvalidCapacityReservationId.NotFound"],
            **asked,
        )
        match answer:
            case Found(reservations):
                found |= {each["CapacityReservationId"]: each for each in reservations}
            case Absent():
                return Missing(f"there is no {term.id} in {sight.config.region}")
            case Unseen() as unseen:
                return unseen
    config = sight.config
    zones = () if config.cluster.existing or config.network.existing else config.zones
    return _verdict(pool, list(found.values()), zones, _sharers(section, config))


def _sharers(section: GpuPool, config: StackConfig) -> Sequence[GpuPool]:
    """The pools that name one of its reservations, itself among them, in the order of the file."""
    others = reservations_shared(section, config.pools)
    return [each for each in config.pools if each is section or each.name in others]


def _verdict(pool: Pool, found: list[Mapping[str, Any]], zones: Collection[str], sharers: Sequence[GpuPool]) -> Verdict:
    """zones: those of the network, by id; empty where somebody's network is not known."""
    kind = [each for each in found if each.get("ReservationType", "default") == pool.reservation_type]
    if found and not kind:
        other: ReservationType = "default" if pool.block else "capacity-block"
        ids = ", ".join(sorted(each["CapacityReservationId"] for each in found))
        return Missing(f"{ids}: AWS says {other}. Write capacityReservationType: {other}; the pool would have no node")
    active = [each for each in kind if each["State"] == "active"]
    # A capacity block is paid weeks before it begins.
    coming = sorted(each["StartDate"] for each in kind if each["State"] == "scheduled" and each.get("StartDate"))
    if coming and not active:
        return Note(f"none has begun: the first does at {_moment(coming[0])}; until then the pool has no node")
    names = {each.name for each in pool.types}
    fitting = [each for each in active if each["InstanceType"] in names]
    if not fitting:
        there = ", ".join(sorted({each["InstanceType"] for each in active})) or "none is active"
        return Missing(f"none of {', '.join(sorted(names))} is: {there}; the pool would never have a node")
    if outside := sorted({each["AvailabilityZoneId"] for each in fitting if zones} - set(zones)):
        return Missing(f"they are in {', '.join(outside)}, where the network has no subnet: add it to network.zoneIds")
    gpus = sum(each["TotalInstanceCount"] * INSTANCE_TYPES[each["InstanceType"]].gpu_count for each in fitting)
    ends = sorted(each["EndDate"] for each in fitting if each.get("EndDate"))
    have = f"{gpus} GPUs{_end(pool, ends[0]) if ends else ''}"
    said = sum(each.max_gpus for each in sharers)
    if gpus == said:
        return Ok(f"{len(fitting)} with {have}")
    remedy = f"write maxGpus: {gpus}"
    if len(sharers) > 1:
        remedy = f"maxGpus of {listed([each.name for each in sharers], 'and')} is {said} together, write {gpus}"
    return Note(f"they have {have}. All of them are paid: {remedy}, so that the bill says so")


def _end(pool: Pool, end: datetime) -> str:
    drained = f"; Karpenter ends its nodes at {_moment(end - DRAINED_BEFORE_END)}" if pool.block else ""
    return f", to {_moment(end)}{drained}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
