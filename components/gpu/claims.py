"""Claims of GPU memory: the template of a size, and what a pod and its container say of their claim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulumi

from components.sdk import k8s
from gpu.contract import DEVICE_CLASS
from gpu.sharing.memory import DEVICE_MEMORY, template_name

#: Name of the one claim of a pod, and of the one request in it.
CLAIM = "gpu"


def claim_templates(
    name: str, namespace: str, sizes: Iterable[int], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """A ResourceClaimTemplate for each size in a namespace. sizes: MiB, each as often as it likes."""
    return [_template(f"{name}-claim-{mib}mi", namespace, mib, opts) for mib in sorted(set(sizes))]


def _template(name: str, namespace: str, claim_mib: int, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    request = {
        "name": CLAIM,
        "exactly": {
            "deviceClassName": DEVICE_CLASS,
            "allocationMode": "ExactCount",
            "count": 1,
            # Without it the claim would take the whole GPU.
            "capacity": {"requests": {DEVICE_MEMORY: f"{claim_mib}Mi"}},
        },
    }
    spec: Any = {"spec": {"devices": {"requests": [request]}}}
    return k8s.resource.v1.ResourceClaimTemplate(
        name, metadata={"name": template_name(claim_mib), "namespace": namespace}, spec=spec, opts=opts
    )


def pod_claims(claim_mib: int) -> list[dict[str, str]]:
    """`resourceClaims` of a pod: a claim of its own, made from the template of that size in its namespace."""
    return [{"name": CLAIM, "resourceClaimTemplateName": template_name(claim_mib)}]


def container_claims() -> list[dict[str, str]]:
    """`resources.claims` of the container that uses the GPU."""
    return [{"name": CLAIM}]
