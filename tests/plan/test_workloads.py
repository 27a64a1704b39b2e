"""Workloads that serve, from the stack file to what the engine is told."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from config.load import parse
from gpu.vllm import UTILIZATION, option
from plan.errors import InputError
from plan.figures import figures
from tests.day import TODAY
from tests.plan.variants import POOL, VARIANTS, changed_dev, snippet, varied

WRITTEN = snippet("docs/serving.md", "gpu-slices:workloads")


def server(share: str) -> list[Any]:
    """The vLLM server of the page with another share of the GPU."""
    (found,) = copy.deepcopy(WRITTEN)
    (container,) = found["containers"]
    container["args"] = [*container["args"], f"{UTILIZATION}={share}"]
    return [found]


def test_the_share_on_the_page_is_the_largest_that_its_slot_allows() -> None:
    assert option(WRITTEN[0]["containers"][0]["args"], UTILIZATION) == "0.29"
    with pytest.raises(
        InputError, match=r"write --gpu-memory-utilization=0\.29 or less: a slot of pool p has 7447 MiB"
    ):
        changed_dev({"pools": [POOL], "models": [], "dialogue": {}, "workloads": server("0.30")})


def test_what_was_asked_for_with_a_reason_is_told() -> None:
    """And nothing else: no other workload of the stack is named."""
    told = [text for _, text in varied("workloads that serve").messages if text.startswith("workload ")]
    assert told == [
        "workload nightly runs as root, writes to the root file system of app, holds the token of its service account: "
        "GPU-142: the image writes below /opt, and asks the API for its peers"
    ]


def test_no_secret_is_in_what_the_engine_is_told() -> None:
    (variable,) = [
        each
        for deployment in varied("workloads that serve").of_type("kubernetes:apps/v1:Deployment")
        if deployment.name == "workloads-qwen"
        for each in deployment.inputs["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == "VLLM_API_KEY"
    ]
    assert variable == {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "vllm", "key": "api-key"}}}


def test_probes_reach_the_pod_as_they_are_written() -> None:
    (deployment,) = [
        each
        for each in varied("workloads that serve").of_type("kubernetes:apps/v1:Deployment")
        if each.name == "workloads-qwen"
    ]
    (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["httpGet"] == {"path": "/health", "port": 8000, "scheme": "HTTP"}
    assert (container["startupProbe"]["failureThreshold"], container["startupProbe"]["periodSeconds"]) == (60, 10)
    assert "initialDelaySeconds" not in container["startupProbe"]
    assert container["volumeMounts"][-1] == {"name": "weights", "mountPath": "/models", "readOnly": True}
    assert "livenessProbe" not in container


def test_the_autoscaler_of_the_page_goes_with_its_deployment_and_stays_in_its_pool() -> None:
    plan = varied("workloads that serve")
    (scaler,) = plan.of_type("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")
    (deployment,) = [d for d in plan.of_type("kubernetes:apps/v1:Deployment") if d.name == scaler.name]
    assert scaler.name == "workloads-classifier"
    assert scaler.inputs["metadata"] == deployment.inputs["metadata"]
    assert deployment.inputs["spec"]["replicas"] == scaler.inputs["spec"]["minReplicas"] == 3
    (pool,) = snippet("docs/classifier.md", "gpu-slices:pools")
    assert scaler.inputs["spec"]["maxReplicas"] <= pool["maxGpus"] * pool["sharing"]["replicas"]


ASLEEP = "workloads that sleep"


def test_a_service_that_sleeps_is_in_every_table_of_the_plan() -> None:
    raw = {"dialogue": {}, **VARIANTS[ASLEEP]}
    found = figures(parse(raw, stack="dev", region="us-east-1", today=TODAY))
    work = {each.name: each for each in found.work}
    assert {each.kind for each in work.values()} == {"KnativeService"}
    assert work["rank"].taken.startswith("requests wait until another node answers")
    assert not work["answer"].taken, "never on Spot"
    held = {each.name: (each.slots, each.part, each.sleeps) for each in found.consumers if each.kind != "example"}
    assert held == {
        "rank": (1, "on demand", True),
        "fleet": (2, "on demand", True),
        "answer": (1, "always", False),
    }


def test_knative_comes_with_the_first_service_and_people_are_told_where_it_is() -> None:
    plan = varied(ASLEEP)
    assert len(plan.of_type("kubernetes:operator.knative.dev/v1beta1:KnativeServing")) == 1
    assert not plan.of_type("gpu-slices:index:ModelSpace"), "there are no models"
    steps = [step for step in plan.outputs["nextSteps"] if "ksvc" in step]
    assert steps == ["kubectl -n workloads get ksvc", "kubectl -n workloads-baseline get ksvc"]
    budget = VARIANTS[ASLEEP]["budget"]
    asleep = {"dialogue": {}, "models": [], "pools": [POOL], "workloads": WRITTEN, "budget": budget}
    assert not changed_dev(asleep).of_type("kubernetes:operator.knative.dev/v1beta1:KnativeServing")
