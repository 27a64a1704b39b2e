"""What pods with GPU slots have in common: components write it, and the configuration is checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

#: Kinds of workloads, by Kubernetes' names; a KnativeService is what Knative itself calls a Service.
WorkloadKind = Literal["Job", "CronJob", "Deployment", "KnativeService"]
#: User of every pod that takes a slot. One MPS server serves one user at a time (nvidia-cuda-mps-control manual), so
#: all that may share a GPU run as the same one; above 10000 it is no user of the node (Checkov CKV_K8S_40).
GPU_USER: Final = 10001
#: Knative's own container in each pod of a service: the stack file's checks, the twin.
QUEUE_PROXY: Final = "queue-proxy"
#: Where processes of a container share memory. On an MPS node it is the device plugin's, by which clients and server
#: talk: the stack file's checks, policies.
SHARED_MEMORY: Final = "/dev/shm"
#: The disk of a workload's own at /tmp: workloads -> the stack file's checks, which keep the name free.
SCRATCH_VOLUME: Final = "scratch"
#: Of a Job's specification: a pod that was disrupted is replaced once it has ended for sure, and counts for nothing;
#: one that failed by itself counts against the limit (Kubernetes' "Pod failure policy" and "Pod replacement policy"):
#: workloads, the twin's scenarios.
OUTLASTS_DISRUPTION: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "backoffLimit": 6,
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
        "podReplacementPolicy": "Failed",
    }
)
