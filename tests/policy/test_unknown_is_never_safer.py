"""A value that is not known in preview may be anything: put in place of any other, it silences no violation.

Over every state of the corpus (tests/engine/states*.py) and every scalar in it. Where a violation goes and no rule says
that something cannot be seen, the place is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from policy.analyzer import UNKNOWN, judge
from tests.day import TODAY
from tests.engine.state_tables import STATES
from tests.engine.states import State, recorded

Place = tuple[str | int, ...]

_NOTHING_TELLS = "nothing tells any more that it is one of those"
_ANYTHING = "it may hold anything, and most hold nothing of the kind"
_IN_RANGE = "it may be a right one, and what is wrong is told in the update"
#: Rule, state, resource: end of the place, and why nothing is said.
SILENT: Mapping[tuple[str, str], tuple[tuple[Place, str], ...]] = {
    ("eks-no-root-access", "access-for-root"): ((("principalArn",), "a role of the program's own, as a rule"),),
    ("gpu-mig-for-untrusted-tenants", "strangers-share"): (
        (("metadata", "name"), _NOTHING_TELLS),
        (("metadata", "namespace"), _NOTHING_TELLS),
    ),
    ("gpu-on-demand-needs-justification", "pool-inside-yaml"): ((("yaml",), _ANYTHING),),
    ("gpu-on-demand-needs-justification", "instance-type-in-a-value-file"): (
        (("4dabf18193072939515e22adb298388d",), _ANYTHING),
        (("text",), _ANYTHING),
    ),
    ("gpu-on-demand-needs-justification", "component-of-somebody"): ((("instanceType",), _ANYTHING),),
    ("gpu-sharing-config-valid", "fifty-clients"): ((("embed",), _ANYTHING),),
    ("iam-no-administrators", "administrator"): (
        (("policyArn",), "a policy of the program's own, which is judged by its document"),
    ),
    ("k8s-scheduler-runs", "a-scheduler-that-is-not-there"): ((("schedulerName",), _ANYTHING),),
    ("k8s-resource-limits", "database-without-requests"): ((("cpu",), "a limit that is there"),),
    ("node-pool-known-values", "architecture-by-another-name"): (
        (("key",), _IN_RANGE),
        (("operator",), _IN_RANGE),
        (("values", 0), _IN_RANGE),
        (("values", 1), _IN_RANGE),
    ),
    ("ollama-context-and-keep-alive", "ollama-by-chart"): ((("chart",), _NOTHING_TELLS),),
    ("ollama-fits-slot", "llama-in-a-quarter"): ((("quarter",), _ANYTHING), (("image",), _NOTHING_TELLS)),
    ("ollama-not-public", "ollama-behind-a-load-balancer"): (
        (("metadata", "namespace"), _NOTHING_TELLS),
        (("image",), _NOTHING_TELLS),
    ),
    ("ollama-not-public", "ollama-by-knative"): ((("image",), _NOTHING_TELLS),),
    ("ollama-version-pinned", "ollama-latest"): ((("image",), _NOTHING_TELLS),),
}


def scalars(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from scalars(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from scalars(inner, (*place, index))
    else:
        yield place


def unknown_at(value: Any, place: Place) -> Any:
    if not place:
        return UNKNOWN
    if isinstance(value, dict):
        return {key: unknown_at(inner, place[1:]) if key == place[0] else inner for key, inner in value.items()}
    return [unknown_at(inner, place[1:]) if index == place[0] else inner for index, inner in enumerate(value)]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_an_unknown_value_silences_no_violation(state: State) -> None:
    resources = recorded(state, None)
    before = {(verdict.rule, verdict.message) for verdict in judge(resources, state.config, today=TODAY)}
    silenced: set[tuple[str, Place]] = set()
    for index, resource in enumerate(resources):
        inputs = dict(resource.inputs)
        for place in scalars(inputs):
            changed = [*resources]
            changed[index] = replace(resource, inputs=unknown_at(inputs, place))
            said = {(verdict.rule, verdict.message) for verdict in judge(changed, state.config, today=TODAY)}
            if not said - before:  # nothing new says that something cannot be seen
                silenced |= {(rule, place) for rule in state.fires if rule not in {name for name, _ in said}}
    wrong = [
        (rule, place)
        for rule, place in sorted(silenced, key=str)
        if not any(place[-len(end) :] == end for end, _ in SILENT.get((rule, state.name), ()))
    ]
    assert wrong == []


def test_every_exception_is_one() -> None:
    """No state or rule of the list is gone."""
    states = {state.name: state for state in STATES}
    assert all(rule in states[name].fires for rule, name in SILENT)
