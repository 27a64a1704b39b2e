"""SizedClaims: in a cluster whose GPUs' memory is claimed, whoever takes a GPU says how much of it.

Since Kubernetes 1.36 each DeviceClass has a resource that pods may request in place of a claim, and the scheduler then
claims a whole device for them. No field of the class switches that off (k8s.io/dynamic-resource-allocation v0.36.3
deviceclass/extendedresourcecache, updateResourceName2class), and the gate is the control plane's. Claims that name no
capacity take a whole GPU too: the driver's default is all of it. So two ValidatingAdmissionPolicies refuse both,
whoever asks, as rule `gpu-claims-say-memory` of the policy pack does for programs; a whole GPU is had by claiming all
its memory. What the scheduler would claim for a pod is refused as well, of pods that were there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi

from components.options import child_options
from components.sdk import k8s
from gpu.claims import CLAIM_AT_LEAST_MIB
from gpu.contract import DEVICE_CLASS, DEVICE_CLASS_PREFIX, UNCLAIMED_RESOURCE
from gpu.sharing.memory import DEVICE_MEMORY

#: Names of the policies and their bindings. There is one driver in a cluster and one class of it: so of these.
CLAIMS_POLICY: Final = "gpu-claims-say-memory"
PODS_POLICY: Final = "gpu-pods-name-claims"
#: Resources by which the scheduler claims a device of the class for a pod: one by its name, one by its spec.
_BY_RESOURCE: Final = (f"{DEVICE_CLASS_PREFIX}{DEVICE_CLASS}", UNCLAIMED_RESOURCE)


class SizedClaims(pulumi.ComponentResource):
    """Both policies with their bindings. Needs a Kubernetes provider. ready: all of them."""

    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:SizedClaims", name, None, opts)
        self._opts = opts
        self.ready = (
            *self._policy(f"{name}-claims", CLAIMS_POLICY, claims_policy_spec()),
            *self._policy(f"{name}-pods", PODS_POLICY, pods_policy_spec()),
        )
        self.register_outputs({})

    def _policy(self, name: str, called: str, spec: Any) -> tuple[pulumi.Resource, pulumi.Resource]:
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            name, metadata={"name": called}, spec=spec, opts=child_options(self, self._opts)
        )
        binding_spec: Any = {"policyName": called, "validationActions": ["Deny"]}
        binding = k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            name, metadata={"name": called}, spec=binding_spec, opts=child_options(self, self._opts, policy)
        )
        return policy, binding


def pods_policy_spec() -> Any:
    """The `spec` of the policy of pods: no container requests a device of the class.

    Nothing but the containers of a new pod can: the API server lets no resources of a whole pod, of ephemeral
    containers or of a resize be such, and the scheduler claims nothing for a pod's overhead.
    """
    asks = (
        f"{list(_BY_RESOURCE)}.exists(name, [c.?resources.?requests, c.?resources.?limits]"
        ".exists(kind, quantity(kind[?name].orValue('0')).isGreaterThan(quantity('0'))))"
    )
    containers = "dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([]))"
    message = (
        f"'a whole GPU is requested by its DeviceClass {DEVICE_CLASS}, in container ' + variables.taking.join(', ') + "
        "'. The memory of GPUs is shared here by claims that say how much of it: name a ResourceClaimTemplate in "
        "spec.resourceClaims, and that claim in resources.claims of the container (kubectl get resourceclaimtemplates "
        "--namespace ' + request.namespace + '). A claim may be of all the memory of a GPU.'"
    )
    return _spec(
        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]},
        {"taking": f"({containers}).filter(c, {asks}).map(c, c.name)"},
        {"taking": message},
    )


def claims_policy_spec() -> Any:
    """The `spec` of the policy of claims and their templates: each request for the class, in every alternative, has a
    size. Those with `adminAccess` take nothing. Nobody can change a claim later."""
    ours = f"d.deviceClassName == '{DEVICE_CLASS}' && !d.?adminAccess.orValue(false)"
    memory = f"d.?capacity.?requests[?'{DEVICE_MEMORY}'].orValue('0')"
    least = f"{CLAIM_AT_LEAST_MIB}Mi"
    return _spec(
        {
            "apiGroups": ["resource.k8s.io"],
            "apiVersions": ["v1"],
            "resources": ["resourceclaims", "resourceclaimtemplates"],
        },
        {
            # Of a template the claim's spec is in its own. Where there are no requests, they are null.
            "claim": "dyn(object.spec).?spec.orValue(dyn(object.spec))",
            "requests": "optional.ofNonZeroValue(variables.claim.?devices.?requests.orValue(null)).orValue([])",
            "everything": _requests(f"{ours} && d.?allocationMode.orValue('') == 'All'"),
            # The driver makes the least of what is less: a forgotten unit is a claim of next to nothing.
            "unsized": _requests(f"{ours} && quantity({memory}).isLessThan(quantity('{least}'))"),
        },
        {
            "everything": "'request ' + variables.everything.join(', ') + ' must not have allocationMode All, which "
            "takes every GPU of a node: write ExactCount.'",
            "unsized": "'request ' + variables.unsized.join(', ') + ' must say how much of a GPU it takes: write "
            f"capacity.requests.{DEVICE_MEMORY}, such as 6Gi, {least} or more, beside deviceClassName {DEVICE_CLASS}. "
            "Without it a claim takes the whole GPU; who needs that claims all its memory.'",
        },
    )


def _requests(wrong: str) -> str:
    """Names of the requests with an alternative `d` that is wrong, in CEL."""
    alternatives = "(has(r.exactly) ? [r.exactly] : r.?firstAvailable.orValue([]))"
    return f"variables.requests.filter(r, {alternatives}.exists(d, {wrong})).map(r, r.name)"


def _spec(what: Mapping[str, list[str]], variables: Mapping[str, str], refused: Mapping[str, str]) -> Any:
    """A policy. refused: lists among the variables that must be empty, each with what is said where it is not."""
    return {
        "matchConstraints": {"resourceRules": [{**what, "operations": ["CREATE"]}]},
        # The API server judges by itself: no webhook of ours could be away, and keep anybody's pods waiting.
        "failurePolicy": "Fail",
        "variables": [{"name": name, "expression": expression} for name, expression in variables.items()],
        "validations": [
            {"expression": f"variables.{name}.size() == 0", "messageExpression": message}
            for name, message in refused.items()
        ],
    }
