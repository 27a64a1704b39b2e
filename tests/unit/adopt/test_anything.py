"""Whatever somebody wrote where a cluster has something else: nothing breaks the reader, report or twin."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from adopt.export import read_export
from adopt.inventory import inventory
from adopt.played import played
from adopt.report import as_json, report
from tests.unit.adopt.cluster import REGION, Object, by_hand, config_map, node, plugin, pod, time_slicing

pytestmark = pytest.mark.parts

POLICY: Object = {
    "apiVersion": "nvidia.com/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "cluster-policy"},
    "spec": {"devicePlugin": {"config": {"name": "c", "default": "any"}}, "mig": {"strategy": "single"}},
}
OVERLAY: Object = {
    "apiVersion": "karpenter.sh/v1alpha1",
    "kind": "NodeOverlay",
    "metadata": {"name": "overlay"},
    "spec": {"requirements": [], "capacity": {"nvidia.com/gpu": "4"}},
}
WHOLE = [
    *by_hand(POLICY, OVERLAY, plugin("c", "any"), config_map("c", any=time_slicing(3))),
    pod("many", gpus=2, initContainers=[{"name": "i", "resources": {"requests": {"cpu": "1"}}}]),
    pod("claims", resourceClaims=[{"name": "gpu"}]),
]
VALUES: list[Any] = [
    *(None, "", 0, -1, 1.5, True, [], {}, ["x"], [None], [{}], {"a": 1}, {"a": None}, "x" * 300, "${x}", "{{ y }}"),
    *(1e300, 10**30, [["x"]], {"": {}}, "1e9", "-3", "9" * 40),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*path, key)
        yield from places(part, (*path, key))


def spoilt(chance: random.Random) -> list[Object]:
    """The cluster with something else in up to four places."""
    objects = copy.deepcopy(WHOLE)
    for _ in range(chance.randint(1, 4)):
        here: Any = chance.choice(objects)
        *way, last = chance.choice(list(places(here)))
        for key in way:
            here = here[key]
        here[last] = copy.deepcopy(chance.choice(VALUES))
    return objects


@pytest.mark.parametrize("seed", range(8))
def test_nothing_breaks(seed: int, tmp_path: Any) -> None:
    chance, path = random.Random(seed), tmp_path / "export.json"
    for _ in range(25):
        path.write_text(json.dumps({"kind": "List", "items": spoilt(chance)}))
        objects = read_export(path)
        there = inventory(objects, cluster="prod", region=REGION)
        found = report(there, "mine")
        assert yaml.safe_load(found.written.text)["config"]["aws:region"] == REGION
        json.dumps(as_json(found))
        played(objects, there, found.proposal)


def test_thousands_of_gpu_pods_take_seconds(tmp_path: Any) -> None:
    nodes, pods = [node(f"n{number}") for number in range(3000)], [pod(f"p{n}", f"n{n}") for n in range(3000)]
    path = tmp_path / "export.json"
    path.write_text(json.dumps({"kind": "List", "items": by_hand(*nodes, *pods)}))
    began = time.process_time()
    found = report(inventory(read_export(path)), "mine")
    assert time.process_time() - began < 10
    assert [row.nodes for row in found.rows] == [3003, 1502, 1502]
