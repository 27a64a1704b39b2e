"""Pods name a scheduler of ours only where one runs."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.scheduler import PACKING_SCHEDULER
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.pods import PATCH_TYPES, POD_TYPES, pod_templates
from policy.reading import get, text

_RUNS = "kubernetes:apps/*:Deployment"
_NAMING = (*POD_TYPES, *PATCH_TYPES)


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield what makes pods that name the scheduler, where the program does not run it."""
    if any(text(get(each.plain, "metadata", "name")) == PACKING_SCHEDULER for each in stack.of(_RUNS)):
        return
    yield from by_resource(stack.of(*_NAMING), _of)


def _of(resource: Resource) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        if text(pod.spec.get("schedulerName")) == PACKING_SCHEDULER:
            yield Finding(f"its pods wait for scheduler {PACKING_SCHEDULER}, which nothing here runs.", pod.urn)


RULE = StackRule(
    name="k8s-scheduler-runs",
    title="Pods wait for no scheduler that is not there",
    description=f"Who names the scheduler `{PACKING_SCHEDULER}` on pods should run it too.",
    why=(
        "Each scheduler places the pods that name it and no others. Where none of that name runs, pods stay Pending "
        "for ever, without an event that says why, and no node is bought: Karpenter waits for a scheduler's word that "
        "there is no room."
    ),
    fix=(
        "Make `PackingScheduler` in the same program, or leave `schedulerName` out. Where another program runs it in "
        "this cluster, disable the rule for this one."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.ADVISORY,
    types=_NAMING,
    check=check,
)
