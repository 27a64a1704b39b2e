"""GpuWorkloads: a stack's own GPU workloads, each of which takes a slot, or several whole GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import pulumi

from components.disruption_budget import one_at_a_time
from components.gpu.claims import claim_templates
from components.gpu.deployments import deployment, ways_in
from components.gpu.gpu_workload import NAMESPACE, ROOT_NAMESPACE, GpuWorkload
from components.gpu.jobs import cron_job, job, service_account
from components.gpu.on_request import features_of, knative_service, way_in_from_knative
from components.gpu.pod_template import pod_template
from components.options import child_options
from components.pods import restricted_admission
from components.sdk import k8s
from components.serving.knative_config import Feature


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
        prefixes = {NAMESPACE: name, ROOT_NAMESPACE: f"{name}-baseline"}
        used = dict.fromkeys(workload.namespace for workload in args.workloads)
        walls = {namespace: self._namespace(prefixes[namespace], namespace, args, opts) for namespace in used}
        for workload in args.workloads:
            _make(f"{name}-{workload.name}", workload, child_options(self, opts, *walls[workload.namespace]))
        self.register_outputs({})

    def _namespace(
        self, name: str, namespace_name: str, args: GpuWorkloadsArgs, opts: pulumi.ResourceOptions | None
    ) -> Sequence[pulumi.Resource]:
        """A namespace, its wall, and the templates of what its pods claim."""
        labels = restricted_admission()
        if namespace_name == ROOT_NAMESPACE:
            labels["pod-security.kubernetes.io/enforce"] = "baseline"
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": namespace_name, "labels": labels},
            opts=child_options(self, opts),
        )
        no_ingress: Any = {"podSelector": {}, "policyTypes": ["Ingress"]}
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-no-ingress",
            metadata={"name": "no-ingress", "namespace": namespace_name},
            spec=no_ingress,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        of_knative = [each for each in args.workloads if each.namespace == namespace_name and each.on_request]
        way_in = [way_in_from_knative(name, namespace_name, inside)] if of_knative else []
        sizes = [each.claim_mib for each in args.workloads if each.namespace == namespace_name and each.claim_mib]
        return namespace, policy, *way_in, *claim_templates(name, namespace_name, sizes, inside)


def knative_features(workload: GpuWorkload) -> set[Feature]:
    """Flags of Knative's that a workload needs: none unless it is a KnativeService."""
    return features_of(pod_template(workload)["spec"]) if workload.on_request else set()


def _make(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A workload, after its volumes and what lets its pods at checkpoints."""
    parts = workload.mounts.make(name, opts)
    if workload.checkpoint:
        account = [] if workload.security.service_account else [service_account(name, workload, opts)]
        parts = [*parts, *account, *workload.checkpoint.after]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=parts))
    match workload.kind:
        case "Job":
            job(name, workload, after)
        case "CronJob":
            cron_job(name, workload, after)
        case "Deployment":
            ways_in(name, workload, opts)
            _budget(name, workload, opts)
            deployment(name, workload, after)
        case "KnativeService":
            assert workload.on_request is not None
            _budget(name, workload, opts)
            knative_service(name, workload.on_request, workload.metadata, pod_template(workload), after)
        case _:
            assert_never(workload.kind)


def _budget(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """Of what serves: a drain takes no second pod while one is away, where its importance wants that."""
    if workload.placing.one_at_a_time:
        one_at_a_time(f"{name}-budget", workload.name, workload.namespace, workload.selector, opts)
