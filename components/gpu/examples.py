"""Example workloads: one that scales out on x86, one on Graviton, and CUDA jobs that take one GPU slot each.

`pulumi up` buys nothing for them: the deployments have no replicas and the jobs do not start by themselves.

    kubectl -n examples scale deployment scale-amd64 --replicas=10
    kubectl -n examples scale deployment scale-arm64 --replicas=10
    kubectl -n examples create job --from=cronjob/cuda-vector-add vector-add-1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

import versions
from components.karpenter.cpu_pool import INTENT_LABEL, INTENT_TOLERATION, Architecture
from components.options import child_options
from components.pods import restricted_admission, restricted_container, restricted_pod
from components.quantities import canonical
from components.sdk import k8s
from gpu.contract import ARCH_LABEL, NAME_LABEL
from gpu.host_share import CUDA_EXAMPLE_ASKS
from gpu.pods import GPU_USER
from gpu.standing import CUDA_EXAMPLE

NAMESPACE = "examples"

#: No 31 February ever comes: the schedule of jobs that people start by hand.
_NEVER = "0 0 31 2 *"


@dataclass(frozen=True, kw_only=True)
class GpuExample:
    """Where the CUDA example runs.

    resource_name: what one slot is called, e.g. `nvidia.com/gpu.shared`.
    node_selector, tolerations: those of the GPU pool's workloads.
    """

    resource_name: str
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class ExampleWorkloadsArgs:
    """Inputs of `ExampleWorkloads`. `gpu` None leaves the CUDA example out."""

    architectures: Sequence[Architecture] = ("amd64", "arm64")
    gpu: GpuExample | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class ExampleWorkloads(pulumi.ComponentResource):
    """A namespace that admits restricted pods only, without network, and the examples in it.

    Needs a Kubernetes provider. Let it depend on the pools: they must outlive the pods.
    """

    namespace: str

    def __init__(self, name: str, args: ExampleWorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ExampleWorkloads", name, None, opts)
        self.namespace = NAMESPACE
        namespace = k8s.core.v1.Namespace(
            name,
            metadata={"name": NAMESPACE, "labels": {**args.labels, **restricted_admission()}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-no-network",
            metadata={"name": "no-network", "namespace": NAMESPACE},
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
            ),
            opts=inside,
        )
        closed = child_options(self, opts, namespace, policy)
        for arch in args.architectures:
            _scale_out(f"{name}-{arch}", arch, closed)
        if args.gpu is not None:
            _vector_add(f"{name}-{CUDA_EXAMPLE}", args.gpu, closed)
        self.register_outputs({"namespace": self.namespace})


def _scale_out(name: str, arch: Architecture, opts: pulumi.ResourceOptions) -> None:
    object_name = f"scale-{arch}"
    labels = {NAME_LABEL: object_name}
    pod: Any = {
        **restricted_pod(run_as_user=65535),
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {ARCH_LABEL: arch, **INTENT_LABEL},
        "tolerations": [INTENT_TOLERATION],
        # It only takes room: one vCPU each, so that a few of them fill a node.
        "containers": [restricted_container("pause", versions.PAUSE_IMAGE, {"cpu": "1", "memory": "256Mi"})],
    }
    spec: Any = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    k8s.apps.v1.Deployment(
        name,
        metadata=_metadata(object_name, labels),
        spec=spec,
        # People scale it by hand; the next `pulumi up` leaves their figure alone.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["spec.replicas"])),
    )


def _vector_add(name: str, gpu: GpuExample, opts: pulumi.ResourceOptions) -> None:
    labels = {NAME_LABEL: CUDA_EXAMPLE}
    cpu, memory = canonical(f"{CUDA_EXAMPLE_ASKS.cpu_millis}m"), canonical(f"{CUDA_EXAMPLE_ASKS.memory_mib}Mi")
    asked = {"cpu": cpu, "memory": memory, gpu.resource_name: "1"}
    container = restricted_container("vector-add", versions.CUDA_VECTOR_ADD_IMAGE, asked)
    # The CUDA driver keeps compiled kernels below HOME, and the root file system is read-only.
    container |= {
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
        "env": [{"name": "HOME", "value": "/tmp"}],
    }
    pod: Any = {
        **restricted_pod(GPU_USER),
        "restartPolicy": "Never",
        "nodeSelector": dict(gpu.node_selector),
        "tolerations": [dict(toleration) for toleration in gpu.tolerations],
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    job: Any = {
        "backoffLimit": 2,
        "activeDeadlineSeconds": 1800,
        "ttlSecondsAfterFinished": 3600,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    spec: Any = {
        "schedule": _NEVER,
        "suspend": True,
        "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
    }
    k8s.batch.v1.CronJob(name, metadata=_metadata(CUDA_EXAMPLE, labels), spec=spec, opts=opts)


def _metadata(object_name: str, labels: Mapping[str, str]) -> Any:
    return {"name": object_name, "namespace": NAMESPACE, "labels": dict(labels)}
