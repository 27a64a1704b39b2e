"""Several mistakes at once: all are reported, each once, in the order of the file, and none hides another."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import ConfigError, key_of
from tests.unit.config.support import GONE, ON_DEMAND, WORKLOAD, changed, parsed, problems_of


def keys(changes: dict[str, Any], region: str | None = "us-east-1") -> list[str]:
    return [key_of(problem.path) for problem in problems_of(changed(changes), region=region)]


def test_every_section_reports_its_own() -> None:
    changes = {
        "cluster.version": "1.30",
        "network.cidr": "8.8.0.0/16",
        "cpuPools": [{"name": "x86", "arch": "x86"}],
        "pools[0].maxGpus": 0,
        "gpuSharing.installer": "operator",
        "models[0].pool": "shard",
        "models[2].slots": 2,
        "workloads": [WORKLOAD | {"containers": []}],
        "dialogue.guests": ["nobody"],
        "budget.monthlyUsd": "lots",
        "examples": "yes",
        "tags": {"aws:team": "ml"},
        "lorem": 1,
    }
    assert keys(changes, region="us-esat-1") == [
        "aws:region",
        "gpu-slices:cluster.version",
        "gpu-slices:pools[0].maxGpus",
        "gpu-slices:models[0].pool",
        "gpu-slices:models[2].slots",
        "gpu-slices:dialogue.guests[0]",
        "gpu-slices:budget.monthlyUsd",
        'gpu-slices:tags["aws:team"]',
        "gpu-slices:network.cidr",
        "gpu-slices:cpuPools[0].arch",
        "gpu-slices:gpuSharing.installer",
        "gpu-slices:workloads[0].containers",
        "gpu-slices:examples",
        "gpu-slices:lorem",
    ]


def test_one_entry_reports_all_of_its_own() -> None:
    """What pydantic finds does not keep the checks from looking at the rest of the entry."""
    changes = {
        "pools[0]": {
            "name": "Shared",
            "instanceFamilies": ["g6", "m7g"],
            "maxGpus": "2",
            "sharing": {"strategy": "mps", "replicas": 1},
            "capacityType": "on-demand",
            "onDemand": ON_DEMAND | {"justification": None, "expires": "2026-01-01"},
            "tenants": "untrusted",
            "volume": {"sizeGib": 10, "throughputMibps": 1000},
            "ami": "al2",
        },
        "models": [],
        "dialogue": {},
    }
    assert keys(changes) == [
        "gpu-slices:pools[0].name",
        "gpu-slices:pools[0].instanceFamilies[1]",
        "gpu-slices:pools[0].maxGpus",
        "gpu-slices:pools[0].sharing.replicas",
        "gpu-slices:pools[0].onDemand.justification",
        "gpu-slices:pools[0].onDemand.expires",
        "gpu-slices:pools[0].tenants",
        "gpu-slices:pools[0].volume.sizeGib",
        "gpu-slices:pools[0].volume.throughputMibps",
        "gpu-slices:pools[0].ami",
    ]


def test_a_container_reports_beside_what_is_wrong_in_another() -> None:
    containers = [{"name": "app", "image": "app", "slots": 2}, {"name": "log", "image": "log:1", "cpu": 1}]
    assert keys({"workloads": [WORKLOAD | {"containers": containers}]}) == [
        "gpu-slices:workloads[0].containers[0].image",
        "gpu-slices:workloads[0].containers[0].slots",
        "gpu-slices:workloads[0].containers[1].cpu",
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"pools[0].sharing.replicas": 1}, "pools[0].sharing.replicas", id="models in too small a slot"),
        pytest.param({"pools[0].sharing.replicas": 200}, "pools[0].sharing.replicas", id="models in a slot of 100 MiB"),
        pytest.param({"pools[0].name": "Shared"}, "pools[0].name", id="models of a pool whose name is wrong"),
        pytest.param({"pools": None}, "pools", id="models of pools that are no list"),
        pytest.param({"pools[0].instanceFamilies": ["g9"]}, "pools[0].instanceFamilies[0]", id="unknown memory"),
        pytest.param({"pools[0].maxGpus": 0}, "pools[0].maxGpus", id="too few slots for the dialogue"),
        pytest.param({"models": "mistral"}, "models", id="a dialogue of models that are no list"),
        pytest.param({"models[0].name": 1}, "models[0].name", id="a speaker whose model's name is wrong"),
        pytest.param({"models[0].contextLength": "4k"}, "models[0].contextLength", id="a model of unknown size"),
        pytest.param({"network.zoneIds": ["a", "b"]}, "network.zoneIds[0]", id="pools in zones that do not exist"),
    ],
)
def test_consequences_of_a_mistake_are_not_reported(changes: dict[str, Any], key: str) -> None:
    sections = {problem.path[0] for problem in problems_of(changed(changes))}
    assert sections == {key.partition("[")[0].partition(".")[0]}
    assert keys(changes)[0] == f"gpu-slices:{key}"


def test_without_a_region_everything_else_is_still_checked() -> None:
    assert keys({"pools[0].instanceFamilies": ["g9"], "models[0].model": "gpt:5", "tags": []}, region=None) == [
        "aws:region",
        "gpu-slices:pools[0].instanceFamilies[0]",
        "gpu-slices:models[0].model",
        "gpu-slices:tags",
    ]


def test_keys_that_are_missing_come_at_the_end_of_their_section() -> None:
    assert keys({"pools[0].maxGpus": GONE, "pools[0].name": "Shared", "cluster.version": "1.30", "pools[1]": {}})[
        :3
    ] == [
        "gpu-slices:cluster.version",
        "gpu-slices:pools[0].name",
        "gpu-slices:pools[0].maxGpus",
    ]


def test_the_order_is_that_of_the_file() -> None:
    raw = changed({"models[0].slots": 2, "tags": {"aws:team": "ml"}, "cluster.version": "1.30"})
    forwards = [problem.path for problem in problems_of(raw)]
    backwards = [problem.path for problem in problems_of(dict(reversed(raw.items())))]
    assert len(forwards) == 3
    assert forwards == backwards[::-1]


def test_the_heading_counts_and_names_the_stack() -> None:
    with pytest.raises(ConfigError) as one:
        parsed(changed({"pools[0].maxGpus": 0}), stack="dev")
    assert str(one.value) == (
        "1 problem in the configuration of stack 'dev'; nothing was planned or changed.\n"
        "\n"
        "  gpu-slices:pools[0].maxGpus = 0\n"
        "    must be 1 or more"
    )
    with pytest.raises(ConfigError) as two:
        parsed(changed({"pools[0].maxGpus": 0, "examples": 1}), stack="dev")
    assert str(two.value).startswith("2 problems in the configuration of stack 'dev'; nothing was planned or changed.")
