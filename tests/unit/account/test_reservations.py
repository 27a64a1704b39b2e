"""What `slices check` says of capacity reservations."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from account.preflight import offers
from account.preflight.requirement import Sight, findings
from account.preflight.reservations import requirements
from account.session import Account
from config.schema import StackConfig
from plan.figures import figures
from plan.make import Plan
from tests.unit.account.test_existing import DENIED, Answers, config
from tests.unit.config.support import changed, parsed

TERMS = [{"id": "cr-0123456789abcdef0"}, {"tags": {"team": "ml"}, "ownerID": "111122223333"}]
STACK = config(
    pools=[
        {
            "name": "held",
            "instanceTypes": ["g6.xlarge", "g6.12xlarge"],
            "maxGpus": 4,
            "sharing": {"strategy": "time-slicing", "replicas": 3},
            "capacityType": "reserved",
            "capacityReservationSelectorTerms": TERMS,
            "onDemand": {"justification": "GPU-142: must answer during Spot shortages", "expires": "2027-03-31"},
        }
    ]
)


POOL = {
    "name": "block",
    "instanceTypes": ["p5.4xlarge"],
    "maxGpus": 4,
    "sharing": {"strategy": "none"},
    "capacityType": "reserved",
    "capacityReservationType": "capacity-block",
    "capacityReservationSelectorTerms": TERMS[:1],
    "upfrontFeeUsd": 9000,
    "terminationGracePeriod": "10m",
    "onDemand": {"justification": "GPU-142: the training run of the quarter", "expires": "2027-03-31"},
}
BLOCK = parsed(changed({"models": [], "workloads": [], "dialogue": {}, "examples": False, "pools": [POOL]}))
BEGINS, ENDS = datetime(2026, 12, 1, 11, 30, tzinfo=UTC), datetime(2026, 12, 8, 11, 30, tzinfo=UTC)


def reservation(
    name: str = "cr-1", kind: str = "g6.xlarge", count: int = 4, state: str = "active", **more: Any
) -> dict[str, Any]:
    each = {"CapacityReservationId": name, "InstanceType": kind, "TotalInstanceCount": count, "State": state}
    return {"ReservationType": "default", "AvailabilityZoneId": "use1-az1", **each, **more}


def block(**more: Any) -> dict[str, Any]:
    times = {"StartDate": BEGINS, "EndDate": ENDS}
    return reservation(kind="p5.4xlarge", **{"ReservationType": "capacity-block", **times, **more})


def check(answer: Any, stack: StackConfig = STACK) -> tuple[str, str, Answers]:
    account = Answers({"describe_capacity_reservations": answer})
    (needed,) = requirements(stack)
    ((_, found),) = findings([needed], Sight(cast(Plan, None), stack, cast(Account, account)))
    return found.status, found.detail, account


def test_reservations_are_asked_for_by_id_and_by_tags() -> None:
    status, detail, account = check([reservation()])
    assert (status, detail) == ("ok", "1 with 4 GPUs"), "found by both terms, and counted once"
    by_id, by_tags = (parameters for _, parameters in account.asked)
    assert by_id["CapacityReservationIds"] == ["cr-0123456789abcdef0"]
    assert by_tags["Filters"] == [
        {"Name": "tag:team", "Values": ["ml"]},
        {"Name": "owner-id", "Values": ["111122223333"]},
    ]


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (None, "missing", "there is no cr-0123456789abcdef0 in us-east-1"),
        ([], "missing", "none is active"),
        ([reservation(state="expired")], "missing", "none is active"),
        ([reservation(kind="p5.48xlarge")], "missing", "p5.48xlarge; the pool would never have a node"),
        ([reservation(count=1), reservation("cr-2", "g6.12xlarge", 2)], "note", "have 9 GPUs"),
        ([block(InstanceType="g6.xlarge")], "missing", "cr-1: AWS says capacity-block. Write capacityReservationType"),
        (DENIED, "unseen", "denied"),
    ],
)
def test_what_is_wrong_with_them_is_said(answer: Any, status: str, words: str) -> None:
    found, detail, _ = check(answer)
    assert found == status
    assert words in detail


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ([block()], "ok", "1 with 4 GPUs, to 2026-12-08 11:30 UTC; Karpenter ends its nodes at 2026-12-08 10:50 UTC"),
        ([block(state="scheduled")], "note", "none has begun: the first does at 2026-12-01 11:30 UTC"),
        ([block(state="payment-failed")], "missing", "none is active"),
        (
            [block(ReservationType="default")],
            "missing",
            "cr-1: AWS says default. Write capacityReservationType: default",
        ),
        ([block(AvailabilityZoneId="use1-az9")], "missing", "they are in use1-az9, where the network has no subnet"),
        ([block(count=2)], "note", "they have 2 GPUs, to 2026-12-08 11:30 UTC; Karpenter ends its nodes at"),
        ([block(count=2)], "note", "All of them are paid: write maxGpus: 2, so that the bill says so"),
    ],
)
def test_a_capacity_block_is_told_with_its_end(answer: Any, status: str, words: str) -> None:
    found, detail, _ = check(answer, BLOCK)
    assert (found, words in detail) == (status, True), detail


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (1, ("ok", "1 with 4 GPUs, to 2026-12-08 11:30 UTC; Karpenter ends its nodes at 2026-12-08 10:50 UTC")),
        (2, ("note", "maxGpus of first and second is 5 together, write 4, so that the bill says so")),
    ],
)
def test_pools_that_share_a_block_part_its_gpus(second: int, said: tuple[str, str]) -> None:
    pools = [{**POOL, "name": "first", "maxGpus": 3}, {**POOL, "name": "second", "maxGpus": second}]
    stack = parsed(changed({"models": [], "workloads": [], "dialogue": {}, "examples": False, "pools": pools}))
    account = cast(Account, Answers({"describe_capacity_reservations": [block()]}))
    told = [found for _, found in findings(requirements(stack), Sight(cast(Plan, None), stack, account))]
    assert len(told) == 2
    for each in told:
        assert (each.status, said[1] in each.detail) == (said[0], True), each.detail


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["capacity-block"], ("ok", "p5.4xlarge")),
        (["on-demand", "spot"], ("missing", "not sold in capacity blocks: p5.4xlarge")),
    ],
)
def test_types_of_a_block_are_sold_in_blocks_and_need_no_other_way(classes: list[str], said: tuple[str, str]) -> None:
    account = Answers(
        {
            "describe_instance_types": [{"InstanceType": "p5.4xlarge", "SupportedUsageClasses": classes}],
            "describe_instance_type_offerings": [
                {"InstanceType": "p5.4xlarge", "Location": zone} for zone in BLOCK.zones
            ],
        }
    )
    plan = cast(Plan, SimpleNamespace(figures=figures(BLOCK)))
    needed = offers._pool(BLOCK.gpu_pools["block"], BLOCK)
    assert needed.what == "pool block: its types are there in capacity blocks in the stack's zones"
    ((_, found),) = findings([needed], Sight(plan, BLOCK, cast(Account, account)))
    assert (found.status, said[1] in found.detail) == (said[0], True), found.detail


def test_pools_that_buy_ask_for_none() -> None:
    assert requirements(config()) == []
