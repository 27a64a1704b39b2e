"""Work of every importance, from the page's sample to what the engine is told, and to what the plan says."""

from __future__ import annotations

import json
from functools import cache

from config.load import parse
from gpu.importance import may_run_on
from plan.figures import figures
from plan.monitor import Resource
from plan.record import Recording
from tests.day import TODAY
from tests.plan.variants import VARIANTS, changed_dev, varied

PRIORITY = "kubernetes:scheduling.k8s.io/v1:PriorityClass"
WITH_PODS = (
    "kubernetes:serving.knative.dev/v1:Service",
    "kubernetes:apps/v1:Deployment",
    "kubernetes:batch/v1:Job",
)
NAME = "work of every importance"


@cache
def without_importance() -> Recording:
    """The same stack, of which nobody says how important its work is."""
    given = json.loads(json.dumps(VARIANTS[NAME], default=str))
    for work in (*given["models"], *given["workloads"]):
        work.pop("importance", None)
    return changed_dev({"dialogue": {}, **given})


def by_name(recording: Recording) -> dict[str, Resource]:
    return {each.name: each for type_ in WITH_PODS for each in recording.of_type(type_)}


def test_pods_name_classes_that_outlive_them() -> None:
    recording = varied(NAME)
    classes = {each.inputs["metadata"]["name"] for each in recording.of_type(PRIORITY)}
    found = by_name(recording)
    named = {
        name: each.inputs["spec"]["template"]["spec"]["priorityClassName"]
        for name, each in found.items()
        if "priorityClassName" in each.inputs["spec"].get("template", {}).get("spec", {})
    }
    assert set(named) >= {"model-chat", "workloads-embed", "workloads-api"}
    assert {named["model-chat"], named["workloads-embed"], named["workloads-api"]} == classes
    assert classes == {"critical-gpu-slices-dev", "batch-gpu-slices-dev"}
    assert "model-summaries" not in named
    (component,) = recording.of_type("gpu-slices:index:WorkPriorities")
    for name in ("workloads-embed", "workloads-api"):
        assert component.urn in comes_after(found[name], recording)


def comes_after(resource: Resource, recording: Recording) -> set[str]:
    """URNs of all that a resource comes after, by what it and its parents depend on."""
    by_urn = {each.urn: each for each in recording.resources}
    found: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        urn = waiting.pop()
        if urn in found or urn not in by_urn:
            continue
        found.add(urn)
        waiting += [*by_urn[urn].dependencies, by_urn[urn].parent or ""]
    return found


def test_knative_lets_the_class_through_only_where_a_model_has_one() -> None:
    flag = "kubernetes.podspec-priorityclassname"
    (serving,) = varied(NAME).of_type("kubernetes:operator.knative.dev/v1beta1:KnativeServing")
    assert serving.inputs["spec"]["config"]["features"][flag] == "enabled"
    (plain,) = without_importance().of_type("kubernetes:operator.knative.dev/v1beta1:KnativeServing")
    assert flag not in plain.inputs["spec"]["config"]["features"]


def test_who_does_not_speak_of_importance_has_nothing_of_it() -> None:
    recording = without_importance()
    assert not recording.of_type(PRIORITY)
    assert not recording.of_type("gpu-slices:index:WorkPriorities")
    told = json.dumps([each.inputs["spec"] for each in by_name(recording).values()], default=str)
    assert "gpu-slices/importance" not in told
    assert "priorityClassName" not in told
    # And of the stack that does, what is standard is the same object.
    ours, theirs = by_name(varied(NAME))["model-summaries"], by_name(recording)["model-summaries"]
    assert ours.inputs == theirs.inputs


def test_the_plan_says_where_each_may_run_what_it_costs_and_what_then() -> None:
    raw = {"dialogue": {}, **VARIANTS[NAME]}
    found = {each.name: each for each in figures(parse(raw, stack="dev", region="us-east-1", today=TODAY)).work}
    assert {name: (each.importance, each.capacity_types) for name, each in found.items()} == {
        "chat": ("critical", ("on-demand",)),
        "summaries": ("standard", ("spot", "on-demand")),
        "asleep": ("critical", ("reserved",)),
        "two": ("batch", ("spot",)),
        "embed": ("batch", ("spot",)),
        "nightly": ("batch", ("spot",)),
        "migrate": ("critical", ("reserved",)),
        "api": ("critical", ("on-demand",)),
    }
    assert {name for name, each in found.items() if not each.taken} == {"chat", "asleep", "migrate", "api"}
    assert found["summaries"].taken.endswith("on demand where there is no Spot")
    assert found["embed"].taken.startswith("goes on, at most 10 min of work lost")
    assert found["embed"].taken.endswith("nowhere else while there is no Spot")
    for each in found.values():
        assert each.why_at_most.value
        assert bool(each.interruption_bands) == ("spot" in may_run_on(each.importance, each.pool.capacity_types))


def test_a_critical_model_behind_one_node_on_spot_is_warned_of() -> None:
    given = json.loads(json.dumps(VARIANTS[NAME], default=str))
    recording = changed_dev({"dialogue": {}, **given, "cluster": {**given.get("cluster", {}), "floor": "lean"}})
    (said,) = [text for severity, text in recording.messages if severity == "warning" and "critical" in text]
    assert said.startswith("gpu-slices:cluster.floor = lean: requests to chat and asleep, importance: critical,")
    assert not [text for _, text in varied(NAME).messages if "cluster.floor" in text]
