"""Parts of pod specifications that satisfy the `restricted` Pod Security Standard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pulumi

from gpu.contract import GPU_RESOURCE, VISIBLE_DEVICES
from gpu.pool import Taint

#: Of every pod that may run on a GPU node: its taint keeps the others away.
GPU_TOLERATION = {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}


def tolerations(taints: Iterable[Taint]) -> list[dict[str, str]]:
    """Of every pod that may run on nodes of a pool with these taints beside that of GPU nodes."""
    return [GPU_TOLERATION, *(_toleration(each) for each in taints)]


def _toleration(taint: Taint) -> dict[str, str]:
    matching = {"operator": "Equal", "value": taint.value} if taint.value else {"operator": "Exists"}
    return {"key": taint.key, **matching, "effect": taint.effect}


#: Of a container without a slot on a GPU node: the container runtime gives GPUs to one whose image asks for them, and
#: many images ask for all (NVIDIA/k8s-device-plugin#87). One with a slot gets the plugin's value.
NO_GPU: Mapping[str, str] = MappingProxyType({"name": VISIBLE_DEVICES, "value": "void"})


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


def restricted_container(name: str, image: pulumi.Input[str], resources: Mapping[str, str]) -> dict[str, Any]:
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
