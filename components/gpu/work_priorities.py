"""WorkPriorities: the PriorityClasses by which critical work takes others' place, and batch work gives way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.options import child_options
from components.sdk import k8s
from gpu.contract import IMPORTANCE_LABEL
from gpu.importance import Priority


@dataclass(frozen=True, kw_only=True)
class WorkPrioritiesArgs:
    """Inputs of `WorkPriorities`. classes: of names that no other stack in the cluster has."""

    classes: Sequence[Priority]


class WorkPriorities(pulumi.ComponentResource):
    """The classes. Needs a Kubernetes provider. Let the pods that name them depend on it: the API server refuses them
    without their class."""

    def __init__(self, name: str, args: WorkPrioritiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:WorkPriorities", name, None, opts)
        for each in args.classes:
            k8s.scheduling.v1.PriorityClass(
                f"{name}-{each.importance}",
                metadata={"name": each.name, "labels": {IMPORTANCE_LABEL: each.importance}},
                value=each.value,
                preemption_policy="PreemptLowerPriority" if each.preempts else "Never",
                description=each.description,
                opts=child_options(self, opts),
            )
        self.register_outputs({})
