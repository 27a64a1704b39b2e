"""Every NodePool that can buy GPUs says how many at most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gpu.contract import GPU_RESOURCE
from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.instances import is_gpu
from policy.karpenter import NODE_POOL_PATCHES, NodePool
from policy.reading import Unknown, get, quantity, text, whole
from policy.sharing import SHARING_TYPES, JudgedPool, Overlay, sharing_view

#: What GPUs and their slots are called.
_RESOURCE = re.compile(r"nvidia\.com/(gpu|gpu\.shared|mig-\d+g\.\d+gb(\.shared)?)")
#: What every node has, whatever its GPUs are called.
_OF_EVERY_NODE: Final = ("cpu", "memory", "nodes")
_AMD: Final = "amd.com/gpu"
#: AMD's GPUs have a resource of their own, and EC2 tells of no whole GPU on a fraction of one
#: (aws/karpenter-provider-aws#8368): Karpenter counts 0 `nvidia.com/gpu` there.
_NO_NVIDIA: Final = re.compile(r"g\d+ad|gr?\d+f")


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield what is missing in a GPU pool's limits."""
    view = sharing_view(stack)
    for pool in view.pools:
        replicas = get(pool.pool.manifest, "spec", "replicas")
        if isinstance(replicas, Unknown) or whole(replicas) is not None:
            continue  # a static pool has its size
        if pool.sharing and pool.sharing.strategy == "memory":
            yield from (Finding(problem, pool.urn) for problem in _of_claims(pool.pool))
            continue
        limits = {key: value for key, value in pool.pool.limits.items() if _RESOURCE.fullmatch(key)}
        found = list(_problems(pool, limits)) or list(_without_effect(pool, limits, view.overlays))
        yield from (Finding(problem, pool.urn) for problem in found)
    for resource in stack.of(*NODE_POOL_PATCHES):
        patch = JudgedPool(NodePool(resource.plain, resource.name), resource.urn, None)
        spec = get(patch.pool.manifest, "spec")
        static = whole(get(spec, "replicas")) is not None
        if isinstance(spec, Mapping) and "limits" in spec and not static and patch.pool.first_gpu_type() is not None:
            limits = {key: value for key, value in patch.pool.limits.items() if _RESOURCE.fullmatch(key)}
            yield from (Finding(problem, resource.urn) for problem in _problems(patch, limits))


def _problems(pool: JudgedPool, limits: Mapping[str, Any]) -> Iterator[str]:
    if not limits and not (_AMD in pool.pool.limits and _all_without_nvidia(pool.pool)):
        gpu = pool.pool.first_gpu_type()
        yield f'can launch {gpu} without end: write `"nvidia.com/gpu": "<most GPUs>"` under spec.limits.'
    for key, value in limits.items():
        yield from _no_limit(key, value)


def _of_claims(pool: NodePool) -> Iterator[str]:
    """Nodes whose GPUs are claimed have no `nvidia.com/gpu`, and Karpenter counts no devices of claims."""
    if "cpu" not in pool.limits:
        given = ", ".join(pool.limits)
        besides = f": limits {given}, and nodes whose memory is claimed are not counted by that" if given else ""
        yield f"can launch {pool.first_gpu_type()} without end{besides}; limit cpu, to the vCPUs of as many GPUs."
        return
    yield from _no_limit("cpu", pool.limits["cpu"])


def _no_limit(key: str, value: Any) -> Iterator[str]:
    """What is wrong with a limit by itself."""
    if isinstance(value, Unknown):
        yield f"spec.limits.{key} must be a literal."
        return
    most = quantity(value)
    if most is None:
        yield f"spec.limits.{key} is {text(value)!r}, which is no Kubernetes quantity: write a number such as 4."
    elif most < 0:
        yield f"spec.limits.{key} is {text(value)}, with which Karpenter buys nothing: write 0 or more."


def _all_without_nvidia(pool: NodePool) -> bool:
    return all(_NO_NVIDIA.fullmatch(candidate.name.partition(".")[0]) for candidate in pool.gpu_types())


def _without_effect(pool: JudgedPool, limits: Mapping[str, Any], overlays: Sequence[Overlay]) -> Iterator[str]:
    """Limits against which no node of a type counts: Karpenter never stops (`pkg/apis/v1/nodepool.go` ExceededBy)."""
    if any(pool.pool.limits.get(name) is not None for name in _OF_EVERY_NODE):
        return
    shared = pool.sharing.resource if pool.sharing and pool.sharing.shares else None
    unbound: dict[str, None] = {}
    named = _named(pool.pool)
    for candidate in pool.pool.gpu_types():
        family = candidate.name.partition(".")[0]
        nothing = _NO_NVIDIA.fullmatch(family) is not None
        if (nothing and family not in named and not _all_without_nvidia(pool.pool)) or shared in limits:
            continue
        if nothing and _AMD in pool.pool.limits and family.endswith("ad"):
            continue
        if not _counts(limits, pool.overlays(candidate, overlays), nothing=nothing):
            unbound[candidate.name] = None
    if unbound:
        names = ", ".join(list(unbound)[:3]) + (f" and {len(unbound) - 3} more" if len(unbound) > 3 else "")
        yield (
            f"limits {', '.join(limits)}, of which Karpenter counts none on {names}, so nothing stops it: limit cpu, "
            "or what these nodes have."
        )


def _named(pool: NodePool) -> set[str]:
    """Families that its requirements list by their names."""
    listed = (value for item in pool.requirements if item.operator == "In" for value in item.values or ())
    return {value.partition(".")[0] for value in listed if is_gpu(value)}


def _counts(limits: Mapping[str, Any], overlays: Sequence[Overlay], *, nothing: bool) -> bool:
    """Whether a node of the type has something of a limited resource, as EC2 reports it or an overlay says."""
    for resource in limits:
        stated = next((overlay.capacity[resource] for overlay in overlays if resource in overlay.capacity), None)
        if isinstance(stated, Unknown):
            return True
        if stated is None and resource == GPU_RESOURCE and not nothing:
            return True
        if stated is not None and (quantity(stated) or 0) > 0:
            return True
    return False


RULE = StackRule(
    name="gpu-pool-has-limit",
    title="Every GPU pool has a limit",
    description=(
        "A NodePool that can launch GPU types must limit `nvidia.com/gpu`, or what its slots are called, and its nodes "
        "must have what is limited; where pods claim memory it must limit `cpu`."
    ),
    why=(
        "Karpenter buys a node for every pod that fits nowhere. One Deployment scaled by mistake, or slots of which "
        "Karpenter knows nothing, and a pool without a limit buys GPUs until the quota ends. A limit on what Karpenter "
        "does not count is none: slots that nothing makes, NVIDIA's name on AMD's GPUs or on a fraction of a GPU "
        "(aws/karpenter-provider-aws#8368), an overlay that says 0. Nodes for claims of devices (DRA) report no GPU at "
        "all: under a limit of one, three were bought (seen with Karpenter 1.15)."
    ),
    fix=(
        'Write `"nvidia.com/gpu": "4"` under `spec.limits`. The list is flat in `karpenter.sh/v1`, and Karpenter '
        "counts what overlays state: with shared GPUs the figure is in slots. The API server takes quantities alone, "
        "and with a negative one Karpenter never launches a node (v1.15.0, `pkg/apis/v1/nodepool.go` ExceededBy)."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *NODE_POOL_PATCHES),
    check=check,
)
