"""What the API server of a twin makes of an object, and would not keep."""

from __future__ import annotations

from twin.kube.client import Kube, Object

ADMISSION = "admissionregistration.k8s.io/v1"


def dry_run(kube: Kube, manifest: Object) -> Object:
    """What the API server would make of an object."""
    path = kube.collection(manifest["apiVersion"], manifest["kind"], manifest["metadata"].get("namespace"))
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    made: Object = kube.request("POST", path, manifest, query=query)
    return made
