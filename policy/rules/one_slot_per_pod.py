"""A pod takes one slot, in one container."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.contract import GPU_RESOURCE
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.pods import PATCH_TYPES, POD_TYPES, GpuContainer, PodTemplate, pod_templates
from policy.reading import Unknown, quantity, text
from policy.sharing import SHARING_TYPES, JudgedPool, sharing_view


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield pods that ask for more than one slot, or in more than one container."""
    pools = sharing_view(stack).pools
    yield from by_resource(stack.resources, lambda resource: _of(resource, pools))


def _of(resource: Resource, pools: list[JudgedPool]) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        slots = [item for item in pod.gpu_containers() if _is_slot(item, pod, pools)]
        before = [item for item in pod.initial_gpu_containers() if _is_slot(item, pod, pools)]
        problems = (*_quantities([*before, *slots]), *_shares(slots))
        yield from (Finding(problem, pod.urn) for problem in problems)


def _is_slot(container: GpuContainer, pod: PodTemplate, pools: list[JudgedPool]) -> bool:
    """`nvidia.com/gpu` is a slot where the pod may land on a shared pool; every other name of NVIDIA's always is."""
    if container.resource != GPU_RESOURCE:
        return True
    return any(pod.may_land_on(pool.pool) and pool.sharing and pool.sharing.shares for pool in pools)


def _quantities(slots: list[GpuContainer]) -> Iterator[str]:
    for container in slots:
        if isinstance(container.quantity, Unknown):
            yield f"container {container.name}: {container.resource} must be a literal."
        elif quantity(container.quantity) != 1:
            yield (
                f"container {container.name} asks for {text(container.quantity)} {container.resource}: ask for 1. Two "
                "slots are not twice the GPU; for whole GPUs use a pool without sharing."
            )


def _shares(slots: list[GpuContainer]) -> Iterator[str]:
    names = list(dict.fromkeys(container.name for container in slots))
    if len(names) > 1:
        yield f"containers {', '.join(names)} each take a slot: give the GPU to one of them."


RULE = StackRule(
    name="gpu-one-slot-per-pod",
    title="One slot a pod",
    description="A pod on shared GPUs must ask for exactly one slot, in exactly one container.",
    why=(
        "Slots are not additive: two of them give the same share of one GPU, or shares of two GPUs that one process "
        "does not use together. The device plugin refuses such pods on the node, where they stay behind as "
        "UnexpectedAdmissionError. With two GPU containers Karpenter buys for two GPUs "
        "(aws/karpenter-provider-aws#9070)."
    ),
    fix=(
        "Ask for `1` in one container. A pod that needs several whole GPUs belongs on a pool without sharing: select "
        "that pool by node selector."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
