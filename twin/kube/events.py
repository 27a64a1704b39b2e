"""Events of our own, in the cluster's own form: `kubectl describe` shows them beside Karpenter's."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from twin.kube.client import ApiError, Kube, Object

COMPONENT = "slices"


def warn(kube: Kube, about: Object, reason: str, message: str) -> None:
    """A warning about an object. An event that cannot be written is no reason to stop."""
    event(kube, about, reason, message, kind="Warning")


def event(kube: Kube, about: Object, reason: str, message: str, *, kind: str = "Normal") -> None:
    """An event about an object."""
    metadata = about["metadata"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "generateName": f"{metadata['name']}.",
            "namespace": metadata.get("namespace", "default"),
        },
        "involvedObject": {
            "apiVersion": about.get("apiVersion", "v1"),
            "kind": about.get("kind", ""),
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": COMPONENT},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    with contextlib.suppress(ApiError):
        kube.create(body)
