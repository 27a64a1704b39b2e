"""Workloads that serve, on the real engine: `pulumi up`, nothing to do after it, changes of one, and `destroy`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import versions
from tests.engine.engine import Workspace
from tests.plan.variants import POOL, VARIANTS, snippet
from twin.kube.client import Kube
from twin.machine.launch import connect
from twin.machine.state import TwinState

#: Nobody in the twin makes these by hand, and the images are nobody's.
_BY_HAND = ("priorityClassName", "imagePullSecrets")


def _workloads() -> list[dict[str, Any]]:
    text = VARIANTS["workloads that serve"]["workloads"]
    found = [{key: value for key, value in each.items() if key not in _BY_HAND} for each in copy.deepcopy(text)]
    for each in found:
        for container in each["containers"]:
            container["image"] = "docker.io/vllm/vllm-openai:v0.11.0" if each["name"] == "qwen" else "docker.io/a/b:1"
        for volume in each.get("volumes", ()):
            if "efs" in volume:
                volume["efs"] = {"fileSystemId": "fs-0c1d2e3f405162738"}
    return found


def test_workloads_come_rest_change_and_go(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState]
) -> None:
    made = workspace("dev")
    variant = VARIANTS["workloads that serve"]
    workloads = _workloads()
    budget = {"monthlyUsd": 4000, "emails": ["platform@gpu-slices.dev"]}
    made.configure({"dialogue": {}, **variant, "models": [], "budget": budget, "workloads": workloads})
    kube = connect(ground(made))

    made.up(expect=0)
    assert made.preview("--expect-no-changes").steps() == {}
    assert _claims(kube).keys() == {"qwen.weights", "train.home"}
    before = _claims(kube)

    made.configure({"workloads": [{**workloads[0], "clientNamespaces": ["my-team", "other"]}, *workloads[1:]]})
    steps = {
        urn.rpartition("::")[2]: operation
        for urn, operation in made.preview(expect=0).steps().items()
        if "::pulumi:pulumi:Stack::" not in urn
    }
    assert steps == {"workloads-qwen-clients": "update"}

    # Another bucket, while a pod waits with the old one: neither volume nor claim can be changed.
    volumes = [
        volume | ({"s3": {"bucketName": "other"}} if "s3" in volume else {}) for volume in workloads[0]["volumes"]
    ]
    made.configure({"workloads": [{**workloads[0], "volumes": volumes}, *workloads[1:]]})
    made.up(expect=0)
    after = _claims(kube)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"qwen.weights"}
    assert made.preview("--expect-no-changes").steps() == {}

    made.destroy(expect=0)
    assert made.state() == []


def test_a_service_that_sleeps_comes_rests_changes_and_goes(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState]
) -> None:
    """With no model: Knative is there for it alone, and `up` waits for no GPU."""
    made = workspace("dev")
    (written,) = snippet("docs/knative.md", "gpu-slices:workloads")
    budget = {"monthlyUsd": 4000, "emails": ["platform@gpu-slices.dev"]}
    values = {"dialogue": {}, "models": [], "pools": [POOL], "examples": False, "budget": budget}
    made.configure({**values, "workloads": [written]})
    kube = connect(ground(made))

    made.preview(expect=0)
    made.up(expect=0)
    assert made.preview("--expect-no-changes").steps() == {}
    service = kube.get(versions.KNATIVE_SERVING_API, "Service", "rank", "workloads")
    assert service is not None
    assert service["spec"]["template"]["spec"]["containerConcurrency"] == written["parallel"]
    assert kube.list("v1", "Pod", "workloads") == []

    made.configure({"workloads": [{**written, "maxScale": 2, "minScale": 1}]})
    steps = {
        urn.rpartition("::")[2]: operation
        for urn, operation in made.preview(expect=0).steps().items()
        if "::pulumi:pulumi:Stack::" not in urn
    }
    assert steps == {"workloads-rank": "update"}
    made.up(expect=0)
    assert made.preview("--expect-no-changes").steps() == {}

    made.destroy(expect=0)
    assert made.state() == []


def _claims(kube: Kube) -> dict[str, str]:
    """Uids of the claims, as soon as all are bound, by workload and volume."""
    deadline = time.monotonic() + 120
    while True:
        claims = kube.list("v1", "PersistentVolumeClaim", "workloads")
        phases = {claim["metadata"]["name"]: claim["status"]["phase"] for claim in claims}
        if set(phases.values()) == {"Bound"}:
            break
        assert time.monotonic() < deadline, phases
        time.sleep(0.5)
    return {claim["metadata"]["name"].rpartition(".")[0]: claim["metadata"]["uid"] for claim in claims}
