"""What runs on GPU nodes asks for a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.catalog import INSTANCE_TYPES
from gpu.contract import GPU_SYSTEM_NAMESPACE, INSTANCE_TYPE_LABEL, NODE_POOL_LABEL, NVIDIA_PREFIX
from policy.dra import DEVICE_CLASS_PATCHES, DEVICE_CLASS_TYPES, class_resources, device_classes, without_claim
from policy.framework import (
    EnforcementLevel,
    Finding,
    Option,
    Resource,
    Settings,
    Severity,
    Stack,
    StackRule,
    by_resource,
)
from policy.karpenter import NodePool, Requirement, admits
from policy.node_groups import GPU_POOL_TYPES, NodeGroup, gpu_pools
from policy.placement import keys
from policy.pods import POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, each, text

#: The node's own, one pod on each; and what others make pods of, who may ask for the GPU.
_LEFT_ALONE: Final = (":DaemonSet", ":PodTemplate")
#: Labels that only nodes with GPUs have, by Karpenter, Auto Mode, GKE's and EKS' autoscalers.
_GPU_LABELS: Final = (
    "karpenter.k8s.aws/instance-gpu-",
    "eks.amazonaws.com/instance-gpu-",
    "k8s.amazonaws.com/accelerator",
)
_HAS_GPU: Final = f"{NVIDIA_PREFIX}gpu."
_GPU_TYPES: Final = frozenset(name for name, found in INSTANCE_TYPES.items() if found.gpu_count)


def check(stack: Stack, settings: Settings) -> Iterator[Finding]:
    """Yield pods without a GPU of their own that go to nodes with GPUs."""
    pools, names = gpu_pools(stack), class_resources(stack, device_classes(stack))
    pods = [one for one in stack.of(*POD_TYPES) if not one.type.endswith(_LEFT_ALONE)]
    yield from by_resource(pods, lambda resource: _of(resource, pools, names, settings["exemptNamespaces"]))


def _of(resource: Resource, pools: list[NodePool], names: set[str], exempt: list[str]) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        where = _where(pod, pools)
        if where and pod.namespace not in exempt and not _asks(pod, names):
            yield Finding(
                f"asks for no GPU and {where}: it takes CPU and memory of a GPU node, which stays for it. Let it go to "
                "other nodes, or ask for a slot.",
                pod.urn,
            )


def _where(pod: PodTemplate, pools: list[NodePool]) -> str:
    """Words for the GPU nodes that it goes to; empty where it goes to none, or only there where everything may go."""
    asked = list(keys(pod.spec))
    if any(_is_gpu(one) for one in asked):
        return "selects nodes with GPUs"
    open_to = [pool for pool in pools if pod.may_land_on(pool) and (_guarded(pool) or _chosen(pool, asked))]
    if open_to:
        return f"may land on GPU pool{'s' if len(open_to) > 1 else ''} {', '.join(pool.name for pool in open_to)}"
    tolerations = [item for item in each(pod.spec.get("tolerations")) if isinstance(item, Mapping)]
    named = any(text(item.get("key")).startswith(NVIDIA_PREFIX) for item in tolerations)
    return "tolerates the taint of GPU nodes" if named and not any(map(_taints_known, pools)) else ""


def _taints_known(pool: NodePool) -> bool:
    """Whether all taints of its nodes are; user data of self-managed ones may give them some."""
    return bool(pool.taints) or not (isinstance(pool, NodeGroup) and pool.self_managed)


def _is_gpu(asked: Requirement) -> bool:
    """Whether only nodes with GPUs meet it."""
    values = asked.values
    if asked.key.startswith(_HAS_GPU):
        return values is None or (asked.operator in {"In", "Exists"} and values != ("false",))
    if asked.key.startswith(_GPU_LABELS):
        return values is None or asked.operator in {"In", "Exists", "Gt"}
    return (
        asked.key == INSTANCE_TYPE_LABEL and asked.operator == "In" and bool(values) and {*(values or ())} <= _GPU_TYPES
    )


def _guarded(pool: NodePool) -> bool:
    """Whether a taint keeps off what does not tolerate it."""
    return any(text(taint.get("effect")) in {"NoSchedule", "NoExecute"} for taint in pool.taints)


def _chosen(pool: NodePool, asked: list[Requirement]) -> bool:
    """Whether one of a pod's demands is met by the pool's name or a label that it declares."""
    for one in asked:
        label: Any = pool.name if one.key == NODE_POOL_LABEL else pool.given_labels.get(one.key)
        if label is None or one.operator not in {"In", "Exists"}:
            continue
        if one.values is None or isinstance(label, Unknown) or admits(one.operator, one.values, (text(label),)):
            return True
    return False


def _asks(pod: PodTemplate, names: set[str]) -> bool:
    """Whether it has a GPU by a resource or a claim; of claims of others nobody knows what they are for."""
    asks = pod.every_gpu_container()
    return bool(asks or pod.claims_by_label or pod.spec.get("resourceClaims") or [*without_claim(pod, names)])


RULE = StackRule(
    name="gpu-nodes-for-gpu-work",
    title="Who goes to GPU nodes asks for a GPU",
    description=(
        "Pods that select GPU nodes, or tolerate their taint, should ask for a GPU: a slot or a claim. DaemonSets are "
        "the node's own and left alone."
    ),
    why=(
        "A pod without a slot is not counted: it takes CPU and memory that the slots of its node were to have, so that "
        "Karpenter buys another, and keeps a GPU node that nobody uses from being given back. Where its image sets "
        "NVIDIA_VISIBLE_DEVICES, as those with CUDA do, the container runtime gives it the node's GPUs all the same, "
        "past everybody's share."
    ),
    fix=(
        "Ask for `1` of what slots are called, or name a claim. Else remove the node selector, the affinity and the "
        "toleration by which it goes there. What must be on GPU nodes without one is a DaemonSet, or "
        "in a namespace of `exemptNamespaces`, with `NVIDIA_VISIBLE_DEVICES: void` where its image says otherwise."
    ),
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=(*GPU_POOL_TYPES, *DEVICE_CLASS_TYPES, *DEVICE_CLASS_PATCHES, *POD_TYPES),
    options={
        "exemptNamespaces": Option(
            type="array",
            default=[GPU_SYSTEM_NAMESPACE, "kube-system"],
            description="Namespaces of what looks after nodes.",
            schema={"items": {"type": "string"}},
        ),
    },
    check=check,
)
