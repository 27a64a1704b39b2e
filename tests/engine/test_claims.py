"""Claims of GPU memory on the real engine: `up`, other needs below running pods, and `destroy` with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from components.gpu.sized_claims import CLAIMS_POLICY, PODS_POLICY
from components.serving.model_claims import POLICY
from gpu.contract import CLAIM_LABEL
from gpu.sharing.memory import template_name
from tests.engine.engine import Workspace
from tests.engine.journal import Entry
from twin.destroy import instances
from twin.kube.client import Kube
from twin.machine.launch import connect
from twin.machine.state import TwinState

#: One that always runs, and one that sleeps.
MISTRAL = {"name": "mistral", "model": "mistral:7b", "pool": "memory", "minScale": 1}
PHI = {"name": "phi3", "model": "phi3:mini", "pool": "memory"}
WORKLOAD = {
    "name": "transcribe",
    "pool": "memory",
    "gpuMemoryMib": 3000,
    "containers": [{"name": "app", "image": "docker.io/a/b:1", "slots": 1, "cpu": "200m", "memory": "512Mi"}],
}
NAMESPACES = ("models", "workloads")
_TEMPLATE = "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate"
_POLICY = "kubernetes:admissionregistration.k8s.io/v1:MutatingAdmissionPolicy"
_BINDING = f"{_POLICY}Binding"
#: What refuses pods and claims that would take a whole GPU.
_REFUSES = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
_RELEASE = "kubernetes:helm.sh/v3:Release"
_POOL = "kubernetes:karpenter.sh/v1:NodePool"
_SERVICE = "kubernetes:serving.knative.dev/v1:Service"
_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
#: Seconds in which the twin's Karpenter has bought a node and its pods run.
_PATIENCE = 240.0


@dataclass(frozen=True, kw_only=True)
class _Pod:
    """A pod with a GPU. template: of its claim."""

    uid: str
    node: str
    template: str


def test_claims_come_change_and_go(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState]
) -> None:
    made = workspace("memory")
    assert made.preview(expect=0).mandatory == [], "of the stack as it is in the repository"
    # The twin's Knative plays a service that its own plan has as that has it, and others as the API server has them.
    made.configure({"models": []})
    kube = connect(ground(made))
    made.configure({"models": [MISTRAL, PHI], "workloads": [WORKLOAD]})
    made.up(expect=0)
    came = made.journal()
    _one_after_the_other(_of(came, "create", _POLICY, _BINDING), _of(came, "create", _POOL, name="gpu-memory"))
    _one_after_the_other(
        _of(came, "create", _POLICY, _BINDING, _TEMPLATE), _of(came, "create", _SERVICE, name="model-")
    )
    _one_after_the_other(
        _of(came, "create", _REFUSES, f"{_REFUSES}Binding"), _of(came, "create", _RELEASE, name="dra-driver")
    )
    assert _refusing(kube) == {CLAIMS_POLICY, PODS_POLICY}
    assert made.preview("--expect-no-changes").steps() == {}
    _changed(made, kube, _running(kube, {}))
    _destroyed(made, kube)


def _changed(made: Workspace, kube: Kube, before: Mapping[str, _Pod]) -> None:
    """Another need is another template: what Kubernetes lets nobody change is not changed, and nobody waits for it."""
    assert before["models"].template == _template_of(kube, "mistral")
    sleeping, bought, since = _template_of(kube, "phi3"), len(instances(kube)), len(made.journal())
    made.configure(
        {"models": [{**MISTRAL, "contextLength": 8192}, PHI], "workloads": [{**WORKLOAD, "gpuMemoryMib": 3500}]}
    )
    steps = _steps(made)
    assert steps.pop("model-mistral") == steps.pop("workloads-transcribe") == "update"
    assert sorted(steps.values()) == ["create", "create", "delete", "delete"], steps
    assert all("-claim-" in name for name in steps), steps
    made.up(expect=0)
    entries = made.journal()[since:]
    moved = _of(entries, "update", _SERVICE, _DEPLOYMENT)
    _one_after_the_other(_of(entries, "create", _TEMPLATE), moved)
    _one_after_the_other(moved, _of(entries, "delete", _TEMPLATE))
    after = _running(kube, before)
    assert after["models"].template == _template_of(kube, "mistral") != before["models"].template
    assert _template_of(kube, "phi3") == sleeping
    assert {pod.node for pod in after.values()} == {pod.node for pod in before.values()}, "beside those that ran"
    assert len(instances(kube)) == bought
    assert _templates(kube) == {*(pod.template for pod in after.values()), sleeping}
    assert made.preview("--expect-no-changes").steps() == {}


def _destroyed(made: Workspace, kube: Kube) -> None:
    """Pods run while it begins. The policy outlives whatever it gives claims to, and nothing is left."""
    since = len(made.journal())
    made.destroy(expect=0)
    assert made.state() == []
    assert instances(kube) == []
    entries = made.journal()[since:]
    users = [*_of(entries, "delete", _SERVICE, name="model-"), *_of(entries, "delete", _DEPLOYMENT, name="transcribe")]
    _one_after_the_other(users, _of(entries, "delete", _TEMPLATE))
    pools = _of(entries, "delete", _POOL, name="gpu-memory")
    _one_after_the_other([*users, *pools], _of(entries, "delete", _POLICY, _BINDING))
    _one_after_the_other(
        _of(entries, "delete", _RELEASE, name="dra-driver"), _of(entries, "delete", _REFUSES, f"{_REFUSES}Binding")
    )
    assert _refusing(kube) == set()
    assert _templates(kube) == set()
    policies = kube.list("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy")
    assert POLICY not in {each["metadata"]["name"] for each in policies}


def _steps(made: Workspace) -> dict[str, str]:
    steps = made.preview(expect=0).steps()
    return {urn.rpartition("::")[2]: how for urn, how in steps.items() if "::pulumi:pulumi:Stack::" not in urn}


def _of(entries: Iterable[Entry], operation: str, *types: str, name: str = "") -> list[Entry]:
    found = [each for each in entries if each.operation == operation and each.type in types and name in each.name]
    assert found, f"no {operation} of {types} {name}"
    return found


def _one_after_the_other(first: Iterable[Entry], then: Iterable[Entry]) -> None:
    last, begun = max(first, key=lambda each: each.ended), min(then, key=lambda each: each.began)
    assert last.ended <= begun.began, f"{begun.operation} of {begun.name} began before {last.name} was done"


def _template_of(kube: Kube, model: str) -> str:
    """Name of the template of a model, by the label of its service."""
    service = kube.get("serving.knative.dev/v1", "Service", model, "models")
    assert service is not None
    return template_name(int(service["spec"]["template"]["metadata"]["labels"][CLAIM_LABEL]))


def _templates(kube: Kube) -> set[str]:
    return {each["metadata"]["name"] for each in kube.list("resource.k8s.io/v1", "ResourceClaimTemplate")}


def _refusing(kube: Kube) -> set[str]:
    """Names of the policies that are bound."""
    bindings = kube.list("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding")
    return {each["spec"]["policyName"] for each in bindings}


def _running(kube: Kube, before: Mapping[str, _Pod]) -> dict[str, _Pod]:
    """The pod in each namespace, as soon as it runs alone and none of those before."""
    old = {pod.uid for pod in before.values()}
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = {namespace: kube.list("v1", "Pod", namespace) for namespace in NAMESPACES}
        settled = all(
            len(pods) == 1 and pods[0]["status"].get("phase") == "Running" and pods[0]["metadata"]["uid"] not in old
            for pods in found.values()
        )
        if settled:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return {
        namespace: _Pod(
            uid=pod["metadata"]["uid"],
            node=pod["spec"]["nodeName"],
            template=pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"],
        )
        for namespace, (pod,) in found.items()
    }
