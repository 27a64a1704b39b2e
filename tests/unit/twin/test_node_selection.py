"""Node selectors and required affinities choose the nodes that Kubernetes' scheduler would."""

from __future__ import annotations

from typing import Any

import pytest

from twin.play.node_selection import selected

LABELS = {"team": "ml", "gpus": "4"}


def affinity(*terms: list[tuple[str, str, list[str]]]) -> dict[str, Any]:
    made = [
        {"matchExpressions": [{"key": key, "operator": operator, "values": values} for key, operator, values in term]}
        for term in terms
    ]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": made}}}


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        (("team", "In", ["ml", "web"]), True),
        (("team", "In", ["web"]), False),
        (("none", "In", ["ml"]), False),
        (("team", "NotIn", ["web"]), True),
        (("team", "NotIn", ["ml"]), False),
        (("none", "NotIn", ["ml"]), True),
        (("team", "Exists", []), True),
        (("none", "Exists", []), False),
        (("none", "DoesNotExist", []), True),
        (("team", "DoesNotExist", []), False),
        (("gpus", "Gt", ["3"]), True),
        (("gpus", "Gt", ["4"]), False),
        (("gpus", "Lt", ["5"]), True),
        (("none", "Lt", ["5"]), False),
        (("team", "Like", ["ml"]), False),
    ],
)
def test_operators(expression: tuple[str, str, list[str]], chosen: bool) -> None:
    assert selected(LABELS, {}, affinity([expression])) is chosen


def test_of_terms_one_is_enough_and_of_a_term_all_must_hold() -> None:
    yes, no = ("team", "In", ["ml"]), ("team", "In", ["web"])
    assert selected(LABELS, {}, affinity([no], [yes]))
    assert not selected(LABELS, {}, affinity([yes, no]))
    assert not selected(LABELS, {}, affinity([])), "a term without expressions chooses nothing"
    assert selected(LABELS, {"team": "ml"}, affinity([yes]))
    assert not selected(LABELS, {"team": "web"}, affinity([yes]))
    assert selected(LABELS, {"team": "ml"})
    assert selected(LABELS, {}, {"podAffinity": {}})
