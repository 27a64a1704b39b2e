"""What `slices check` says of capacity reservations."""

from __future__ import annotations

from typing import Any, cast

import pytest

from account.preflight.requirement import Sight, findings
from account.preflight.reservations import requirements
from account.session import Account
from plan.make import Plan
from tests.unit.account.test_existing import DENIED, Answers, config

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


def reservation(name: str = "cr-1", kind: str = "g6.xlarge", count: int = 4, state: str = "active") -> dict[str, Any]:
    return {"CapacityReservationId": name, "InstanceType": kind, "TotalInstanceCount": count, "State": state}


def check(answer: Any) -> tuple[str, str, Answers]:
    account = Answers({"describe_capacity_reservations": answer})
    (needed,) = requirements(STACK)
    ((_, found),) = findings([needed], Sight(cast(Plan, None), STACK, cast(Account, account)))
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
        (DENIED, "unseen", "denied"),
    ],
)
def test_what_is_wrong_with_them_is_said(answer: Any, status: str, words: str) -> None:
    found, detail, _ = check(answer)
    assert found == status
    assert words in detail


def test_pools_that_buy_ask_for_none() -> None:
    assert requirements(config()) == []
