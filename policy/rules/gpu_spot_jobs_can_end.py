"""A Job on Spot GPUs must hear that its node goes, and have its time to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from gpu.checkpoints import POD_GRACE_SECONDS, node_seconds
from gpu.contract import CAPACITY_TYPE_LABEL, DO_NOT_DISRUPT_ANNOTATION
from gpu.durations import seconds
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.importance import GPU_CLAIM_TYPES, GpuClaims, gpu_claims, may_be, placed, uses_gpu
from policy.karpenter import NODE_POOL_TYPES, NodePool
from policy.node_groups import SPOT
from policy.pods import PATCH_TYPES, POD_TYPES, PodTemplate, pod_templates, tolerated
from policy.reading import Unknown, each, get, text, whole

#: Kinds whose pods end by themselves.
_JOBS: Final = tuple(f":{kind}{patch}" for kind in ("Job", "CronJob", "JobSet") for patch in ("", "Patch"))
#: Karpenter's, on nodes that go. It evicts no pod that tolerates it (sigs.k8s.io/karpenter v1.15.0
#: pkg/utils/pod/scheduling.go, IsDrainable): it takes such a pod for one that goes last, as those of DaemonSets.
_DISRUPTED: Final = MappingProxyType({"key": "karpenter.sh/disrupted", "effect": "NoSchedule"})


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield Jobs whose pods take GPUs, may land on Spot and are not evicted, or not in time."""
    pools = [NodePool(resource.plain, resource.name) for resource in stack.of(*NODE_POOL_TYPES)]
    spot = [pool for pool in pools if may_be(pool, SPOT)]
    jobs = [resource for resource in stack.resources if resource.type.endswith(_JOBS)]
    claims = gpu_claims(stack)
    yield from by_resource(jobs, lambda resource: _of(resource, spot, claims))


def _of(resource: Resource, spot: list[NodePool], claims: GpuClaims) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        if not uses_gpu(pod, claims):
            continue
        theirs = [pool for pool in spot if placed(pod, [pool], SPOT)]
        problem = _problem(pod)
        if problem and (_asks_for_spot(pod) or theirs):
            yield Finding(problem, pod.urn)
        for late in filter(None, (_too_late(pod, pool) for pool in theirs)):
            yield Finding(late, pod.urn)


def _asks_for_spot(pod: PodTemplate) -> bool:
    return text(get(pod.spec, "nodeSelector", CAPACITY_TYPE_LABEL)) == SPOT


def _problem(pod: PodTemplate) -> str | None:
    return _kept(pod) or _never_drained(pod)


def _never_drained(pod: PodTemplate) -> str | None:
    given = pod.spec.get("tolerations")
    items = [given] if isinstance(given, Unknown) else list(each(given))
    fitting = [item for item in items if not isinstance(item, Mapping) or tolerated(_DISRUPTED, item)]
    if not fitting:
        return None
    if not any(isinstance(item, Mapping) and not _unknown(item) for item in fitting):
        return f"whether its pods tolerate {_DISRUPTED['key']} is not known in preview: write tolerations as literals."
    return (
        f"its pods tolerate {_DISRUPTED['key']}, so that Karpenter evicts them from no node that Spot takes: they end "
        "without SIGTERM when the instance does. Tolerate by name the taints of the nodes that they are for."
    )


def _unknown(toleration: Mapping[str, Any]) -> bool:
    return any(isinstance(toleration.get(name), Unknown) for name in ("key", "operator", "value", "effect"))


def _kept(pod: PodTemplate) -> str | None:
    annotations = pod.metadata.get("annotations")
    value = annotations.get(DO_NOT_DISRUPT_ANNOTATION) if isinstance(annotations, Mapping) else annotations
    if isinstance(value, Unknown):
        return f"whether its pods have {DO_NOT_DISRUPT_ANNOTATION} is not known in preview: write it as a literal."
    if value is None or text(value) == "false":
        return None
    return (
        f"its pods have {DO_NOT_DISRUPT_ANNOTATION}, so that Karpenter evicts them from no node that Spot takes: they "
        "end without SIGTERM when the instance does. Remove it, and keep checkpoints."
    )


def _too_late(pod: PodTemplate, pool: NodePool) -> str | None:
    """What is wrong with the time that a pool's nodes give the pod; nothing where they wait as long as it takes."""
    given = get(pool.manifest, "spec", "template", "spec", "terminationGracePeriod")
    grace = pod.spec.get("terminationGracePeriodSeconds")
    if given is None:
        return None
    if isinstance(given, Unknown) or isinstance(grace, Unknown):
        what = (
            f"terminationGracePeriod of NodePool {pool.name}" if isinstance(given, Unknown) else "the grace of its pods"
        )
        return f"{what} is not known in preview, and whether the pods have time to end: write it as a literal."
    has = POD_GRACE_SECONDS if (said := whole(grace)) is None else said
    least = node_seconds(has)
    if seconds(text(given)) >= least:
        return None
    return (
        f"its pods have {has} s to end, and nodes of NodePool {pool.name} {text(given)} (terminationGracePeriod): "
        "Karpenter deletes the pods and does not evict them, and the Job counts the interruption as a failure. "
        f"Write {least}s or more there."
    )


RULE = StackRule(
    name="gpu-spot-jobs-can-end",
    title="Jobs on Spot hear of their end",
    description=(
        f"A Job with GPUs that may run on Spot should not have `{DO_NOT_DISRUPT_ANNOTATION}` on its pods, nor tolerate "
        f"`{_DISRUPTED['key']}`, as who tolerates all taints does, nor have nodes whose `terminationGracePeriod` is "
        "shorter than the pods' grace and a minute to evict them."
    ),
    why=(
        "The annotation keeps Karpenter from evicting a pod for any reason, Spot's notice among them: the node is "
        "drained of everything else, and two minutes later the instance ends under the pod, which was never told. "
        "What it could have kept in that time is lost, and the node is never consolidated while it runs. "
        f"Nor does Karpenter evict what tolerates `{_DISRUPTED['key']}`, its taint of nodes that go. "
        "A pod whose grace is longer than what its node has left is deleted, not evicted: it has less than its grace, "
        "and no condition `DisruptionTarget`, by which a `podFailurePolicy` would not count it."
    ),
    fix=(
        f"Remove `{DO_NOT_DISRUPT_ANNOTATION}`, tolerate taints by name, and let the job keep checkpoints: "
        "`checkpoint` of an entry of `workloads`, or a program that saves on SIGTERM within its grace period. What "
        "must not be interrupted belongs on capacity that is not Spot. Raise "
        "`spec.template.spec.terminationGracePeriod` of the NodePool, or leave it out."
    ),
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=(*NODE_POOL_TYPES, *GPU_CLAIM_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
