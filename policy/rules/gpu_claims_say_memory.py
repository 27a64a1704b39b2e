"""Claims on shared GPUs say how much memory they take."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from gpu.claims import CLAIM_AT_LEAST_MIB
from gpu.contract import CONSUMABLE_ANNOTATION
from policy.dra import (
    CLAIM_TYPES,
    DEVICE_CLASS_PATCHES,
    DEVICE_CLASS_TYPES,
    DeviceRequest,
    class_resources,
    device_classes,
    requests,
    without_claim,
)
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.pods import PATCH_TYPES, POD_TYPES, pod_templates
from policy.reading import quantity, text
from policy.sharing import NODE_CLASS_TYPES, claims_of

#: Bytes of the smallest claim. The driver takes less for that much: a forgotten unit is a claim of next to nothing.
_LEAST: Final = CLAIM_AT_LEAST_MIB * 2**20


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield requests without a size, where the stack has nodes whose memory is claimed."""
    if not any(claims_of(resource.plain) == "memory" for resource in stack.of(*NODE_CLASS_TYPES)):
        return
    classes = device_classes(stack)
    yield from by_resource(stack.of(*CLAIM_TYPES), lambda resource: _of(resource, classes))
    names = class_resources(stack, classes)
    yield from by_resource(stack.of(*POD_TYPES, *PATCH_TYPES), lambda resource: _pods(resource, names))


def _pods(resource: Resource, names: Collection[str]) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        for container, name in without_claim(pod, names):
            message = f"container {container} requests {name}, and takes a whole GPU: name a claim with a size."
            yield Finding(message, resource.urn)


def _of(resource: Resource, classes: Collection[str]) -> Iterator[Finding]:
    for request in requests(resource):
        if request.device_class in classes and not request.admin:
            yield from (Finding(f"{request.path} {problem}", resource.urn) for problem in _problems(request))


def _problems(request: DeviceRequest) -> Iterator[str]:
    if request.everything:
        yield "has allocationMode All, which takes every GPU of a node: write ExactCount."
    memory = request.memory
    if memory is None:
        yield "says no capacity.requests.memory, and takes a whole GPU: write how much, such as 6Gi."
    elif (quantity(memory) or 0) < _LEAST:
        yield f"has capacity.requests.memory {text(memory)}: write a quantity of 1Mi or more, such as 6Gi."


RULE = StackRule(
    name="gpu-claims-say-memory",
    title="Claims on shared GPUs have a size",
    description=(
        "Where an EC2NodeClass says that claims share the memory of its GPUs, each ResourceClaim and "
        "ResourceClaimTemplate for NVIDIA's GPUs must say how much of it, and no pod may have a GPU by the resource of "
        "its DeviceClass. Claims with `adminAccess` take nothing, and need no size."
    ),
    why=(
        "A request for a device that names no capacity gets all of it (`DRAConsumableCapacity`; the driver's default "
        "is the whole): one pod holds the GPU that was bought for four. So does a container that requests "
        "`deviceclass.resource.kubernetes.io/gpu.nvidia.com`, which each DeviceClass has since Kubernetes 1.36. A size "
        f"without a unit is in bytes, of which the driver makes 1Mi. `{CONSUMABLE_ANNOTATION}: memory` is read from "
        "EC2NodeClasses of the same stack."
    ),
    fix=(
        "Write `capacity: {requests: {memory: 6Gi}}` beside `deviceClassName`, in each alternative of the request. For "
        "`adminAccess` 1Mi will do: Kubernetes 1.36 lets such a claim in only where as much is free as it says, or all "
        "of a GPU where it says nothing, and Karpenter buys one for it."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*NODE_CLASS_TYPES, *CLAIM_TYPES, *DEVICE_CLASS_TYPES, *DEVICE_CLASS_PATCHES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
