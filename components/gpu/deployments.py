"""Deployments of GPU pods, and the ways in to them."""

from __future__ import annotations

from typing import Any

import pulumi

from components.gpu.autoscaling import autoscaler
from components.gpu.gpu_workload import GpuWorkload
from components.gpu.pod_template import pod_template
from components.sdk import k8s
from components.serving.network_policy import namespace_peer, network_policy, tcp


def deployment(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A Deployment, and its autoscaler where it has one. name: the logical one."""
    scaling, metadata = workload.autoscaling, workload.metadata
    if scaling:
        # Else every `pulumi up` would put the number back.
        ours = pulumi.ResourceOptions(ignore_changes=["spec.replicas"])
        opts = pulumi.ResourceOptions.merge(opts, ours)
    made = k8s.apps.v1.Deployment(name, metadata=metadata, spec=_spec(workload), opts=opts)
    if scaling:
        after = pulumi.ResourceOptions(parent=opts.parent, depends_on=[made])
        autoscaler(name, scaling, metadata, after)


def _spec(workload: GpuWorkload) -> Any:
    return {
        "replicas": workload.autoscaling.min_replicas if workload.autoscaling else workload.replicas,
        "selector": {"matchLabels": workload.selector},
        # A surge would need a spare slot, for which Karpenter might buy a GPU. So does a rolling update without: the
        # new pod is there while the old one still ends, whose slot Karpenter counts as taken (1.15,
        # pkg/controllers/state/cluster.go: only pods that have ended are left out).
        "strategy": {"type": "Recreate"},
        "template": pod_template(workload),
    }


def ways_in(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """To a Deployment's ports, where it has some: a Service, and its clients through the namespace's wall."""
    if workload.ports:
        _service(name, workload, opts)
        if workload.client_namespaces:
            _from_clients(name, workload, opts)


def _service(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A ClusterIP with the Deployment's name and ports."""
    ports = [
        {
            "name": port.get("name", f"tcp-{port['containerPort']}"),
            "port": port["containerPort"],
            "targetPort": port["containerPort"],
            "protocol": "TCP",
        }
        for port in workload.ports
    ]
    spec: Any = {"type": "ClusterIP", "selector": workload.selector, "ports": ports}
    # It has endpoints only when a GPU came: nothing waits for that.
    k8s.core.v1.Service(name, metadata=workload.metadata, spec=spec, opts=opts)


def _from_clients(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    numbers = [port["containerPort"] for port in workload.ports]
    spec = {
        "podSelector": {"matchLabels": workload.selector},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [namespace_peer(client) for client in workload.client_namespaces], "ports": tcp(*numbers)}
        ],
    }
    network_policy(f"{name}-clients", f"{workload.name}-clients", workload.namespace, spec, opts)
