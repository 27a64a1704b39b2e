"""Definitions of kinds of which the twin has no maker's own: they take any `spec` and `status`."""

from __future__ import annotations

from typing import Any, Final, Literal

_ANYTHING: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def any_spec(group: str, version: str, kind: str, scope: Literal["Namespaced", "Cluster"]) -> dict[str, Any]:
    """The definition of a kind whose plural ends in s, or in ies for y."""
    singular = kind.lower()
    plural = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
    schema = {"type": "object", "properties": {"spec": _ANYTHING, "status": _ANYTHING}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "scope": scope,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


#: NVIDIA's operator is not to be had as a Go module with a version, and does not run here: only its object stands.
CLUSTER_POLICY: Final = any_spec("nvidia.com", "v1", "ClusterPolicy", "Cluster")
