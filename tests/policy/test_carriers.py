"""Metamorphic tests: a program says the same through every carrier that can hold it, and is judged the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from policy.analyzer import Recorded, judge
from tests.day import TODAY
from tests.engine.state_tables import STATES
from tests.engine.states import ROOT_URN, State
from tests.engine.states import recorded as state_resources
from tests.policy import corpus
from tests.policy.carriers import KUBERNETES, Carrier, left_to_others
from tests.policy.carriers_aws import AWS
from tests.policy.carriers_capa import CLUSTER_API
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE
from tests.policy.support import recorded
from tests.sweep import EVERYTHING, tried

CARRIERS: Final[Mapping[str, Carrier]] = {**KUBERNETES, **AWS, **CLUSTER_API}

#: `carrier: program` that is judged otherwise, and why that stays.
KNOWN: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("patches: sharing-other-figure", "patches: state llama-in-a-quarter", "patches: sharing-by-type"),
            *("patches: two-gpu-containers", "patches: pods-for-two-slots", "patches: mps-two-users"),
            *("patches: model-too-large", "patches: model-in-an-eighth", "patches: strangers-share"),
            *("patches: overlay-too-many", "patches: bottlerocket-double-slots", "patches: claim-of-nine-pods"),
        ),
        "rules that compare pools, overlays and pods with each other take no patch for a pool or an overlay",
    ),
    **dict.fromkeys(
        (
            "chart with templates: case kubernetes:config.services.k8s.aws/v1alpha1:ConfigRule that judges by type",
            "chart with templates: case kubernetes:configservice.aws.upbound.io/v1beta1:Rule that judges by type",
        ),
        "what a template is once it is filled in nobody knows: its text is searched, whatever kind it names",
    ),
}

_PURCHASE: Final = "gpu-on-demand-needs-justification"
#: The same demand on launch templates: what is a template here is a machine there, so the two count as one.
_OF_TEMPLATES: Final = "gpu-launch-template-is-spot"


def _as_one(rules: Iterable[str]) -> frozenset[str]:
    return frozenset(_PURCHASE if rule == _OF_TEMPLATES else rule for rule in rules)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A program. says: the rules that it must hear from, through every carrier. about: the rules that are asked."""

    name: str
    resources: tuple[Recorded, ...]
    says: frozenset[str] = frozenset()
    about: frozenset[str] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def fired(self, resources: list[Recorded]) -> frozenset[str]:
        """The rules that have something to say of the program in this form."""
        found = _as_one(verdict.rule for verdict in judge(resources, self.config, today=TODAY))
        return found if self.about is None else found & self.about


@cache
def _bypasses() -> tuple[Subject, ...]:
    """Programs with something to hear, as far as they hear it where nothing carries them."""
    return (
        *(_seen(program.name, program.resources, frozenset().union(*program.rules)) for program in corpus.bypasses()),
        *(
            _seen(f"case {name}", (recorded(type_, inputs),), frozenset({_PURCHASE}))
            for name, (type_, inputs) in BYPASSES.items()
        ),
        *(
            Subject(name=f"state {state.name}", resources=_alone(state), says=_as_one(state.fires), config=state.config)
            for state in STATES
        ),
    )


def _seen(name: str, resources: tuple[Recorded, ...], rules: Iterable[str]) -> Subject:
    subject = Subject(name=name, resources=resources)
    return replace(subject, says=subject.fired(list(resources)) & _as_one(rules))


@cache
def _legitimate() -> tuple[Subject, ...]:
    """Programs with nothing to hear. What they hear where nothing carries them is told by other tests."""
    return (
        *(Subject(name=program.name, resources=program.resources) for program in corpus.legitimate()),
        *(
            Subject(name=f"case {name}", resources=(recorded(type_, inputs),), about=frozenset({_PURCHASE}))
            for name, (type_, inputs) in LEGITIMATE.items()
        ),
        *(Subject(name=f"state {state.name}", resources=_alone(state.twin), config=state.config) for state in STATES),
    )


def _alone(state: State) -> tuple[Recorded, ...]:
    """A state's resources, where none refers to another: a carrier would cut that. Else none."""
    found = state_resources(state)
    linked = any(resource.dependencies or resource.parent != ROOT_URN for resource in found)
    return () if linked else tuple(found)


def _carried(carrier: str, subjects: tuple[Subject, ...], folder: Path) -> Iterator[tuple[Subject, list[Recorded]]]:
    some = [subject for subject in subjects if tried(f"{carrier} {subject.name}", 12)]
    for index, subject in enumerate(some):
        own = folder / str(index)
        own.mkdir()
        found = CARRIERS[carrier](subject.resources, own)
        if found is not None:
            yield subject, found


def _unheard(carrier: str, subject: Subject, resources: list[Recorded]) -> frozenset[str]:
    """Rules that say nothing any more."""
    excused = left_to_others(resources) if carrier == "patches" else frozenset()
    return subject.says - excused - subject.fired(resources)


def _heard_more(subject: Subject, resources: list[Recorded]) -> frozenset[str]:
    """Rules that speak only now."""
    found = subject.fired(resources)
    return found - subject.fired(list(subject.resources)) if found else found


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_carrier_hides_anything(carrier: str, tmp_path: Path) -> None:
    found = {
        subject.name: _unheard(carrier, subject, resources)
        for subject, resources in _carried(carrier, _bypasses(), tmp_path)
    }
    _compare(carrier, found)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_carrier_makes_a_legitimate_program_suspect(carrier: str, tmp_path: Path) -> None:
    carried = _carried(carrier, _legitimate(), tmp_path)
    _compare(carrier, {subject.name: _heard_more(subject, resources) for subject, resources in carried})


@pytest.mark.parametrize("known", KNOWN)
def test_what_is_known_is_still_so(known: str, tmp_path: Path) -> None:
    carrier, _, name = known.partition(": ")
    for subjects in (_bypasses(), _legitimate()):
        for subject in subjects:
            resources = CARRIERS[carrier](subject.resources, tmp_path) if subject.name == name else None
            if resources and (_unheard(carrier, subject, resources) or _heard_more(subject, resources)):
                return
    pytest.fail(f"{known} is judged as it should be: take it out of KNOWN")


def _compare(carrier: str, found: Mapping[str, frozenset[str]]) -> None:
    """Fail where rules differ. found: those of every program that the carrier can hold."""
    assert len(found) >= 5 or not EVERYTHING, f"{carrier} holds {len(found)} programs alone"
    wrong = {name: sorted(rules) for name, rules in found.items() if rules and f"{carrier}: {name}" not in KNOWN}
    listed = "".join(f"\n  {name}: {', '.join(rules)}" for name, rules in sorted(wrong.items()))
    assert not wrong, f"{carrier}: {len(wrong)} of {len(found)}{listed}"
