"""The pack sees our own models as what they are: bent in one place, each raises the rule that is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy.analyzer import judge, read_config
from tests.day import TODAY
from tests.plan.conftest import ROOT, as_judged
from tests.plan.knative import SERVICE
from tests.plan.mutation import Mutation, Stack, at, change
from tests.plan.variants import VARIANTS, varied

CONFIG = read_config(ROOT / "policy" / "config.json")


def container(inputs: dict[str, Any]) -> Any:
    return at(inputs, "spec", "template", "spec", "containers")[0]


def set_env(name: str, value: str) -> Callable[[dict[str, Any]], None]:
    def bend(inputs: dict[str, Any]) -> None:
        (variable,) = [v for v in container(inputs)["env"] if v["name"] == name]
        variable["value"] = value

    return bend


def public(inputs: dict[str, Any]) -> None:
    del inputs["metadata"]["labels"]["networking.knative.dev/visibility"]


def two_slots(inputs: dict[str, Any]) -> None:
    for quantities in container(inputs)["resources"].values():
        quantities |= {key: "2" for key in quantities if key.startswith("nvidia.com/")}


def as_root(inputs: dict[str, Any]) -> None:
    at(inputs, "spec", "template", "spec")["securityContext"] |= {"runAsUser": 0, "runAsNonRoot": False}


def other_user(inputs: dict[str, Any]) -> None:
    at(inputs, "spec", "template", "spec", "securityContext")["runAsUser"] = 10002


def writable_host(inputs: dict[str, Any]) -> None:
    at(inputs, "spec", "template", "spec", "volumes").append({"name": "x", "hostPath": {"path": "/"}})


def old_image(inputs: dict[str, Any]) -> None:
    container(inputs)["image"] = "docker.io/ollama/ollama:0.17.0"


def old_puller(inputs: dict[str, Any]) -> None:
    at(inputs, "spec", "template", "spec", "initContainers")[0]["image"] = "docker.io/ollama/ollama:0.17.0"


BENT: dict[str, tuple[str, str, Mutation]] = {
    "a public model": ("dev", "ollama-not-public", change(SERVICE, public, "model-mistral")),
    "a context that does not fit": (
        "dev",
        "ollama-fits-slot",
        change(SERVICE, set_env("OLLAMA_CONTEXT_LENGTH", "32768"), "model-mistral"),
    ),
    "no context": (
        "dev",
        "ollama-context-and-keep-alive",
        change(SERVICE, set_env("OLLAMA_CONTEXT_LENGTH", "0"), "model-mistral"),
    ),
    "more contexts than fit": (
        "staging",
        "ollama-fits-slot",
        change(SERVICE, set_env("OLLAMA_NUM_PARALLEL", "8"), "model-llama2"),
    ),
    "an old server": ("dev", "ollama-version-pinned", change(SERVICE, old_image, "model-mistral")),
    "an old puller": ("dev", "ollama-version-pinned", change(SERVICE, old_puller, "model-mistral")),
    "two slots": ("dev", "gpu-one-slot-per-pod", change(SERVICE, two_slots, "model-mistral")),
    "a user of its own on MPS": ("staging", "gpu-mps-one-user", change(SERVICE, other_user, "model-mistral")),
    "root": ("dev", "k8s-pod-security", change(SERVICE, as_root, "model-mistral")),
    "a path of the host": ("dev", "k8s-pod-security", change(SERVICE, writable_host, "model-mistral")),
}


@pytest.mark.parametrize("name", BENT)
def test_a_bent_model_is_noticed(name: str, planned: Callable[[str], Stack]) -> None:
    stack, rule, mutation = BENT[name]
    assert rule in {verdict.rule for verdict in judge(mutation(planned(stack)), CONFIG, today=TODAY)}


def unbound(inputs: dict[str, Any]) -> None:
    del container(inputs)["resources"]["limits"]["memory"]


def on_spot(inputs: dict[str, Any]) -> None:
    template = at(inputs, "spec", "template")
    template["spec"]["nodeSelector"] = {"gpu-slices/pool": "p"}
    template["spec"]["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def kept(inputs: dict[str, Any]) -> None:
    at(inputs, "spec", "template", "metadata", "annotations")["karpenter.sh/do-not-disrupt"] = "true"


def own_devices(inputs: dict[str, Any]) -> None:
    container(inputs)["env"].append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"})


#: Workloads of kind KnativeService: the rule, and what bends one.
BENT_WORKLOADS: dict[str, tuple[str, Mutation]] = {
    "two slots": ("gpu-one-slot-per-pod", change(SERVICE, two_slots, "workloads-rank")),
    "every GPU of the node": ("gpu-devices-by-slot-only", change(SERVICE, own_devices, "workloads-rank")),
    "no limit of memory": ("k8s-resource-limits", change(SERVICE, unbound, "workloads-rank")),
    "root": ("k8s-pod-security", change(SERVICE, as_root, "workloads-rank")),
    "critical on Spot": ("gpu-critical-off-spot", change(SERVICE, on_spot, "workloads-answer")),
    "batch that does not give way": ("gpu-batch-gives-way", change(SERVICE, kept, "workloads-fleet")),
}


@pytest.mark.parametrize("name", BENT_WORKLOADS)
def test_a_bent_workload_is_noticed(name: str) -> None:
    rule, mutation = BENT_WORKLOADS[name]
    plan = varied("workloads that sleep")
    resources = [as_judged(each, plan.preview_inputs(each)) for each in plan.resources]
    assert rule not in {verdict.rule for verdict in judge(resources, CONFIG, today=TODAY)}
    assert rule in {verdict.rule for verdict in judge(mutation(resources), CONFIG, today=TODAY)}


@pytest.mark.parametrize("name", VARIANTS)
def test_stacks_with_everything_satisfy_every_rule(name: str) -> None:
    plan = varied(name)
    resources = [as_judged(each, plan.preview_inputs(each)) for each in plan.resources]
    verdicts = judge(resources, CONFIG, today=TODAY)
    assert [f"{verdict.rule}: {verdict.resource}: {verdict.message}" for verdict in verdicts] == []
