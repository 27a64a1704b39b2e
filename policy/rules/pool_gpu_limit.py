"""Every NodePool that can buy GPUs says how many at most."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.karpenter import NODE_POOL_TYPES, NodePool
from policy.reading import Unknown, get, quantity, text, whole

#: What GPUs and their slots are called; a limit on anything else limits nothing.
_RESOURCE = re.compile(r"nvidia\.com/(gpu|gpu\.shared|mig-\d+g\.\d+gb(\.shared)?)")


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield what is missing in a GPU pool's limits."""
    pool = NodePool(resource.plain, resource.name)
    gpu = pool.first_gpu_type()
    replicas = get(pool.manifest, "spec", "replicas")
    if gpu is None or isinstance(replicas, Unknown) or whole(replicas) is not None:
        return  # a static pool has its size
    limits = {key: value for key, value in pool.limits.items() if _RESOURCE.fullmatch(key)}
    if not limits:
        yield f'can launch {gpu} without end: write `"nvidia.com/gpu": "<most GPUs>"` under spec.limits.'
    for key, value in limits.items():
        if isinstance(value, Unknown):
            yield f"spec.limits.{key} must be a literal."
            continue
        most = quantity(value)
        if most is None:
            yield f"spec.limits.{key} is {value!r}, which is no Kubernetes quantity: write a number such as 4."
        elif most < 0:
            yield f"spec.limits.{key} is {text(value)}, with which Karpenter buys nothing: write 0 or more."


RULE = ResourceRule(
    name="gpu-pool-has-limit",
    title="Every GPU pool has a limit",
    description="A NodePool that can launch GPU types must limit `nvidia.com/gpu`, or what its slots are called.",
    why=(
        "Karpenter buys a node for every pod that fits nowhere. One Deployment scaled by mistake, or slots of which "
        "Karpenter knows nothing, and a pool without a limit buys GPUs until the quota ends."
    ),
    fix=(
        'Write `"nvidia.com/gpu": "4"` under `spec.limits`. The list is flat in `karpenter.sh/v1`, and Karpenter '
        "counts what overlays state: with shared GPUs the figure is in slots. The API server takes quantities alone, "
        "and with a negative one Karpenter never launches a node (v1.14.1, `pkg/apis/v1/nodepool.go` ExceededBy)."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=NODE_POOL_TYPES,
    check=check,
)
