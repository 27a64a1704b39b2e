"""What is critical does not run on capacity that AWS takes back."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.contract import CAPACITY_TYPE_LABEL, IMPORTANCE_LABEL
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.importance import (
    CRITICAL,
    GPU_CLAIM_TYPES,
    PRIORITY_CLASS,
    Classes,
    GpuClaims,
    classes,
    gpu_claims,
    kinds_of,
    placed,
    uses_gpu,
    with_pods,
)
from policy.karpenter import NodePool
from policy.node_groups import GPU_POOL_TYPES, SPOT, gpu_pools
from policy.pods import PATCH_TYPES, POD_TYPES, PodTemplate, pod_templates


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield critical pods with GPUs that may land on Spot, or on a capacity block."""
    known, pools, claims = classes(stack), gpu_pools(stack), gpu_claims(stack)
    yield from by_resource(with_pods(stack), lambda resource: _of(resource, known, pools, claims))


def _of(resource: Resource, known: Classes, pools: list[NodePool], claims: GpuClaims) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        importance = known.of(pod)
        if (CRITICAL in importance.words or importance.unknown) and uses_gpu(pod, claims):
            where = _where(pod, pools)
            blocks = placed(pod, [pool for pool in pools if pool.block], "reserved")
            if blocks and CRITICAL in importance.words:
                yield Finding(
                    f"is critical, and may land on a capacity block{_of_pools(blocks)}: all its nodes end at its hour. "
                    "Give it a pool of capacity that stays: on demand with a justification, or a reservation.",
                    pod.urn,
                )
            if where and CRITICAL in importance.words:
                yield Finding(
                    f"is critical, and may land on Spot{where}: AWS takes it back with two minutes' notice. Require "
                    f"`{CAPACITY_TYPE_LABEL}: on-demand`, on a pool that buys it with a justification, or `reserved`.",
                    pod.urn,
                )
            elif where:
                unknown = ", ".join(importance.unknown)
                yield Finding(
                    f"may land on Spot{where}, and whether it is critical is not known in preview: write {unknown} as "
                    "a literal.",
                    pod.urn,
                )


def _where(pod: PodTemplate, pools: list[NodePool]) -> str:
    """Words for where it meets Spot; empty where it does not. Without pools in the program, what it asks for itself."""
    if names := placed(pod, pools, SPOT):
        return _of_pools(names)
    return ", which it asks for" if kinds_of(pod) == {SPOT} else ""


def _of_pools(names: list[str]) -> str:
    return f" of pool{'s' if len(names) > 1 else ''} {', '.join(names)}"


RULE = StackRule(
    name="gpu-critical-off-spot",
    title="Critical work is on capacity that stays",
    description=(
        f"Pods with GPUs and `{IMPORTANCE_LABEL}: critical`, or a critical PriorityClass, must not be on Spot nor on a "
        "capacity block."
    ),
    why=(
        "AWS takes GPU instances of some types back in one of five cases a month, with two minutes' notice, and most "
        "often when nobody else gets any either. A model that must answer is then away until capacity comes back: its "
        "priority helps against other pods, not against the end of its node. A capacity block ends at an hour that is "
        "known, with all its nodes."
    ),
    fix=(
        f"Give the pods `nodeSelector: {{{CAPACITY_TYPE_LABEL}: on-demand}}` (or `reserved`) and a pool that buys it, "
        "or a managed node group whose `capacityType` is not SPOT; in a stack file `importance: critical` does that. "
        "Or take the label, or the priority class, away: what may "
        "be on Spot is not critical. Critical is what has the label or annotation itself or by its owner, a "
        "PriorityClass that has it, or `system-cluster-critical` and `system-node-critical`."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*GPU_POOL_TYPES, PRIORITY_CLASS, *GPU_CLAIM_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
