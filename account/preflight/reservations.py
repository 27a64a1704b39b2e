"""Capacity reservations that pools use: whether they are there, are of their types, and as large as the pool says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from account.commands import Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Found, Unseen
from config.pool_schema import GpuPool, ReservationTerm
from config.schema import StackConfig
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool

TOPIC = "Capacity"


def requirements(config: StackConfig) -> list[Requirement]:
    """One for each pool of reserved capacity."""
    return [_pool(pool, config) for pool in config.pools if pool.capacity_reservation_selector_terms]


def _pool(pool: GpuPool, config: StackConfig) -> Requirement:
    terms = pool.capacity_reservation_selector_terms
    return Requirement(
        topic=TOPIC,
        what=f"pool {pool.name}: its capacity reservations are active, for {pool.max_gpus} GPUs of its types",
        look=[_look(term, config.region) for term in terms],
        judge=partial(_judge, pool, config.gpu_pools[pool.name]),
    )


def _filters(term: ReservationTerm) -> Mapping[str, str]:
    """As EC2 filters reservations; `*` stands for any value there as in an EC2NodeClass."""
    owner = {"owner-id": term.owner_id} if term.owner_id else {}
    return {**{f"tag:{key}": value for key, value in term.tags.items()}, **owner}


def _look(term: ReservationTerm, region: str) -> Command:
    query = "CapacityReservations[].[CapacityReservationId,State,InstanceType,TotalInstanceCount]"
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
    return _verdict(pool, [each for each in found.values() if each["State"] == "active"])


def _verdict(pool: Pool, active: list[Mapping[str, Any]]) -> Verdict:
    names = {each.name for each in pool.types}
    fitting = [each for each in active if each["InstanceType"] in names]
    if not fitting:
        there = ", ".join(sorted({each["InstanceType"] for each in active})) or "none is active"
        return Missing(f"none of {', '.join(sorted(names))} is: {there}; the pool would never have a node")
    gpus = sum(each["TotalInstanceCount"] * INSTANCE_TYPES[each["InstanceType"]].gpu_count for each in fitting)
    if gpus != pool.max_gpus:
        return Note(f"they have {gpus} GPUs, and all of them are paid: write maxGpus: {gpus}, so that the bill says so")
    return Ok(f"{len(fitting)} with {gpus} GPUs")
