"""Every Knative service of every stack, judged by Knative's own code: its webhook's defaults and `Validate`.

The program beside this file, `knative_judge/main.go`, is built from the pinned version's module.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import versions
from gpu.contract import RETENTION_ANNOTATION
from plan.record import Recording
from tests.gotools import KNATIVE_MODULE, KNATIVE_PKG, built
from tests.plan.conftest import STACKS
from tests.plan.knative import SERVICE, SERVING
from tests.plan.variants import VARIANTS, varied

pytestmark = pytest.mark.go

FOLDER = Path(__file__).parent / "knative_judge"
#: The variant whose services are workloads.
ASLEEP = "workloads that sleep"


@dataclass(frozen=True)
class Verdict:
    """Of Knative's webhook. wrong: empty where a service is accepted; stored: what the API server then keeps."""

    wrong: str
    stored: Mapping[str, Any] | None


Judge = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], list[Verdict]]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Knative's webhook: an installation's config maps and services to what is wrong with each."""
    program = built(FOLDER, "knative-judge")

    def judged(config: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        question = json.dumps({"config": config, "services": services})
        done = subprocess.run([program], input=question, capture_output=True, text=True, check=True)
        return [Verdict(**answer) for answer in json.loads(done.stdout)]

    return judged


def services(plan: Recording) -> list[dict[str, Any]]:
    return [copy.deepcopy(dict(resource.inputs)) for resource in plan.of_type(SERVICE)]


def config(plan: Recording) -> dict[str, Any]:
    (serving,) = plan.of_type(SERVING)
    found: dict[str, Any] = copy.deepcopy(dict(serving.inputs))["spec"]["config"]
    return found


def test_the_judge_is_of_the_version_that_is_installed() -> None:
    text = (FOLDER / "go.mod").read_text(encoding="utf-8")
    assert f"\t{KNATIVE_MODULE} {versions.KNATIVE_MODULE_VERSION}\n" in text
    assert f"\t{' '.join(KNATIVE_PKG)}\n" in text


@pytest.mark.parametrize("name", [*STACKS, *VARIANTS])
def test_knative_takes_every_service_and_keeps_it_as_it_is(
    name: str, judge: Judge, recorded: Callable[[str], Recording]
) -> None:
    """What it wrote in another way, such as 2000m as 2, would be another at every `pulumi up` (`test_empty_inputs`)."""
    plan = recorded(name) if name in STACKS else varied(name)
    found = services(plan)
    assert found
    for service, verdict in zip(found, judge(config(plan), found), strict=True):
        assert verdict.wrong == "", service["metadata"]["name"]
        assert list(other(service["spec"], (verdict.stored or {}).get("spec"))) == [], service["metadata"]["name"]


def other(written: Any, stored: Any, path: str = "spec") -> Iterator[str]:
    """Places at which what is stored is another than what was written; what was added is no matter."""
    if isinstance(written, Mapping) and isinstance(stored, Mapping):
        for key, value in written.items():
            yield from other(value, stored.get(key), f"{path}.{key}")
    elif isinstance(written, list) and isinstance(stored, list) and len(written) == len(stored):
        for index, (one, two) in enumerate(zip(written, stored, strict=True)):
            yield from other(one, two, f"{path}[{index}]")
    elif written != stored:
        yield f"{path}: {written!r} is stored as {stored!r}"


def app(pod: dict[str, Any]) -> dict[str, Any]:
    """The container that Knative calls."""
    return named(pod, "app")


def side(pod: dict[str, Any]) -> dict[str, Any]:
    return named(pod, "log")


def named(pod: dict[str, Any], name: str) -> dict[str, Any]:
    containers: list[dict[str, Any]] = pod["containers"]
    (found,) = [each for each in containers if each["name"] == name]
    return found


Bend = Callable[[dict[str, Any]], Any]


def port(number: int) -> Bend:
    return lambda pod: app(pod)["ports"][0].update(containerPort=number)


def variable(name: str) -> Bend:
    return lambda pod: app(pod)["env"].append({"name": name, "value": "x"})


def mounted(place: str) -> Bend:
    return lambda pod: app(pod)["volumeMounts"][0].update(mountPath=place)


#: What the stack file's checks refuse of a KnativeService (`config.checks.knative`), as it would reach Knative, and a
#: part of Knative's own words.
REFUSED: Mapping[str, tuple[Bend, str]] = {
    "the token": (lambda pod: pod.update(automountServiceAccountToken=True), "automountServiceAccountToken"),
    "claims": (lambda pod: pod.update(resourceClaims=[{"name": "gpu"}]), "resourceClaims"),
    "a grace period": (lambda pod: pod.update(terminationGracePeriodSeconds=30), "terminationGracePeriodSeconds"),
    "a second port": (lambda pod: app(pod)["ports"].append({"containerPort": 1}), "more than one container port"),
    "a port of another container": (lambda pod: side(pod).update(ports=[{"containerPort": 1}]), "more than one"),
    "no port of several containers": (lambda pod: app(pod).pop("ports"), "missing field(s)"),
    "a name of a port": (lambda pod: app(pod)["ports"][0].update(name="http"), "Port name http is not allowed"),
    **{f"port {number}": (port(number), "is a reserved port") for number in (8008, 8012, 8013, 8022, 9090, 9091)},
    **{
        name: (variable(name), f'"{name}" is a reserved environment variable')
        for name in ("PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION")
    },
    "K_SERVICE of another container": (
        lambda pod: side(pod)["env"].append({"name": "K_SERVICE", "value": "x"}),
        '"K_SERVICE" is a reserved environment variable',
    ),
    "a name of a container": (lambda pod: side(pod).update(name="queue-proxy"), "is a reserved container name"),
    **{f"a volume at {place}": (mounted(place), "is a reserved path") for place in ("/dev", "/dev/log")},
    "a probe of another container": (
        lambda pod: side(pod).update(livenessProbe={"tcpSocket": {"port": 1}}),
        "livenessProbe",
    ),
    "too many requests": (lambda pod: pod.update(containerConcurrency=1001), "expected 0 <= 1001 <= 1000"),
    # What the component sees to.
    "a volume that nothing mounts": (
        lambda pod: pod["volumes"].append({"name": "x", "emptyDir": {}}),
        'volume with name "x" not mounted',
    ),
    "a mount that says nothing of its volume": (
        lambda pod: [mount.pop("readOnly", None) for mount in app(pod)["volumeMounts"]],
        "volume is readOnly but volume mount is not",
    ),
}


@pytest.fixture(scope="module")
def fleet() -> dict[str, Any]:
    (found,) = [each for each in services(varied(ASLEEP)) if each["metadata"]["name"] == "fleet"]
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_stack_file_refuses_knative_would_refuse(name: str, judge: Judge, fleet: dict[str, Any]) -> None:
    bend, said = REFUSED[name]
    bent = copy.deepcopy(fleet)
    bend(bent["spec"]["template"]["spec"])
    (verdict,) = judge(config(varied(ASLEEP)), [bent])
    assert said in verdict.wrong


def test_each_flag_is_needed(judge: Judge) -> None:
    """Without any one of them Knative refuses some service."""
    found, maps = services(varied(ASLEEP)), config(varied(ASLEEP))
    assert len(maps["features"]) >= 7
    for flag in maps["features"]:
        without = {key: value for key, value in maps["features"].items() if key != flag}
        assert any(each.wrong for each in judge({**maps, "features": without}, found)), flag


def test_for_as_long_as_knative_keeps_one(judge: Judge, fleet: dict[str, Any]) -> None:
    """`idle: 1h` is in the variant; a second more is too much."""
    annotations = fleet["spec"]["template"]["metadata"]["annotations"]
    assert annotations[RETENTION_ANNOTATION] == "1h"
    bent = copy.deepcopy(fleet)
    bent["spec"]["template"]["metadata"]["annotations"][RETENTION_ANNOTATION] = "1h1s"
    (verdict,) = judge(config(varied(ASLEEP)), [bent])
    assert RETENTION_ANNOTATION in verdict.wrong
