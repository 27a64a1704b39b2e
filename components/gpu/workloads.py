"""GpuWorkloads: a stack's own GPU workloads, each of which takes one slot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

from components.options import child_options
from components.pods import GPU_USER, NO_GPU, restricted_admission, restricted_container, restricted_pod
from components.sdk import k8s
from gpu.contract import NAME_LABEL

NAMESPACE = "workloads"

WorkloadKind = Literal["Job", "Deployment"]


@dataclass(frozen=True, kw_only=True)
class WorkloadContainer:
    """A container; `cpu` and `memory` are Kubernetes quantities. The one with `uses_gpu` takes the slot."""

    name: str
    image: str
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    uses_gpu: bool = False
    cpu: str
    memory: str


@dataclass(frozen=True, kw_only=True)
class GpuWorkload:
    """A Job that runs once, or a Deployment, on one slot of a pool.

    resource_name: what one slot is called, such as `nvidia.com/gpu`.
    node_selector, tolerations: those of the pool's workloads.
    Raises ValueError unless exactly one container uses the GPU: Karpenter would count a GPU for each.
    """

    name: str
    kind: WorkloadKind
    replicas: int
    resource_name: str
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, str]]
    containers: Sequence[WorkloadContainer]

    def __post_init__(self) -> None:
        using = sum(container.uses_gpu for container in self.containers)
        if using != 1:
            raise ValueError(f"workload {self.name}: exactly one container must use the GPU, not {using}")


@dataclass(frozen=True, kw_only=True)
class GpuWorkloadsArgs:
    """Inputs of `GpuWorkloads`."""

    workloads: Sequence[GpuWorkload]


class GpuWorkloads(pulumi.ComponentResource):
    """A namespace that admits restricted pods only and lets nobody in, and the workloads in it.

    Let it depend on the pools: their nodes must outlive the pods.
    """

    def __init__(self, name: str, args: GpuWorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuWorkloads", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": restricted_admission()},
            opts=child_options(self, opts),
        )
        no_ingress: Any = {"podSelector": {}, "policyTypes": ["Ingress"]}
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-no-ingress",
            metadata={"name": "no-ingress", "namespace": NAMESPACE},
            spec=no_ingress,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        opts_inside = child_options(self, opts, namespace, policy)
        for workload in args.workloads:
            _MAKE[workload.kind](f"{name}-{workload.name}", workload, opts_inside)
        self.register_outputs({})


def _job(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    spec: Any = {
        "completions": workload.replicas,
        "parallelism": workload.replicas,
        "backoffLimit": 6,
        # A Spot interruption is not the job's fault: it does not count against the limit.
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
        "podReplacementPolicy": "Failed",
        "template": _template(workload),
    }
    spec["template"]["spec"]["restartPolicy"] = "Never"
    k8s.batch.v1.Job(name, metadata=_metadata(workload), spec=spec, opts=opts)


def _deployment(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    spec: Any = {
        "replicas": workload.replicas,
        "selector": {"matchLabels": _labels(workload)},
        # A surge would need a spare slot, for which Karpenter might buy a GPU.
        "strategy": {"type": "Recreate"},
        "template": _template(workload),
    }
    k8s.apps.v1.Deployment(name, metadata=_metadata(workload), spec=spec, opts=opts)


_MAKE: Mapping[WorkloadKind, Callable[[str, GpuWorkload, pulumi.ResourceOptions], None]] = {
    "Job": _job,
    "Deployment": _deployment,
}


def _metadata(workload: GpuWorkload) -> Any:
    return {
        "name": workload.name,
        "namespace": NAMESPACE,
        "labels": _labels(workload),
        # A Spot GPU may take long to come: `pulumi up` does not wait for it, Kubernetes does.
        "annotations": {"pulumi.com/skipAwait": "true"},
    }


def _labels(workload: GpuWorkload) -> dict[str, str]:
    return {NAME_LABEL: workload.name}


def _template(workload: GpuWorkload) -> Any:
    return {
        "metadata": {"labels": _labels(workload)},
        "spec": {
            **restricted_pod(GPU_USER),
            "nodeSelector": dict(workload.node_selector),
            "tolerations": [dict(toleration) for toleration in workload.tolerations],
            "containers": [_container(container, workload.resource_name) for container in workload.containers],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }


def _container(container: WorkloadContainer, resource_name: str) -> dict[str, Any]:
    resources = {"cpu": container.cpu, "memory": container.memory}
    environment = [{"name": "HOME", "value": "/tmp"}]
    if container.uses_gpu:
        resources[resource_name] = "1"
    else:
        environment.append(dict(NO_GPU))
    spec = restricted_container(container.name, container.image, resources)
    # The root file system is read-only; the CUDA driver keeps compiled kernels below HOME.
    spec |= {"volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}], "env": environment}
    if container.command:
        spec["command"] = list(container.command)
    if container.args:
        spec["args"] = list(container.args)
    return spec
