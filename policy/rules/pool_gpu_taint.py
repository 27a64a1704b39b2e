"""Pods that need no GPU stay off GPU nodes."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity, matches
from policy.karpenter import NODE_POOL_PATCHES, NODE_POOL_TYPES, NodePool
from policy.reading import text

_HARD = {"NoSchedule", "NoExecute"}


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield if a pool can launch GPU types and no taint keeps pods away."""
    pool = NodePool(resource.plain, resource.name)
    gpu = pool.first_gpu_type()
    if matches(NODE_POOL_PATCHES, resource.type) and not pool.taints:
        return  # it leaves them as they are
    if gpu is not None and not any(text(taint.get("effect")) in _HARD for taint in pool.taints):
        yield (
            f"can launch {gpu} and has no taint: write `{{key: nvidia.com/gpu, value: 'true', effect: NoSchedule}}` "
            "under spec.template.spec.taints, or keep GPU types out of the pool."
        )


RULE = ResourceRule(
    name="gpu-pool-has-taint",
    title="Every GPU pool has a taint",
    description="A NodePool that can launch GPU types must have a taint with the effect NoSchedule or NoExecute.",
    why=(
        "Without a taint any pod may land on a GPU node, and a single small one keeps the node from being empty, so "
        "that Karpenter never gives the GPU back."
    ),
    fix=(
        "Add the taint `nvidia.com/gpu=true:NoSchedule` to GPU pools, and give a toleration to GPU pods alone. A pool "
        "meant for CPUs excludes GPU types with `karpenter.k8s.aws/instance-gpu-count DoesNotExist`."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*NODE_POOL_TYPES, *NODE_POOL_PATCHES),
    check=check,
)
