"""Which work may run where, as a plan prints it and as it has it in its JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plan.as_json import plan_json
from plan.make import Plan
from tests.unit.cli.plans import ON_DEMAND_POOL, POOL, plan_of
from tests.unit.cli.test_render import printed

CONTAINER = {"name": "app", "image": "r.example.com/app:1", "slots": 1}
CONFIG: dict[str, Any] = {
    "pools": [
        {**POOL, "fallback": "on-demand", "onDemand": ON_DEMAND_POOL["onDemand"]},
        {**ON_DEMAND_POOL, "maxGpus": 2},
    ],
    "models": [
        {"name": "chat", "model": "mistral:7b", "pool": "always-on", "importance": "critical", "minScale": 1},
        {"name": "small", "model": "llama3.2:3b", "pool": "shared", "server": "both", "importance": "batch"},
        {"name": "tiny", "model": "llama3.2:1b", "pool": "shared", "server": "both", "importance": "batch"},
        {"name": "plain", "model": "llama3.2:3b", "pool": "shared"},
    ],
    "workloads": [
        {"name": "api", "pool": "always-on", "containers": [CONTAINER]},
        {"name": "train", "pool": "shared", "kind": "Job", "importance": "batch", "containers": [CONTAINER]},
    ],
}


def section_of(plan: Plan, capsys: pytest.CaptureFixture[str]) -> str:
    text = printed(plan, capsys)
    return text[text.index("Which work may run where") : text.index("Bill of a month")]


def test_each_has_a_row_with_where_it_may_run(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in section_of(plan_of(CONFIG), capsys).splitlines() if line[:1].islower()]
    told = {row[0]: " ".join(row[1:]) for row in rows}
    assert told["chat"].startswith("critical always-on: on-demand ")
    assert told["chat"].endswith(" never")
    assert told["both"].startswith("batch shared: spot ")
    assert told["train"].startswith("batch shared: spot ")
    assert told["plain"].startswith("standard shared: spot, else on-demand")
    assert told["api"].endswith(" never")


def test_what_happens_when_spot_takes_the_node_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(section_of(plan_of(CONFIG), capsys).split())
    assert "takes the node of both: requests wait until another node answers, as at a cold start; nowhere else" in said
    assert "takes the node of plain: requests wait until another node answers, as at a cold start; on demand " in said
    assert said.count("train") == 2  # its row, and what Jobs lose
    assert "is of 2025-05-28 (Spot Instance Advisor). Spot placement scores: n/a" in said
    assert "Batch work also gives way to all other on its pool" in said


def test_of_a_region_of_which_nobody_told_it_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of({"pools": [POOL], "models": [CONFIG["models"][3]]}, region="ap-south-2")
    said = " ".join(section_of(plan, capsys).split())
    assert "plain standard shared: spot - n/a - When Spot takes" in said
    assert "How often Spot takes a node back is n/a: nobody has told it of this region" in said
    (work,) = json.loads(plan_json(plan))["work"]
    assert work["usdPerHourAtMost"] is None
    assert work["spotInterruptions"] == {"bands": [], "date": None, "placementScore": None}


def test_a_stack_without_work_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Which work" not in printed(plan_of({"pools": [POOL], "models": []}), capsys)


def test_programs_read_the_same() -> None:
    work = {each["name"]: each for each in json.loads(plan_json(plan_of(CONFIG)))["work"]}
    assert list(work) == ["chat", "both", "plain", "api", "train"]
    assert work["chat"]["spotInterruptions"] is None
    assert work["chat"]["whenSpotTakesItsNode"] is None
    assert work["train"]["capacityTypes"] == ["spot"]
    spot = work["plain"]["spotInterruptions"]
    assert (spot["date"], spot["placementScore"]) == ("2025-05-28", None)
    assert {"instanceType": "g6.xlarge", "band": "5-10%"} in spot["bands"]
    # Batch work never pays for what Spot lacks.
    assert work["both"]["usdPerHourAtMost"] < work["plain"]["usdPerHourAtMost"]
