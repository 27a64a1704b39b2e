"""What is batch may be disrupted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpu.contract import DO_NOT_DISRUPT_ANNOTATION, IMPORTANCE_LABEL
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.importance import (
    BATCH,
    GPU_CLAIM_TYPES,
    PRIORITY_CLASS,
    Classes,
    GpuClaims,
    classes,
    gpu_claims,
    uses_gpu,
    with_pods,
)
from policy.pods import PATCH_TYPES, POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, text


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield batch pods with GPUs whose node Karpenter must leave alone."""
    known, claims = classes(stack), gpu_claims(stack)
    yield from by_resource(with_pods(stack), lambda resource: _of(resource, known, claims))


def _of(resource: Resource, known: Classes, claims: GpuClaims) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        kept, importance = _keeps(pod), known.of(pod)
        unknown = (*importance.unknown, *([kept.path] if isinstance(kept, Unknown) else []))
        if not kept or not uses_gpu(pod, claims):
            continue
        if BATCH in importance.words and not isinstance(kept, Unknown):
            yield Finding(
                f"is batch work, which gives way, and has {DO_NOT_DISRUPT_ANNOTATION}, by which Karpenter neither "
                "gives its node back nor tells it to end when Spot takes it: remove the annotation.",
                pod.urn,
            )
        elif BATCH in importance.words or importance.unknown:
            yield Finding(
                f"may be batch work with {DO_NOT_DISRUPT_ANNOTATION}, which is not known in preview: write "
                f"{', '.join(unknown)} as a literal.",
                pod.urn,
            )


def _keeps(pod: PodTemplate) -> bool | Unknown:
    """Whether Karpenter must leave the pod alone, for ever or for a time."""
    annotations = pod.metadata.get("annotations")
    if isinstance(annotations, Unknown):
        return annotations
    value = annotations.get(DO_NOT_DISRUPT_ANNOTATION) if isinstance(annotations, Mapping) else None
    return value if isinstance(value, Unknown) else text(value) not in {"", "false"}


RULE = StackRule(
    name="gpu-batch-gives-way",
    title="Batch work gives way",
    description=(
        f"Pods with GPUs and `{IMPORTANCE_LABEL}: batch`, or a PriorityClass below 0, should not have "
        f"`{DO_NOT_DISRUPT_ANNOTATION}`."
    ),
    why=(
        "Batch work is what goes first: Kubernetes ends it for any other pod that finds no slot, and Karpenter merges "
        "and replaces its nodes. The annotation holds a GPU for it as for what must not move, and keeps Karpenter from "
        "evicting it when AWS takes the node, so that it is never told to keep its state."
    ),
    fix=(
        f"Remove `{DO_NOT_DISRUPT_ANNOTATION}`, and let the work keep checkpoints. What must not be disturbed is not "
        "batch: take the label or the class away, and where Spot does not do, say `critical`."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.ADVISORY,
    types=(PRIORITY_CLASS, *GPU_CLAIM_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
