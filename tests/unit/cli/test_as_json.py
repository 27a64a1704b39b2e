"""The JSON of a plan holds what its document says, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.render_claims import print_claims
from cli.render_hosts import print_hosts
from plan.as_json import plan_json
from plan.make import Plan
from plan.wire import Secret
from tests.unit.cli.plans import CONFIG, POOL, plan_of, resource, verdict

DOCUMENT = Path(__file__).parents[3] / "docs" / "plan-json.md"
#: Words of the stack file or of resources, not of this format.
FOREIGN = {"sharing", "nodes", "inputs", "outputs"}


WORK: dict[str, Any] = {
    "name": "work",
    "gpuMemory": "3 GiB",
    "gpuShare": "20 %",
    "containers": [{"name": "app", "image": "ghcr.io/acme/app:1.2.3"}],
}


CLAIMED = {
    "name": "claimed",
    "instanceTypes": ["g6.xlarge"],
    "maxGpus": 2,
    "sharing": {"strategy": "memory"},
}
CLAIMING = {
    "name": "claiming",
    "pool": "claimed",
    "gpuMemoryMib": 5120,
    "containers": [{**WORK["containers"][0], "slots": 1}],
}


def full_plan() -> Plan:
    return plan_of(
        {
            **CONFIG,
            "pools": [*CONFIG["pools"], CLAIMED],
            "workloads": [WORK, CLAIMING],
            "usage": {"each": [{"name": "small", "tokensPerSecond": 30, "apiUsdPerMillionTokens": 0.6}]},
        },
        resources=[resource("a", "aws:sqs/queue:Queue", inputs={"password": Secret("hunter2"), "size": 3})],
        verdicts=[verdict(mandatory=True)],
        outputs={"token": Secret("hunter2")},
        notes=["a note"],
    )


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in FOREIGN:
                yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def test_every_key_is_documented_and_the_other_way_round() -> None:
    text = DOCUMENT.read_text()
    documented = set(re.findall(r"`([a-z][A-Za-z]*)(?:\[\])?`", text))
    written = set(keys(json.loads(plan_json(full_plan()))))
    assert written - documented == set()
    values = {"spot", "mandatory", "advisory", "network", "slices", "null"}
    assert documented - written - values == set()


def test_keys_are_there_even_without_content() -> None:
    full, empty = full_plan(), plan_of()
    assert json.loads(plan_json(full)).keys() == json.loads(plan_json(empty)).keys()
    other = Plan(recording=empty.recording, figures=None, verdicts=(), notes=())
    document = json.loads(plan_json(other))
    assert document.keys() == json.loads(plan_json(full)).keys()
    assert (document["pools"], document["models"], document["costs"]) == ([], [], None)


def test_figures() -> None:
    document = json.loads(plan_json(plan_of()))
    shared, _, isolated = document["pools"]
    assert (shared["slotsPerGpu"], shared["maxSlots"], shared["resource"]) == (3, 6, "nvidia.com/gpu")
    assert isolated["sharing"] == {"strategy": "mig", "profile": "1g.10gb"}
    cheapest = shared["cheapest"]
    assert round(cheapest["spotUsdPerHour"] / 3, 4) == round(shared["usdPerSlotHour"], 4)
    memory = document["models"][0]["memoryMib"]
    assert memory["weights"] + memory["kvCache"] + memory["overhead"] == memory["need"]
    assert memory["slot"] - memory["need"] == memory["headroom"]
    bill = document["costs"]["bill"]
    for figure in ("lowUsd", "expectedUsd", "highUsd"):
        whole = bill["usdPerMonth"][figure]
        assert sum(line["usdPerMonth"][figure] for line in bill["lines"]) == pytest.approx(whole, abs=0.1)
        assert sum(part["usdPerMonth"][figure] for part in bill["parts"]) == pytest.approx(whole, abs=0.03)


def test_services_say_how_they_wake() -> None:
    pool = {**POOL, "sharing": {"strategy": "time-slicing", "replicas": 2}}
    models = [
        {"name": "a", "model": "mistral:7b", "pool": "shared", "server": "both"},
        {"name": "b", "model": "llama3.2:3b", "pool": "shared", "server": "both"},
        {"name": "c", "model": "qwen2.5:3b", "pool": "shared", "maxScale": 1},
    ]
    both, single = json.loads(plan_json(plan_of({"pools": [pool], "models": models})))["services"]
    assert (both["name"], both["models"], both["maxScale"]) == ("both", ["a", "b"], 2)
    assert (single["models"], single["maxScale"], single["alone"]) == (["c"], 1, [])
    steps = both["coldStart"]["steps"]
    assert [step["name"] for step in steps] == ["node", "plugin", "image", "weights", "load"]
    assert abs(sum(step["seconds"] for step in steps) - both["coldStart"]["seconds"]) < 0.5
    assert all(each["seconds"] < both["coldStart"]["seconds"] for each in both["alone"])


def test_secrets_are_hidden() -> None:
    text = plan_json(full_plan())
    assert "hunter2" not in text
    assert json.loads(text)["resources"][0]["inputs"] == {"password": "<secret>", "size": 3}


def test_where_work_goes_that_says_what_it_needs() -> None:
    (found,) = json.loads(plan_json(full_plan()))["placements"]
    others, usd, words = found.pop("others"), found.pop("usdPerHour"), found.pop("given")
    assert found == {
        "name": "work",
        "kind": "workload",
        "needMib": 3072,
        "needShare": 0.2,
        "chosen": True,
        "pool": "shared",
        "slots": 1,
        "claimMib": None,
        "slotMemoryMib": 7447,
        "slotShare": 0.3333,
        "unusedMib": 4375,
        "unusedShare": 0.1333,
    }
    assert "not enforced" in words
    assert [other["pool"] for other in others] == ["claimed", "always-on", "isolated"]
    assert usd < others[1]["usdPerHour"]
    assert (others[1]["whyNot"], "no larger slot" in others[2]["whyNot"]) == (None, True)
    assert (others[0]["claimMib"], others[0]["whyNot"]) == (3168, "its pods claim memory, and no part of the time")


def test_the_plan_says_where_processors_take_more_gpus_than_claims(capsys: pytest.CaptureFixture[str]) -> None:
    """Eight pods of 3 GiB fit on two GPUs; of three processors a node of four has room for one."""

    def planned(cpu: str) -> tuple[dict[str, Any], str]:
        container = {**WORK["containers"][0], "slots": 1, "cpu": cpu}
        work = {**CLAIMING, "gpuMemoryMib": 3072, "replicas": 8, "containers": [container]}
        plan = plan_of({**CONFIG, "pools": [*CONFIG["pools"], CLAIMED], "workloads": [work]})
        assert plan.figures
        print_claims(Console(width=400), plan.figures)
        (claims,) = json.loads(plan_json(plan))["claims"]
        return claims, capsys.readouterr().out

    claims, said = planned("3")
    assert (claims["gpus"], claims["gpusWithCpuAndMemory"]) == (2, 8)
    assert "by the CPU and memory of workloads it is 8 GPUs, and maxGpus 2 lets pods wait" in said
    claims, said = planned("500m")
    assert claims["gpus"] == claims["gpusWithCpuAndMemory"] == 2
    assert "by the CPU and memory" not in said


def test_the_plan_says_where_processors_take_more_nodes_than_slots(capsys: pytest.CaptureFixture[str]) -> None:
    """Three slots are a node; of pods with three processors a node of four has room for one."""
    pool = {**CLAIMED, "name": "cut", "maxGpus": 3, "sharing": {"strategy": "time-slicing", "replicas": 3}}

    def planned(kind: str, cpu: str) -> tuple[dict[str, Any], str]:
        container = {**WORK["containers"][0], "slots": 1, "cpu": cpu}
        work = {"name": "hungry", "pool": "cut", "kind": kind, "replicas": 3, "containers": [container]}
        plan = plan_of({**CONFIG, "pools": [*CONFIG["pools"], pool], "workloads": [work]})
        assert plan.figures
        print_hosts(Console(width=400), plan.figures)
        found = json.loads(plan_json(plan))["hosts"]
        return next(each for each in found if each["pool"] == "cut"), capsys.readouterr().out

    hosts, said = planned("Deployment", "3")
    assert hosts == {
        "pool": "cut",
        "instanceType": "g6.xlarge",
        "slots": 3,
        "nodes": 3,
        "nodesBySlots": 1,
        "nodesByCpu": 3,
        "nodesByMemory": 1,
    }
    assert "cut: by the CPU that its pods ask for, 3 slots at once take 3 nodes of g6.xlarge, where 1 would do" in said
    assert "A slot's part of its node is 1166m CPU and 4403 MiB" in said
    assert "lets pods wait" not in said
    pool["maxGpus"] = 2
    assert "and maxGpus 2 lets pods wait" in planned("Job", "3")[1]
    assert planned("Deployment", "1166m")[1] == ""
