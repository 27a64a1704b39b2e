"""Scenarios of claimed GPU memory end as they must, on the real Karpenter, scheduler and claim controller."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from components.serving.model_claims import POLICY, policy_spec
from gpu.contract import CLAIM_LABEL
from tests.sweep import EVERYTHING
from tests.twin.admission import ADMISSION, dry_run
from tests.twin.conftest import MEMORY as STACK
from twin.kube.client import ApiError, Object
from twin.machine.launch import connect
from twin.machine.state import TwinState
from twin.plan import load_plan
from twin.scenarios.run import SCENARIOS, run_scenario

#: Minutes each, of which unit tests and the other scenarios hold the parts: with SWEEP=everything.
LONG = {"claims-lost", "driver-never", "driver-wrong", "mixed"}
#: Fewer than by default: the machine of a test is slow, and `bench.claims` has the figures of many.
PODS = {"mixed": 20}

SCENARIOS_OF_CLAIMS = [
    name for name, each in SCENARIOS.items() if each.stack == STACK and (EVERYTHING or name not in LONG)
]


@pytest.mark.parametrize("name", SCENARIOS_OF_CLAIMS)
def test_scenario_of_claims(name: str, memory: TwinState) -> None:
    story: list[str] = []
    outcome = run_scenario(name, memory, story.append, PODS.get(name))
    assert outcome.passed, "\n".join([outcome.problem, *story])


def test_models_of_the_plan_share_a_gpu_from_zero(memory: TwinState) -> None:
    """Their claims are given by the plan's own admission policy: Knative's API knows none."""
    story: list[str] = []
    outcome = run_scenario("from-zero", memory, story.append)
    assert outcome.passed, "\n".join([outcome.problem, *story])


# --- The policy that gives models' pods their claims, judged by the real API server: requests are dry runs -----------

OURS, OTHERS = {"name": "gpu", "resourceClaimTemplateName": "gpu-5806mi"}, {"name": "nic", "resourceClaimName": "nic"}
USE = [{"name": "gpu"}]


def model_pod(memory: TwinState, labels: dict[str, str] | None = None, **changes: Any) -> Object:
    """The pod of a model of the plan, with Knative's container beside its own. labels: in place of its own."""
    model = next(model for model in load_plan(memory).models if model.claim_mib == 5806)
    own = copy.deepcopy(dict(model.template))
    metadata = {"name": "a", "namespace": model.namespace, "labels": own["metadata"]["labels"]}
    if labels is not None:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**own["spec"], **changes}}


def uses(pod: Object) -> dict[str, Any]:
    """Claims of each container, and of those that run before them."""
    spec = pod["spec"]
    return {c["name"]: c["resources"].get("claims") for c in [*spec.get("initContainers", []), *spec["containers"]]}


def test_a_model_s_pod_gets_its_claim_and_keeps_all_else(memory: TwinState) -> None:
    kube, wanted = connect(memory), model_pod(memory)
    pod = dry_run(kube, wanted)["spec"]
    assert pod.pop("resourceClaims") == [OURS]
    assert uses({"spec": pod}) == {"weights": None, "ollama": USE, "queue-proxy": None}
    labels = {key: value for key, value in wanted["metadata"]["labels"].items() if key != CLAIM_LABEL}
    without = dry_run(kube, model_pod(memory, labels))["spec"]
    del pod["containers"][0]["resources"]["claims"]
    assert pod == without, "requests, probes, variables and volumes are as without it"


@pytest.mark.parametrize(
    ("labels", "changes", "claims"),
    [
        ({}, {}, None),
        ({"gpu-slices/model": "mistral"}, {}, None),
        ({CLAIM_LABEL: "5806"}, {"resourceClaims": []}, [OURS]),
        ({CLAIM_LABEL: "5806"}, {"resourceClaims": [OTHERS]}, [OTHERS]),
    ],
    ids=["no labels", "another label", "an empty list", "claims of its own"],
)
def test_pods_that_ask_for_nothing_or_have_claims_stay_as_they_are(
    labels: dict[str, str], changes: dict[str, Any], claims: Any, memory: TwinState
) -> None:
    pod = dry_run(connect(memory), model_pod(memory, labels, **changes))
    assert pod["spec"].get("resourceClaims") == claims
    assert uses(pod)["ollama"] == (USE if claims == [OURS] else None)


def test_several_containers_share_the_claim_but_knative_s(memory: TwinState) -> None:
    wanted = model_pod(memory)
    bare = {key: value for key, value in wanted["spec"]["containers"][0].items() if key in ("image", "securityContext")}
    wanted["spec"]["containers"].append({"name": "sidecar", **bare})
    found = uses(dry_run(connect(memory), wanted))
    assert found == {"weights": None, "ollama": USE, "queue-proxy": None, "sidecar": USE}


def test_the_label_does_nothing_outside_the_models_namespace(memory: TwinState) -> None:
    """And no namespace can pass for it: the API server writes the label that the policy selects."""
    kube, wanted = connect(memory), model_pod(memory)
    wanted["metadata"]["namespace"] = "default"
    assert "resourceClaims" not in dry_run(kube, wanted)["spec"]
    labels = {"kubernetes.io/metadata.name": "models"}
    forged = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "forged", "labels": labels}}
    assert dry_run(kube, forged)["metadata"]["labels"] == {"kubernetes.io/metadata.name": "forged"}


def test_a_label_names_nothing_but_a_size(memory: TwinState) -> None:
    """Whatever it says, the claim is of a template `gpu-...mi` in the same namespace, or none."""
    with pytest.raises(ApiError, match="resourceClaimTemplateName: Invalid value"):
        dry_run(connect(memory), model_pod(memory, {CLAIM_LABEL: "A_b"}))
    pod = dry_run(connect(memory), model_pod(memory, {CLAIM_LABEL: ""}))
    assert pod["spec"]["resourceClaims"] == [{**OURS, "resourceClaimTemplateName": "gpu-mi"}]


def test_a_size_without_a_template_waits_and_says_so(memory: TwinState) -> None:
    kube, wanted = connect(memory), model_pod(memory, {CLAIM_LABEL: "7777"})
    wanted["metadata"]["name"] = "no-template"
    kube.apply(wanted)
    try:
        deadline = time.monotonic() + 90
        said: list[str] = []
        while not said and time.monotonic() < deadline:
            time.sleep(0.2)
            events = kube.list("v1", "Event", "models")
            said = [e["message"] for e in events if e["reason"] == "FailedResourceClaimCreation"]
        assert any('"gpu-7777mi" not found' in message for message in said), said
        pod = kube.get("v1", "Pod", "no-template", "models")
        assert pod is not None
        assert "nodeName" not in pod["spec"]
    finally:
        kube.delete("v1", "Pod", "no-template", "models")


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("Object.spec{resource", "Object.spec{{resource", "Syntax error"),
        (".filter(", ".filtre(", "undeclared reference"),
    ],
)
def test_what_the_api_server_cannot_compile_it_refuses(right: str, wrong: str, why: str, memory: TwinState) -> None:
    """As it is in the plan it is taken; the server would have seen these."""
    kube, spec = connect(memory), copy.deepcopy(policy_spec())
    policy = {"apiVersion": ADMISSION, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "a"}, "spec": spec}
    assert dry_run(kube, policy)["spec"]["mutations"] == spec["mutations"]
    there = kube.get(ADMISSION, "MutatingAdmissionPolicy", POLICY)
    assert there is not None
    assert there["spec"]["mutations"] == spec["mutations"]
    mutation = spec["mutations"][0]["applyConfiguration"]
    assert right in mutation["expression"]
    mutation["expression"] = mutation["expression"].replace(right, wrong)
    with pytest.raises(ApiError, match=why):
        dry_run(kube, policy)
