"""A vLLM server on one slot of a pool that is there, with the share of the GPU that its slot allows."""

import pulumi
import pulumi_kubernetes as k8s

from components.gpu.gpu_workload import GpuWorkload, WorkloadContainer
from components.gpu.workload_volumes import BucketSource, EmptyDirSource
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from components.new_only import new_only
from components.pods import GPU_TOLERATION
from gpu.catalog import types_in
from gpu.contract import POOL_LABEL
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import TimeSlicing
from gpu.vllm import UTILIZATION, largest_utilization

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])

# The pool of ../gpu_pool: what one of its slots is called, and what it holds.
shared = Pool(
    name="shared",
    profile=TimeSlicing(3),
    types=types_in(names=["g6.xlarge", "g5.xlarge"]),
    max_gpus=2,
    prices=of("us-east-1"),
    ami="bottlerocket",
)
health = {"httpGet": {"path": "/health", "port": 8000}}
server = WorkloadContainer(
    name="vllm",
    image="docker.io/vllm/vllm-openai:v0.11.0",
    args=[
        "--model=/models/Qwen2.5-1.5B-Instruct",
        "--max-model-len=8192",
        f"{UTILIZATION}={largest_utilization(shared):.2f}",
    ],
    slots=1,
    cpu="1",
    memory="3Gi",
    env=[{"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "vllm", "key": "api-key"}}}],
    ports=[{"name": "http", "containerPort": 8000}],
    probes={"startupProbe": {**health, "failureThreshold": 60}, "readinessProbe": health},
    volume_mounts=[
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "weights", "mountPath": "/models", "readOnly": True},
    ],
)
qwen = GpuWorkload(
    name="qwen",
    kind="Deployment",
    replicas=1,
    resource_name=shared.resource,
    node_selector={POOL_LABEL: shared.name},
    tolerations=[GPU_TOLERATION],
    containers=[server],
    volumes={
        "shm": EmptyDirSource(in_memory=True, size_limit="1Gi"),
        "weights": BucketSource(bucket_name=settings.require("bucket")),
    },
    client_namespaces=[settings.require("clients")],
)
GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=[qwen]), in_cluster)
