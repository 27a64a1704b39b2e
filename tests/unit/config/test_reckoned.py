"""Bills of odd stacks against a second opinion, line by line, with their ceilings and what is between any two."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Any

import pytest

from plan.cost.diff import compared
from plan.cost.revision import Bill
from plan.figures import Figures, figures
from tests.unit.config.reckoner import Nodes, reckon
from tests.unit.config.support import CONTAINER, DEV, ON_DEMAND, changed, parsed

L4: dict[str, Any] = {
    "name": "shared",
    "instanceFamilies": ["g6"],
    "gpusPerNode": [1],
    "maxGpus": 8,
    "sharing": {"strategy": "time-slicing", "replicas": 3},
}
T4 = L4 | {"name": "t4", "instanceFamilies": ["g4dn"], "sharing": {"strategy": "time-slicing", "replicas": 4}}
MIG = {
    "name": "shared",
    "instanceTypes": ["p5.4xlarge"],
    "maxGpus": 4,
    "sharing": {"strategy": "mig", "profile": "1g.10gb"},
}
WHOLE = L4 | {"gpusPerNode": [4], "maxGpus": 16, "sharing": {"strategy": "none"}}
DEAR = L4 | {"capacityType": "on-demand", "onDemand": ON_DEMAND, "sharing": {"strategy": "mps", "replicas": 2}}
MIXED = L4 | {"instanceFamilies": ["g6", "g5", "g4dn"], "gpusPerNode": [1, 4], "maxGpus": 11}
OFFICE = {"slots": 1, "days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}
PAGE = {"speakers": ["m0", "m1"], "image": "ghcr.io/acme/d@sha256:" + "0" * 64}
BASE = {"cluster": DEV["cluster"], "network": {"zoneIds": ["use1-az1", "use1-az2"]}, "pools": [L4]}


def models(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"m{i}", "model": "llama3.2:3b", "pool": "shared", **more} for i in range(count)]


def work(kind: str, replicas: int = 1, slots: int = 1, **more: Any) -> list[dict[str, Any]]:
    container = CONTAINER | {"slots": slots}
    return [{"name": "w", "pool": "shared", "kind": kind, "replicas": replicas, "containers": [container], **more}]


STACKS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "three models": {"models": models(3)},
    "a fourth model": {"models": models(4)},
    "one that never sleeps": {"models": [*models(3), *models(1, minScale=1, name="awake")]},
    "two pods each, always": {"models": models(2, minScale=2)},
    "hours of their own": {
        "models": models(2),
        "usage": {"hoursPerDay": 4, "each": [{"name": "m0", "hoursPerDay": 20}]},
    },
    "two pools": {"pools": [L4, T4], "models": [*models(2), *models(1, name="small", pool="t4")]},
    "warm": {"pools[0].warm": {"slots": 2}, "models": models(2)},
    "warm at office hours": {"pools[0].warm": OFFICE, "models": models(1)},
    "a job": {"workloads": work("Job"), "usage": {"runsPerMonth": 20, "hoursPerRun": 3}},
    "a schedule": {"workloads": work("CronJob", schedule="0 3 * * *"), "usage": {"hoursPerRun": 2}},
    "five replicas": {"workloads": work("Deployment", 5), "models": models(1)},
    "three GPUs of four": {"pools": [WHOLE], "workloads": work("Job", 2, 3), "usage": {"runsPerMonth": 10}},
    "MIG": {"pools": [MIG], "models": models(2)},
    "on-demand": {"pools": [DEAR], "models": models(1, minScale=1)},
    "families and sizes": {"pools": [MIXED], "models": models(5)},
    "lean": {"cluster.floor": "lean", "models": models(1)},
    "a gateway a zone": {"network.nat": "per-zone", "models": models(1)},
    "no gateway": {"network.nat": "none", "models": models(1, minScale=1)},
    "endpoints": {"network.interfaceEndpoints": True},
    "Bottlerocket": {"pools[0].ami": "bottlerocket", "models": models(1)},
    "a fast volume": {
        "pools[0].volume": {"sizeGib": 300, "iops": 6000, "throughputMibps": 500},
        "models": models(1, minScale=1),
    },
    "a snapshot": {
        "pools[0].ami": "bottlerocket",
        "pools[0].volume": {"snapshotId": "snap-0123456789abcdef0"},
        "models": models(1),
    },
    "a mirror in ECR": {"cluster.registryMirror": "111122223333.dkr.ecr.us-east-1.amazonaws.com", "models": models(1)},
    "conversations": {"models": models(2), "dialogue": PAGE},
    "conversations in a table": {"models": models(2), "dialogue": PAGE | {"store": "dynamodb"}},
    "monitored": {"monitoring.backend": "cloudwatch", "models": models(1)},
    "all day, and a job": {
        "models": models(1),
        "workloads": work("Job"),
        "usage": {"hoursPerDay": 24, "runsPerMonth": 5, "hoursPerRun": 10},
    },
    "never used": {"models": models(1), "usage": {"hoursPerDay": 0}},
    "more than maxGpus": {"pools[0].maxGpus": 2, "models": models(12)},
}


def raw_of(name: str) -> dict[str, Any]:
    return changed(STACKS[name], BASE)


@cache
def figures_of(name: str) -> Figures:
    return figures(parsed(raw_of(name)))


@pytest.mark.parametrize("name", STACKS)
def test_the_bill_comes_to_what_somebody_else_reckons(name: str) -> None:
    lines = figures_of(name).bill.lines
    shown = {
        f"{line.name}, {line.part}" if line.pool else line.name: line.usd.expected if line.usd else None
        for line in lines
    }
    expected = reckon(raw_of(name))
    assert {line: usd for line, usd in shown.items() if usd or line in expected} == pytest.approx(
        {line: usd for line, usd in expected.items() if usd or line in shown}, abs=0.005
    )


@pytest.mark.parametrize("name", STACKS)
def test_the_ceiling_comes_to_what_somebody_else_reckons(name: str) -> None:
    bill, raw = figures_of(name).bill, raw_of(name)
    steady = sum(line.usd.high for line in bill.lines if line.usd and line.part in ("floor", "traffic and logs"))
    assert bill.ceiling == pytest.approx(steady + sum(Nodes(pool, raw).ceiling() for pool in raw["pools"]), abs=0.01)


def test_rows_between_any_two_come_to_what_is_between_their_sums() -> None:
    bills = []
    for name in STACKS:
        found = figures_of(name).bill
        lines = tuple(replace(line, reasons=None, pool=None) for line in found.lines)
        bills.append(Bill(lines=lines, total=found.of()))
    for before, after in permutations(bills, 2):
        assert before.total
        assert after.total
        changes = [row.change for row in compared(before, after)]
        assert sum(each.expected for each in changes if each) == pytest.approx(
            after.total.expected - before.total.expected
        )


def test_there_are_enough_of_them() -> None:
    assert len(STACKS) >= 30
