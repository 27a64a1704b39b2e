"""Events of our own, in the cluster's own form: `kubectl describe` shows them beside Karpenter's."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from twin.kube.client import ApiError, Kube, Object

COMPONENT = "slices"


def last_seen(event: Object) -> str:
    """When an event last happened: RFC 3339 in UTC, sorts like times to the second; empty where it says none."""
    series = event.get("series") or {}
    found = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    return str(found or "")


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
