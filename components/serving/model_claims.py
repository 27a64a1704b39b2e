"""ModelClaims: gives the models' pods their claims of GPU memory, which Knative's API does not let a service write.

Knative drops `resourceClaims` and `resources.claims` from what it is told (knative.dev/serving
pkg/apis/serving/fieldmask.go, PodSpecMask and ResourceRequirementsMask). So a pod says by a label how much it claims,
and a MutatingAdmissionPolicy writes the claim into it as it is made. Knative's own container gets none.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.gpu.claims import CLAIM
from components.options import child_options
from components.sdk import k8s
from components.serving.model_space import NAMESPACE
from gpu.contract import CLAIM_LABEL
from gpu.pods import QUEUE_PROXY
from gpu.sharing.memory import template_name

POLICY = "gpu-memory-claim"


class ModelClaims(pulumi.ComponentResource):
    """The policy and its binding. Needs a Kubernetes provider.

    A pod that is made before the API server acts on it gets no claim, and no GPU: let the pools of such models depend
    on this component, so that seconds pass between it and the first pod.
    """

    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ModelClaims", name, None, opts)
        policy = k8s.admissionregistration.v1.MutatingAdmissionPolicy(
            name, metadata={"name": POLICY}, spec=policy_spec(), opts=child_options(self, opts)
        )
        binding_spec: Any = {"policyName": POLICY}
        binding = k8s.admissionregistration.v1.MutatingAdmissionPolicyBinding(
            name, metadata={"name": POLICY}, spec=binding_spec, opts=child_options(self, opts, policy)
        )
        self.ready = (policy, binding)
        self.register_outputs({})


def policy_spec() -> Any:
    """The `spec` of the MutatingAdmissionPolicy (admissionregistration.k8s.io/v1)."""
    return {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "matchConditions": [
            {
                "name": "asks",
                "expression": f"has(object.metadata.labels) && '{CLAIM_LABEL}' in object.metadata.labels",
            },
            {"name": "has-none", "expression": "!has(object.spec.resourceClaims)"},
        ],
        # Without its claim a pod would run on a GPU node with no GPU.
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _expression()}}],
    }


def _expression() -> str:
    """What the pod gets, in CEL: the claim by its template's name, and on every container but Knative's."""
    before, after = template_name(0).split("0")
    template = f'"{before}" + object.metadata.labels["{CLAIM_LABEL}"] + "{after}"'
    claim = f'Object.spec.resourceClaims{{name: "{CLAIM}", resourceClaimTemplateName: {template}}}'
    use = f'Object.spec.containers.resources.claims{{name: "{CLAIM}"}}'
    container = (
        f"Object.spec.containers{{name: c.name, resources: Object.spec.containers.resources{{claims: [{use}]}}}}"
    )
    containers = f'object.spec.containers.filter(c, c.name != "{QUEUE_PROXY}").map(c, {container})'
    return f"Object{{spec: Object.spec{{resourceClaims: [{claim}], containers: {containers}}}}}"
