"""Pods on MPS pools leave /dev/shm to the device plugin."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.pods import SHARED_MEMORY
from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.pods import PATCH_TYPES, POD_TYPES, mount_paths
from policy.rules.mps_one_user import mps_pods
from policy.sharing import SHARING_TYPES


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield GPU containers that mount something at /dev/shm."""
    for pool, pod in mps_pods(stack):
        for container in pod.every_gpu_container():
            for written, path in mount_paths(container.spec):
                if path == SHARED_MEMORY or path.startswith(f"{SHARED_MEMORY}/"):
                    yield Finding(
                        f"container {container.name} mounts {written} and may share a GPU of MPS pool {pool.name}: "
                        "remove the mount.",
                        pod.urn,
                    )


RULE = StackRule(
    name="gpu-mps-no-own-shm",
    title="MPS pods mount no /dev/shm of their own",
    description="Pods that may share a GPU by MPS must not mount a volume at /dev/shm.",
    why=(
        "MPS clients and server talk through /dev/shm, which the device plugin mounts into the container. A volume of "
        "the pod's own at that path collides with it: the container does not start, or does not find its server "
        "(NVIDIA/k8s-device-plugin#647, #805)."
    ),
    fix="Remove the mount; the plugin's /dev/shm holds half of the node's memory.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
