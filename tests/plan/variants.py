"""Stacks that are not in the repository: those of `dev`, with what none of ours has."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import yaml

from plan.project import find_project
from plan.record import Recording, record
from tests.plan.conftest import ROOT, changed_stack

DIGEST = f"@sha256:{'0' * 64}"
POOL = {
    "name": "p",
    "instanceFamilies": ["g6"],
    "gpusPerNode": [1],
    "maxGpus": 8,
    "sharing": {"strategy": "time-slicing", "replicas": 3},
}
MODEL = {"name": "a", "model": "mistral:7b", "pool": "p", "contextLength": 2048}
HOURS = {"slots": 2, "days": ["mon", "tue"], "start": "08:00", "end": "18:00", "timeZone": "Europe/Berlin"}


def snippet(page: str, key: str) -> Any:
    """The value of a key in the first sample of a page that has it."""
    samples = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(yaml.safe_load(sample)[key] for sample in samples if f"{key}:" in sample)


#: By what is special about them: keys that replace those of `dev`.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "weights as an image volume": {
        "models": [{**MODEL, "weights": {"source": "image", "image": f"r.example.com/w{DIGEST}"}}],
    },
    "weights baked into the image, and a scheduler that packs": {
        "gpuSharing": {"scoringStrategy": "MostAllocated"},
        "models": [{**MODEL, "weights": {"source": "baked", "image": f"r.example.com/ollama:0.32.15{DIGEST}"}}],
    },
    "a large CPU pool": {"models": [MODEL], "cpuPools": [{"name": "large", "arch": "amd64", "limitCpus": 1000}]},
    "conversations in a table": {
        "models": [MODEL, {**MODEL, "name": "b"}],
        "dialogue": {"speakers": ["a", "b"], "image": "build", "store": "dynamodb"},
    },
    "workloads that serve": {
        # Above what always runs of it.
        "budget": {"monthlyUsd": 4000, "emails": ["platform@example.com"]},
        "pools": [
            POOL,
            {**POOL, "name": "whole", "maxGpus": 4, "gpusPerNode": [4], "sharing": {"strategy": "none"}},
            *snippet("docs/classifier.md", "gpu-slices:pools"),
        ],
        "models": [MODEL],
        "workloads": [
            *snippet("docs/serving.md", "gpu-slices:workloads"),
            {
                "name": "train",
                "pool": "whole",
                "kind": "Job",
                "priorityClassName": "batch",
                "volumes": [
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
                    {"name": "home", "efs": {"fileSystemId": "fs-0123456789abcdef0"}},
                    {"name": "own", "persistentVolumeClaim": {"claimName": "made-by-hand"}},
                ],
                "containers": [
                    {
                        "name": "app",
                        "image": "r.example.com/train:1",
                        "slots": 4,
                        "cpu": "16",
                        "memory": "64Gi",
                        "imagePullPolicy": "Always",
                        "envFrom": [
                            {"prefix": "KEY_", "secretRef": {"name": "train"}},
                            {"prefix": "SET_", "configMapRef": {"name": "train"}},
                        ],
                        "volumeMounts": [
                            {"name": "shm", "mountPath": "/dev/shm"},
                            {"name": "home", "mountPath": "/home/app", "subPath": "ann"},
                            {"name": "own", "mountPath": "/data", "readOnly": True},
                        ],
                    }
                ],
                "imagePullSecrets": [{"name": "registry"}],
            },
            {
                "name": "nightly",
                "pool": "p",
                "kind": "CronJob",
                "schedule": "30 3 * * 1-5",
                "timeZone": "Europe/Berlin",
                "securityContext": {"runAsUser": 0},
                "automountServiceAccountToken": True,
                "securityReason": "GPU-142: the image writes below /opt, and asks the API for its peers",
                "containers": [
                    {
                        "name": "app",
                        "image": "r.example.com/app:1",
                        "slots": 1,
                        "securityContext": {"readOnlyRootFilesystem": False},
                    }
                ],
            },
            *snippet("docs/classifier.md", "gpu-slices:workloads"),
        ],
    },
    "workloads that sleep": {
        # Above what always runs of it.
        "budget": {"monthlyUsd": 8000, "emails": ["platform@example.com"]},
        "gpuSharing": {"scoringStrategy": "MostAllocated"},
        "pools": [
            POOL,
            {**POOL, "name": "whole", "maxGpus": 4, "gpusPerNode": [4], "sharing": {"strategy": "none"}},
            {
                **POOL,
                "name": "firm",
                "maxGpus": 2,
                "capacityType": "on-demand",
                "onDemand": {"justification": "GPU-142: what must answer is not on Spot", "expires": "2027-03-31"},
            },
        ],
        # Knative is there for workloads alone.
        "models": [],
        "workloads": [
            *snippet("docs/knative.md", "gpu-slices:workloads"),
            {
                "name": "fleet",
                "pool": "whole",
                "kind": "KnativeService",
                "importance": "batch",
                "maxScale": 2,
                "parallel": 100,
                "idle": "1h",
                "annotations": {"team": "research"},
                "securityContext": {"runAsUser": 0, "fsGroup": 2000},
                "securityReason": "GPU-142: the image writes below /opt",
                "serviceAccountName": "reader",
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [
                    {"name": "home", "efs": {"fileSystemId": "fs-0123456789abcdef0"}},
                    {"name": "own", "persistentVolumeClaim": {"claimName": "made-by-hand", "readOnly": True}},
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1.5Gi"}},
                ],
                "containers": [
                    {
                        "name": "log",
                        "image": "nvcr.io/nvidia/cuda:13.0.0-base",
                        "memory": "1000M",
                        "env": [{"name": "PORT", "value": "1"}, {"name": "EMPTY", "value": ""}],
                    },
                    {
                        "name": "app",
                        "image": "r.example.com/app:1",
                        "slots": 2,
                        "cpu": "2000m",
                        "memory": "65536Mi",
                        "ports": [{"name": "h2c", "containerPort": 8000}],
                        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}],
                        "envFrom": [{"prefix": "SET_", "configMapRef": {"name": "fleet"}}],
                        "startupProbe": {"tcpSocket": {"port": 8000}, "failureThreshold": 60},
                        "readinessProbe": {"exec": {"command": ["/bin/ready"]}, "periodSeconds": 2},
                        "livenessProbe": {"httpGet": {"path": "/", "port": 8000, "scheme": "HTTPS"}},
                        "securityContext": {"readOnlyRootFilesystem": False},
                        "volumeMounts": [
                            {"name": "home", "mountPath": "/home/app", "subPath": "ann"},
                            {"name": "own", "mountPath": "/data"},
                            {"name": "shm", "mountPath": "/dev/shm"},
                        ],
                    },
                ],
            },
            {
                "name": "answer",
                "pool": "firm",
                "kind": "KnativeService",
                "importance": "critical",
                "minScale": 1,
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "app",
                        "image": "r.example.com/app:1",
                        "slots": 1,
                        "ports": [{"containerPort": 8000}],
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }
                ],
            },
        ],
    },
    "jobs with checkpoints": {
        "models": [MODEL],
        "workloads": [
            *snippet("docs/jobs.md", "gpu-slices:workloads"),
            {
                "name": "elsewhere",
                "pool": "p",
                "kind": "Job",
                "replicas": 2,
                "checkpoint": {"bucket": "acme-research", "prefix": "team/train", "intervalMinutes": 5},
                "containers": [{"name": "app", "image": "r.example.com/train:1", "slots": 1}],
            },
        ],
    },
    "work of every importance": {
        "pools": [
            *snippet("docs/importance.md", "gpu-slices:pools"),
            {
                **snippet("docs/importance.md", "gpu-slices:pools")[0],
                "name": "kept",
                "capacityType": "reserved",
                "capacityReservationSelectorTerms": [{"id": "cr-0123456789abcdef0"}],
                "warm": {},
            },
        ],
        "models": [
            *snippet("docs/importance.md", "gpu-slices:models"),
            {"name": "asleep", "model": "mistral:7b", "pool": "kept", "importance": "critical"},
            *(
                {**MODEL, "name": name, "model": model, "pool": "spot", "server": "two", "importance": "batch"}
                for name, model in (("one", "llama3.2:1b"), ("other", "qwen2.5:3b"))
            ),
        ],
        "workloads": [
            *snippet("docs/importance.md", "gpu-slices:workloads"),
            {
                "name": "nightly",
                "pool": "spot",
                "importance": "batch",
                "kind": "CronJob",
                "schedule": "30 3 * * *",
                "containers": [{"name": "app", "image": "r.example.com/app:1", "slots": 1}],
            },
            {
                "name": "migrate",
                "pool": "kept",
                "importance": "critical",
                "kind": "Job",
                "containers": [{"name": "app", "image": "r.example.com/app:1", "slots": 1}],
            },
            {
                "name": "api",
                "pool": "firm",
                "importance": "critical",
                "containers": [{"name": "app", "image": "r.example.com/app:1", "slots": 1}],
            },
        ],
        # Above what always runs of it.
        "budget": {"monthlyUsd": 8000, "emails": ["platform@example.com"]},
    },
    "a soft brake, and a pool of reserved capacity": {
        "budget": {"monthlyUsd": 6000, "emails": ["platform@example.com"], "softBrake": True},
        "pools": [
            POOL,
            {
                **POOL,
                "name": "reserved",
                "capacityType": "reserved",
                "capacityReservationSelectorTerms": [{"id": "cr-0123456789abcdef0"}],
                "onDemand": {"justification": "GPU-142: capacity that is paid anyway", "expires": "2027-03-31"},
            },
        ],
        "models": [MODEL],
    },
    "nodes that merge, nodes that always stand, and a soft brake": {
        "budget": {"monthlyUsd": 6000, "emails": ["platform@example.com"], "softBrake": True},
        "pools": [
            {**POOL, "consolidationPolicy": "Balanced"},
            {**POOL, "name": "standing", "gpusPerNode": [1], "maxGpus": 3, "static": {"replicas": 2}},
        ],
        "models": [MODEL],
    },
    "everything": {
        "pools": [
            {**POOL, "sharing": {"strategy": "time-slicing", "replicas": 2}, "warm": {"slots": 2}},
            {
                **POOL,
                "name": "q",
                "ami": "bottlerocket",
                "warm": HOURS,
                "volume": {"snapshotId": "snap-0123456789abcdef0"},
            },
        ],
        "models": [
            {**MODEL, "model": "llama3.2:3b", "server": "both", "minScale": 1, "kvCacheType": "q8_0"},
            {**MODEL, "name": "b", "model": "qwen2.5:3b", "server": "both", "minScale": 1, "kvCacheType": "q8_0"},
            {**MODEL, "name": "c"},
            {**MODEL, "name": "d", "pool": "q", "weights": {"source": "image", "image": f"r.example.com/w{DIGEST}"}},
        ],
        "workloads": [
            {
                "name": "transcribe",
                "pool": "p",
                "containers": [
                    {"name": "app", "image": "r.example.com/app:1", "slots": 1},
                    {"name": "log", "image": "nvcr.io/nvidia/cuda:13.0.0-base"},
                ],
            }
        ],
        "monitoring": {"backend": "cloudwatch"},
        # Above what always runs of it.
        "budget": {"monthlyUsd": 4000, "emails": ["platform@example.com"], "anomalies": True},
        "serving": {
            "replicas": 1,
            "door": {"domain": "chat.example.com", "tlsSecret": "chat-tls", "hostedZoneId": "Z0123456789"},
        },
        "dialogue": {"speakers": ["a", "c"], "guests": ["d"], "image": "build"},
    },
    "claims of memory beside slots": {
        "examples": False,
        "pools": [
            {**POOL, "name": "m", "instanceFamilies": [], "instanceTypes": ["g6.xlarge", "g5.xlarge"], "maxGpus": 2}
            | {"gpusPerNode": [], "sharing": {"strategy": "memory"}},
            POOL,
        ],
        "models": [
            {**MODEL, "pool": "m"},
            {**MODEL, "name": "b", "model": "llama3.2:3b", "pool": "m", "minScale": 1},
            {**MODEL, "name": "c"},
        ],
        "workloads": [
            {
                "name": "train",
                "pool": "m",
                "kind": "Job",
                "gpuMemoryMib": 5000,
                "containers": [{"name": "app", "image": "r.example.com/train:1", "slots": 1}],
            }
        ],
        # Above what always runs of it.
        "budget": {"monthlyUsd": 4000, "emails": ["platform@example.com"]},
    },
    "prometheus": {
        "models": [{**MODEL, "name": "a"}, {**MODEL, "name": "c"}],
        "cluster": {"systemNodes": {"desired": 3}},
        "monitoring": {"backend": "prometheus"},
        "dialogue": {"speakers": ["a", "c"], "image": f"r.example.com/dialogue{DIGEST}"},
        "budget": {"monthlyUsd": 4000, "emails": ["platform@example.com"]},
    },
}


@functools.cache
def varied(name: str) -> Recording:
    """The recording of a variant."""
    return changed_dev({"pools": [POOL], "dialogue": {}, **VARIANTS[name]})


def changed_dev(values: Mapping[str, Any]) -> Recording:
    """The recording of `dev` with other values of some keys."""
    return record(find_project(ROOT), changed_stack(values))
