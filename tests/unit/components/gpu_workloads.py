"""Workloads of one container or two, and what `GpuWorkloads` makes of them."""

from dataclasses import replace
from typing import Any

from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_workload import GpuWorkload, WorkloadContainer
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from tests.unit.components.recording import Recording, record

MAIN = WorkloadContainer(name="main", image="app:1", slots=1, cpu="2", memory="4Gi", args=["--serve"])
SIDECAR = WorkloadContainer(name="sidecar", image="log:1", cpu="100m", memory="64Mi")
SERVER = replace(
    MAIN,
    image_pull_policy="Always",
    env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
    env_from=[{"secretRef": {"name": "all"}}],
    ports=[{"name": "http", "containerPort": 8000}, {"name": "figures", "containerPort": 9000}],
    probes={"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}},
    volume_mounts=[{"name": "shm", "mountPath": "/dev/shm"}],
)
#: What a Job keeps.
KEEPING = Checkpointing(
    bucket_name="acme", prefix="team/train", region="eu-west-1", interval_seconds=300, grace_seconds=90
)


def workload(**changes: Any) -> GpuWorkload:
    """A Deployment of two containers, or as `changes` say."""
    arguments: dict[str, Any] = {
        "name": "transcribe",
        "kind": "Deployment",
        "replicas": 2,
        "resource_name": "nvidia.com/gpu.shared",
        "node_selector": {"gpu-slices/pool": "shared"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [MAIN, SIDECAR],
    }
    return GpuWorkload(**{**arguments, **changes})


def recorded(each: GpuWorkload) -> Recording[GpuWorkloads]:
    """The component with one workload."""
    return record(lambda: GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=[each])))


def template(recording: Recording[GpuWorkloads]) -> Any:
    return recording.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]
