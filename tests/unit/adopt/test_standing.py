"""On which nodes a Karpenter of the stack's own runs: which label the file has, and what is said where none does."""

from __future__ import annotations

from typing import Any

import pytest

from adopt.report import Report
from config.load import parse
from stacks.options import system_node_labels
from tests.unit.adopt.cluster import REGION, Object, by_hand, group_node, standing_node
from tests.unit.adopt.test_findings import reported

MARKED = {"karpenter.sh/controller": "true"}
DEDICATED = {"key": "dedicated", "value": "system", "effect": "NoSchedule"}
CRITICAL = {"key": "CriticalAddonsOnly", "operator": "Exists", "effect": "NoSchedule"}
PREFERRED = {"key": "dedicated", "value": "system", "effect": "PreferNoSchedule"}
LOST = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def of_group(number: int, group: str = "system", *taints: Object, **more: str) -> list[Object]:
    return [standing_node(f"{group}-{index}", group, *taints, **more) for index in range(number)]


def strange_node() -> Object:
    """A node with GPUs of a type that is not in the catalogue."""
    found = group_node("old-0")
    found["metadata"]["labels"]["node.kubernetes.io/instance-type"] = "p3.2xlarge"
    return found


def told(found: Report) -> tuple[str, str, str]:
    (each,) = [each for each in found.findings if each.about == "nodes that stay"]
    return each.status, each.text, each.line


def labels(found: Report) -> dict[str, Any]:
    """What pods of a stack's controllers select."""
    return dict(system_node_labels(parse(found.written.values, stack="mine", region=REGION)))


@pytest.mark.parametrize(
    ("nodes", "number", "selected"),
    [
        (of_group(2), 2, {"eks.amazonaws.com/nodegroup": "system"}),
        (of_group(3, "system", CRITICAL, PREFERRED), 3, {"eks.amazonaws.com/nodegroup": "system"}),
        ([*of_group(2), strange_node()], 2, {"eks.amazonaws.com/nodegroup": "system"}),
        ([*of_group(2), *of_group(2, "db", DEDICATED)], 2, {"eks.amazonaws.com/nodegroup": "system"}),
        (
            [*of_group(2), *of_group(1, "win", **{"kubernetes.io/os": "windows"})],
            2,
            {"eks.amazonaws.com/nodegroup": "system"},
        ),
        ([*of_group(2, **MARKED), *of_group(3, "apps")], 2, MARKED),
        (of_group(2, **MARKED), 2, MARKED),
    ],
    ids=["group", "tolerated", "unknown-gpus", "tainted-others", "windows", "labelled", "all-labelled"],
)
def test_what_takes_karpenter_stands_in_the_file(nodes: list[Object], number: int, selected: dict[str, str]) -> None:
    found = reported(group_node("gpu-0"), *nodes)
    label = "=".join(next(iter(selected.items())))
    assert told(found) == ("fits", f"{number} with {label} take Karpenter", "")
    assert labels(found) == selected


def test_of_several_groups_the_line_labels_two_and_then_it_fits() -> None:
    nodes = [*of_group(1, "apps"), *of_group(2)]
    found = reported(group_node("gpu-0"), *nodes)
    status, text, line = told(found)
    assert status == "missing"
    assert text.startswith("have no label in common: Karpenter runs on those with karpenter.sh/controller=true")
    assert line == "kubectl label nodes apps-0 system-0 karpenter.sh/controller=true"
    assert labels(found) == MARKED
    *_, one, other, label = line.split()
    for each in nodes:
        if each["metadata"]["name"] in (one, other):
            each["metadata"]["labels"].update([label.split("=")])
    again = reported(group_node("gpu-0"), *nodes)
    assert told(again)[0] == "fits"
    assert again.written.text == found.written.text


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            of_group(2, "system", DEDICATED),
            "none was seen; others have the taint dedicated=system:NoSchedule. `pulumi up`",
        ),
        (of_group(2, "system", LOST), "none was seen; others have the taint node.kubernetes.io/unreachable:NoExecute."),
        ([strange_node()], "none was seen. `pulumi up` ends without one"),
        ([], "none was seen. `pulumi up` ends without one"),
    ],
    ids=["tainted", "lost", "unknown-gpus", "gpus-alone"],
)
def test_without_a_node_that_takes_karpenter_that_is_missing(nodes: list[Object], words: str) -> None:
    status, text, _ = told(reported(group_node("gpu-0"), *nodes))
    assert status == "missing"
    assert words in text


@pytest.mark.parametrize("others", [[], of_group(3, "db", DEDICATED)])
def test_one_node_takes_one_of_the_two_pods(others: list[Object]) -> None:
    status, text, _ = told(reported(group_node("gpu-0"), *of_group(1), *others))
    assert status == "note"
    assert text.startswith("1 with eks.amazonaws.com/nodegroup=system takes Karpenter")
    assert ("others have the taint dedicated=system:NoSchedule" in text) is bool(others)


def test_without_nodes_nobody_knows() -> None:
    there = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}]
    status, _, line = told(reported(*there))
    assert (status, line) == ("unseen", "kubectl get nodes --show-labels")


def test_beside_a_karpenter_that_is_there_it_is_a_note_of_what_may_come_later() -> None:
    assert not [each for each in reported(*by_hand()).findings if each.about == "nodes that stay"]
    status, text, _ = told(reported(*by_hand(*of_group(1, "apps"))))
    assert status == "note"
    assert "before a stack file has what runs there: models" in text
