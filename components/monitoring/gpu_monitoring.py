"""GpuMonitoring: Container Insights with GPU metrics, its logs, and on them alarms and a dashboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.arguments import Arguments
from components.cluster.addon import AddonsArgs, addon
from components.cluster.pod_identity import PodRole, PodRoleArgs
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.monitoring.alarms import Alarm, Query, Watched, alarms
from components.monitoring.dashboard import dashboard, dashboard_name
from components.sdk import aws
from gpu.system_pods import MONITORING_PODS, SystemPod

ADDON = "amazon-cloudwatch-observability"
#: The last names of the log groups that Container Insights writes (CloudWatch user guide, "Container Insights").
_LOGS = ("application", "dataplane", "host", "performance")


@dataclass(frozen=True, kw_only=True)
class GpuMonitoringArgs(Arguments):
    """Inputs of `GpuMonitoring`.

    addons: the cluster's; needs an entry for the add-on in `versions.EKS_ADDON_VERSIONS`.
    key_arn: KMS key of the log groups; its policy must admit `/aws/containerinsights/<cluster>/` (`Encryption`).
    topic_arn: topic that hears the alarms (`AlertTopic`, publisher `cloudwatch`).
    node_selector: labels of the nodes that the add-on's controller runs on; empty for any without a taint, or with
    `CriticalAddonsOnly`.
    after: the system nodes and Pod Identity's agent.
    """

    addons: AddonsArgs
    watched: Watched
    region: str
    key_arn: pulumi.Input[str]
    topic_arn: pulumi.Input[str]
    log_retention_days: int
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class GpuMonitoring(pulumi.ComponentResource):
    """The add-on with its role, four encrypted log groups that end, counters of errors, alarms, a dashboard."""

    def __init__(self, name: str, args: GpuMonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuMonitoring", name, None, opts)
        self._args = args
        cluster, child = args.watched.cluster_name, pulumi.ResourceOptions(parent=self)
        # Before the agent, which would make them without a key and for ever.
        groups = self._log_groups(name)
        role = PodRole(
            f"{name}-agent",
            PodRoleArgs(
                cluster_name=cluster,
                account_id=args.addons.account_id,
                partition=args.addons.partition,
                namespace="amazon-cloudwatch",
                service_account="cloudwatch-agent",
                managed_policies=("CloudWatchAgentServerPolicy",),
                tags=args.tags,
            ),
            child,
        )
        addon(
            f"{name}-{ADDON}",
            args.addons,
            ADDON,
            pulumi.ResourceOptions(parent=self, depends_on=[*groups.values(), *args.after]),
            configuration=addon_configuration(args.node_selector),
            pod_roles={"cloudwatch-agent": role.role_arn},
        )
        self._count_errors(name, groups["application"])
        for each in alarms(args.watched):
            self._alarm(name, each)
        aws.cloudwatch.Dashboard(
            name,
            dashboard_name=dashboard_name(cluster),
            dashboard_body=json.dumps(dashboard(args.watched, args.region)),
            opts=child,
        )
        self.register_outputs({})

    def _log_groups(self, name: str) -> Mapping[str, aws.cloudwatch.LogGroup]:
        """Those of Container Insights, by their last word."""
        return {
            log: aws.cloudwatch.LogGroup(
                f"{name}-{log}",
                name=f"/aws/containerinsights/{self._args.watched.cluster_name}/{log}",
                kms_key_id=self._args.key_arn,
                retention_in_days=self._args.log_retention_days,
                tags=dict(self._args.tags),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for log in _LOGS
        }

    def _count_errors(self, name: str, group: aws.cloudwatch.LogGroup) -> None:
        """A metric of the errors that each controller writes to its log."""
        watched = self._args.watched
        for controller in watched.controllers:
            aws.cloudwatch.LogMetricFilter(
                f"{name}-{controller.name}-errors",
                name=f"{watched.cluster_name}-{controller.name}-errors",
                log_group_name=group.name,
                pattern=controller.pattern,
                metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
                    namespace=watched.errors_namespace,
                    name=f"{controller.name}-errors",
                    value="1",
                    default_value="0",
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )

    def _alarm(self, name: str, alarm: Alarm) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{name}-{alarm.name}",
            name=f"{self._args.watched.cluster_name}-{alarm.name}",
            alarm_description=alarm.says,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            evaluation_periods=alarm.datapoints,
            datapoints_to_alarm=alarm.datapoints,
            # No node, no metric: that is how a stack sleeps.
            treat_missing_data="notBreaching",
            metric_queries=[_query(query) for query in alarm.queries],
            alarm_actions=[self._args.topic_arn],
            ok_actions=[self._args.topic_arn],
            tags=dict(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _query(query: Query) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
    metric = query.get("metric")
    return aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id=query["id"],
        expression=query.get("expression"),
        label=query.get("label"),
        period=query.get("period"),
        return_data=query["return_data"],
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(**metric) if metric else None,
    )


def addon_configuration(node_selector: Mapping[str, str]) -> dict[str, Any]:
    """What differs from the add-on's defaults, by the values of its chart (aws-observability/helm-charts,
    charts/amazon-cloudwatch-observability, of 2026-08-07, which the add-on is built from).

    Application Signals and the pipelines of OpenTelemetry cost by themselves, and nothing here reads them. The chart
    names the instance types that get the DCGM exporter, and lacks some; Karpenter's label knows every NVIDIA node.
    """
    agent, logs, dcgm = (_requests(pod) for pod in MONITORING_PODS)
    nvidia = {"key": "karpenter.k8s.aws/instance-gpu-manufacturer", "operator": "In", "values": ["nvidia"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [nvidia]}]}
    return {
        "agent": {"resources": agent},
        "applicationSignals": {"enabled": False},
        "containerLogs": {"fluentBit": {"resources": logs}},
        "dcgmExporter": {
            "resources": dcgm,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        },
        "manager": {
            **({"nodeSelector": dict(node_selector)} if node_selector else {}),
            "tolerations": [SYSTEM_NODE_TOLERATION],
        },
        "otelContainerInsights": {"enabled": False},
    }


def _requests(pod: SystemPod) -> dict[str, Any]:
    """What a slot's share of its node leaves; limits are the chart's."""
    return {"requests": {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"}}
