"""PodDisruptionBudgets: how many pods may be away while nodes are drained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.sdk import k8s


def one_at_a_time(
    name: str, object_name: str, namespace: str, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> k8s.policy.v1.PodDisruptionBudget:
    """Of the pods with these labels one may be evicted while the others are ready; `name` is its logical name.

    One that is not ready keeps nobody, itself neither: a model that never loads would hold up its node's end.
    """
    spec: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": dict(labels)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    metadata: Any = {"name": object_name, "namespace": namespace}
    return k8s.policy.v1.PodDisruptionBudget(name, metadata=metadata, spec=spec, opts=opts)
