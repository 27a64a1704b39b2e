"""PrometheusMonitoring: Prometheus, Alertmanager and Grafana in the cluster, what they watch, and whom they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

import versions
from components.cluster.pod_identity import OwnPolicy, PodRoleArgs, pod_access
from components.gpu.gpu_sharing import NAMESPACE as GPU_NAMESPACE
from components.monitoring.prometheus_chart import (
    ALERTMANAGER_ACCOUNT,
    DASHBOARD,
    NAMESPACE,
    RELEASE,
    Topic,
    dashboard_files,
    dcgm_values,
    stack_values,
)
from components.monitoring.rules import WatchedStack, rule_spec
from components.monitoring.scrapes import DCGM_EXPORTER, monitors
from components.options import child_options
from components.pods import restricted_admission
from components.sdk import k8s
from components.serving.network_policy import namespace_peer, network_policy
from gpu.contract import METRICS_CLIENT_LABEL

#: Definitions have no namespace; Helm wants one for the release itself.
_NAMESPACE_OF_CRDS = "kube-system"
_TIMEOUTS = pulumi.CustomTimeouts(create="15m", update="15m", delete="15m")


@dataclass(frozen=True, kw_only=True)
class PrometheusMonitoringArgs:
    """Inputs of `PrometheusMonitoring`.

    topic_arn: topic that hears the alarms; key_arn: KMS key that encrypts it. Both must let IAM policies of the account
        decide, as `AlertTopic` and `Encryption` do.
    storage_class: class of the volume of the figures, whose driver also runs on the system nodes; None: they are kept
        on the node's disk, and end with it.
    volume_gib: size of that volume.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    watched: WatchedStack
    topic_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    storage_class: str | None = None
    volume_gib: int = 20
    tags: Mapping[str, str] = field(default_factory=dict)


class PrometheusMonitoring(pulumi.ComponentResource):
    """Definitions, namespace with walls, the role that publishes alarms, both charts, monitors and rules.

    Needs an AWS and a Kubernetes provider. Let it depend on the system nodes, the driver of its volume, and the
    namespace `gpu-system`, in which the DCGM exporter runs: it wants paths of the host.
    """

    def __init__(self, name: str, args: PrometheusMonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:PrometheusMonitoring", name, None, opts)
        self._opts = opts
        before = child_options(self, opts)
        definitions = self._release(f"{name}-crd", versions.PROMETHEUS_CRD_CHART, f"{RELEASE}-crd", _NAMESPACE_OF_CRDS)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            # Prometheus asks the dialogue for its figures.
            metadata={"name": NAMESPACE, "labels": {**restricted_admission(), METRICS_CLIENT_LABEL: "true"}},
            opts=before,
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        walls = network_policy(f"{name}-walls", "walls", NAMESPACE, _walls(), inside)
        shown = k8s.core.v1.ConfigMap(
            f"{name}-dashboard",
            metadata={"name": DASHBOARD, "namespace": NAMESPACE},
            data=dashboard_files(args.watched, args.cluster_name),
            opts=inside,
        )
        identity = self._identity(name, args)
        topic = Topic(arn=args.topic_arn, region=args.region)
        values = stack_values(args.cluster_name, topic, args.storage_class, args.volume_gib)
        stack = self._release(
            f"{name}-stack",
            versions.PROMETHEUS_CHART,
            RELEASE,
            NAMESPACE,
            *(values, definitions, namespace, walls, shown, identity),
        )
        self._release(
            f"{name}-dcgm-exporter", versions.DCGM_EXPORTER_CHART, DCGM_EXPORTER, GPU_NAMESPACE, dcgm_values()
        )
        # What is there when the operator goes would stay: it is gone before.
        watching = pulumi.ResourceOptions(parent=self, depends_on=[stack])
        for monitor in monitors(args.watched):
            _object(f"{name}-{monitor.name}", monitor.kind, monitor.name, monitor.spec, watching)
        _object(f"{name}-rules", "PrometheusRule", "gpu-slices", rule_spec(args.watched), watching)
        self.register_outputs({})

    def _identity(self, name: str, args: PrometheusMonitoringArgs) -> pulumi.Resource:
        """What lets Alertmanager publish to the topic, and nothing else."""
        return pod_access(
            f"{name}-alertmanager",
            PodRoleArgs(
                cluster_name=args.cluster_name,
                account_id=args.account_id,
                partition=args.partition,
                namespace=NAMESPACE,
                service_account=ALERTMANAGER_ACCOUNT,
                tags=args.tags,
            ),
            OwnPolicy(
                name=f"{name}-publish",
                key="publish",
                description=f"Alertmanager of {args.cluster_name}: its topic",
                document=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": _statements(args)}),
            ),
            self,
            child_options(self, self._opts),
        )

    def _release(
        self,
        name: str,
        chart: versions.Chart,
        release: str,
        namespace: str,
        values: dict[str, Any] | None = None,
        *after: pulumi.Resource,
    ) -> k8s.helm.v3.Release:
        return k8s.helm.v3.Release(
            name,
            name=release,
            namespace=namespace,
            chart=chart.chart,
            version=chart.version,
            repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=chart.repo),
            values=values,
            # The definitions have a release of their own (`versions.PROMETHEUS_CRD_CHART`).
            skip_crds=True,
            # There may be no GPU node that an exporter could become ready on.
            skip_await=True if chart is versions.DCGM_EXPORTER_CHART else None,
            cleanup_on_fail=True,
            max_history=5,
            timeout=600,
            opts=pulumi.ResourceOptions.merge(
                child_options(self, self._opts, *after), pulumi.ResourceOptions(custom_timeouts=_TIMEOUTS)
            ),
        )


def _object(name: str, kind: str, object_name: str, spec: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
    k8s.apiextensions.CustomResource(
        name,
        api_version=versions.PROMETHEUS_API,
        kind=kind,
        metadata={"name": object_name, "namespace": NAMESPACE},
        spec=dict(spec),
        opts=opts,
    )


def _walls() -> dict[str, Any]:
    """Nobody comes in from other namespaces. `slices open monitoring` comes by the kubelet, which no policy stops."""
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [namespace_peer(NAMESPACE)]}]}


def _statements(args: PrometheusMonitoringArgs) -> list[dict[str, object]]:
    """SNS developer guide, "Managing Amazon SNS encryption keys": who publishes to an encrypted topic uses its key."""
    return [
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": args.topic_arn},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": args.key_arn},
    ]
