"""What CloudWatch watches of a stack's GPUs: metrics, and the alarms on them, as data.

Metric names and dimensions are those of Container Insights with enhanced observability (CloudWatch user guide, "Amazon
EKS and Kubernetes Container Insights metrics"; amazon-cloudwatch-agent, translator/translate/otel/exporter/awsemf/
kubernetes.go). GPU metrics are of whole devices, whatever shares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from components.arguments import Arguments
from gpu.contract import OURS

INSIGHTS: Final = "ContainerInsights"
PERIOD: Final = 300
"""Seconds of a datapoint."""
IDLE_MINUTES: Final = 60
IDLE_PERCENT: Final = 1.0
"""Utilisation in percent below which a GPU is idle: drivers show 0 where nothing computes."""
FULL_PERCENT: Final = 95.0
"""Frame buffer in percent at which the next allocation of a slot is likely to fail."""
WAITING_MINUTES: Final = 30
"""A cold start of a large model takes some ten minutes (`gpu.coldstart`): who waits longer waits in vain."""
INTERRUPTIONS: Final = 3
"""Spot interruptions within five minutes that are more than bad luck."""
DAY: Final = 86_400
"""Seconds. Money is looked at by the day: by the hour, every busy morning would be dearer than the month's mean."""
ERRORS: Final = 10
"""Lines of level ERROR within five minutes: controllers try again, and single ones mean nothing."""

Query = Mapping[str, Any]
Order = Literal["ASC", "DESC"]
"""Of series: the lowest first, or the highest."""


@dataclass(frozen=True, kw_only=True)
class Controller:
    """A controller whose errors are counted in the application log: name, and the filter pattern for its errors."""

    name: str
    pattern: str


KARPENTER: Final = Controller(
    name="karpenter",
    pattern='{ $.kubernetes.namespace_name = "kube-system" && $.kubernetes.pod_name = "karpenter-*" '
    '&& $.log_processed.level = "ERROR" }',
)
#: Knative's logger writes the level as `severity` (knative.dev/pkg, config-logging).
KNATIVE: Final = Controller(
    name="knative",
    pattern='{ $.kubernetes.namespace_name = "knative-serving" && $.log_processed.severity = "ERROR" }',
)


@dataclass(frozen=True, kw_only=True)
class Watched(Arguments):
    """What is watched.

    spot_rule: name of the EventBridge rule that passes Spot interruption warnings on.
    utilisation: whether every GPU has a utilisation. DCGM has none, or 0, for MIG (NVIDIA/dcgm-exporter#216, #430): so
    with such a pool nobody can say which GPUs are idle, or how many run.
    usd_per_gpu_hour: price of the dearest pool's GPU with its node; None where it is not known.
    usd_per_hour: mean of GPU dollars an hour that the budget bears; None for no such alarm.
    """

    cluster_name: str
    spot_rule: str
    controllers: Sequence[Controller]
    utilisation: bool = True
    usd_per_gpu_hour: float | None = None
    usd_per_hour: float | None = None

    @property
    def errors_namespace(self) -> str:
        """Namespace of the metrics that log filters write."""
        return f"{OURS}{self.cluster_name}"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm: what it means and what to do, its queries as PutMetricAlarm takes them, and when it rings.

    minutes: for how long the threshold must be passed without a break.
    """

    name: str
    says: str
    queries: Sequence[Query]
    comparison: str
    threshold: float
    minutes: int
    period: int = PERIOD

    @property
    def datapoints(self) -> int:
        """Datapoints, one after the other, that must pass the threshold."""
        return self.minutes * 60 // self.period


def worst_by_instance(metric: str, watched: Watched, order: Order = "DESC") -> str:
    """Metrics Insights: a series for each instance, of which each rings alone.

    order: which come first. An alarm on several series needs one (CloudWatch user guide, "Create an alarm based on a
    Multi Time Series Metrics Insights query"), and looks at the first where there are too many.
    """
    return (
        f'SELECT MAX({metric}) FROM SCHEMA("{INSIGHTS}", ClusterName, InstanceId, NodeName) '
        f"WHERE ClusterName = '{watched.cluster_name}' GROUP BY InstanceId ORDER BY MAX() {order}"
    )


def _insights_query(id_: str, metric: str, watched: Watched, order: Order) -> Query:
    return {"id": id_, "expression": worst_by_instance(metric, watched, order), "period": PERIOD, "return_data": True}


def metric_query(
    id_: str,
    namespace: str,
    metric: str,
    stat: str,
    dimensions: Mapping[str, str],
    *,
    returned: bool = True,
    period: int = PERIOD,
) -> Query:
    """One metric. period: seconds that are one datapoint. returned: whether the alarm looks at it, or a formula."""
    of: dict[str, Any] = {"namespace": namespace, "metric_name": metric, "stat": stat, "period": period}
    if dimensions:
        of["dimensions"] = dict(dimensions)
    return {"id": id_, "metric": of, "return_data": returned}


def usd_expression(usd_per_gpu_hour: float, period: int) -> str:
    """Metric math: mean of the GPUs that run, times the price of one. period: seconds that are one datapoint.

    `samples` are those of GPU utilisation: the agent sends one a minute for each GPU, which is also counted for the
    cluster.
    """
    return f"samples / {period // 60} * {usd_per_gpu_hour:.4f}"


def alarms(watched: Watched) -> list[Alarm]:
    """Every alarm of a stack, in the order of the page."""
    cluster = {"ClusterName": watched.cluster_name}
    found = [
        *([_idle(watched)] if watched.utilisation else []),
        Alarm(
            name="gpu-memory-full",
            says=(
                f"A GPU's memory is {FULL_PERCENT:.0f} % full: the next allocation of a slot fails. Time-slicing "
                "limits nobody; take fewer replicas, shorter contexts or smaller models."
            ),
            queries=[_insights_query("memory", "node_gpu_memory_utilization", watched, "DESC")],
            comparison="GreaterThanOrEqualToThreshold",
            threshold=FULL_PERCENT,
            minutes=10,
        ),
        Alarm(
            name="pods-waiting",
            says=(
                f"Pods wait for {WAITING_MINUTES} minutes: no free slot, no capacity, maxGpus reached, the budget's "
                "brake, or a node that never offered its GPU. kubectl get nodeclaims shows nodes that are not ready."
            ),
            queries=[metric_query("waiting", INSIGHTS, "pod_status_pending", "Maximum", cluster)],
            comparison="GreaterThanOrEqualToThreshold",
            threshold=1,
            minutes=WAITING_MINUTES,
        ),
        Alarm(
            name="spot-interruptions",
            says=(
                f"EC2 took back {INTERRUPTIONS} Spot instances of this account and region in five minutes: allow more "
                "instance families or zones."
            ),
            queries=[metric_query("warnings", "AWS/Events", "TriggeredRules", "Sum", {"RuleName": watched.spot_rule})],
            comparison="GreaterThanOrEqualToThreshold",
            threshold=INTERRUPTIONS,
            minutes=5,
        ),
        *(_errors(controller, watched) for controller in watched.controllers),
    ]
    if watched.utilisation and watched.usd_per_gpu_hour is not None and watched.usd_per_hour is not None:
        found.append(_usd(watched, watched.usd_per_gpu_hour, watched.usd_per_hour))
    return found


def _idle(watched: Watched) -> Alarm:
    return Alarm(
        name="gpu-idle",
        says=(
            f"A GPU computed nothing for {IDLE_MINUTES} minutes and is paid for. Nodes without pods leave by "
            "themselves: look which pods hold its slots, and lower minScale, replicas or warm slots."
        ),
        queries=[_insights_query("idle", "node_gpu_utilization", watched, "ASC")],
        comparison="LessThanThreshold",
        threshold=IDLE_PERCENT,
        minutes=IDLE_MINUTES,
    )


def _errors(controller: Controller, watched: Watched) -> Alarm:
    return Alarm(
        name=f"{controller.name}-errors",
        says=f"{controller.name} logged {ERRORS} errors in five minutes, for a quarter of an hour: read its log.",
        queries=[metric_query("errors", watched.errors_namespace, f"{controller.name}-errors", "Sum", {})],
        comparison="GreaterThanOrEqualToThreshold",
        threshold=ERRORS,
        minutes=15,
    )


def _usd(watched: Watched, each: float, limit: float) -> Alarm:
    cluster = {"ClusterName": watched.cluster_name}
    return Alarm(
        name="gpu-usd-per-hour",
        says=(
            f"GPU nodes cost more than {limit:.2f} USD an hour over a day, at the plan's price: so the month's "
            "budget is gone before the month. Lower maxGpus, or look what runs."
        ),
        queries=[
            metric_query(
                "samples", INSIGHTS, "node_gpu_utilization", "SampleCount", cluster, returned=False, period=DAY
            ),
            {"id": "usd", "expression": usd_expression(each, DAY), "label": "USD an hour", "return_data": True},
        ],
        comparison="GreaterThanThreshold",
        threshold=round(limit, 2),
        minutes=DAY // 60,
        period=DAY,
    )
