"""A HorizontalPodAutoscaler for a Deployment of GPU pods, by a figure that the pods have themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.sdk import k8s


@dataclass(frozen=True, kw_only=True)
class Autoscaling:
    """How many pods there are. Processors say little about a GPU's work, so the figure is one of the pods' own.

    metric: its name among the custom metrics of the cluster. average_value: what it should be, on average of the pods.
    stabilization_window_seconds: for so long it must have asked for fewer pods before some go.
    Raises ValueError unless min_replicas is at least 1 and at most max_replicas.
    """

    min_replicas: int
    max_replicas: int
    metric: str
    average_value: int
    stabilization_window_seconds: int = 300

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"autoscaling: {self.min_replicas} to {self.max_replicas} replicas are no range")


def autoscaler(
    name: str, of: Autoscaling, metadata: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """The autoscaler of the Deployment that has the same metadata."""
    of_deployment: Any = dict(metadata)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]}
    pods = {
        "metric": {"name": of.metric},
        "target": {"type": "AverageValue", "averageValue": str(of.average_value)},
    }
    spec: Any = {
        "scaleTargetRef": target,
        "minReplicas": of.min_replicas,
        "maxReplicas": of.max_replicas,
        "metrics": [{"type": "Pods", "pods": pods}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": of.stabilization_window_seconds}},
    }
    made: pulumi.Resource = k8s.autoscaling.v2.HorizontalPodAutoscaler(
        name, metadata=of_deployment, spec=spec, opts=opts
    )
    return made
