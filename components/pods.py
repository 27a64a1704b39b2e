"""Parts of pod specifications that satisfy the `restricted` Pod Security Standard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def restricted_admission() -> dict[str, str]:
    """Namespace labels by which the API server admits restricted pods only."""
    levels = ("enforce", "audit", "warn")
    return {f"pod-security.kubernetes.io/{level}": "restricted" for level in levels}


def restricted_pod(run_as_user: int) -> dict[str, Any]:
    """Pod-level fields: no service account token, one non-root user, the runtime's seccomp profile."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": run_as_user,
            "runAsGroup": run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def restricted_container(name: str, image: str, resources: Mapping[str, str]) -> dict[str, Any]:
    """A container with equal requests and limits, no privileges and a read-only root file system."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
