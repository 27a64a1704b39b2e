"""What Prometheus watches of a stack: recorded figures and alarms, as data for a PrometheusRule.

The alarms have the meaning, and the thresholds, of those in CloudWatch (`components.monitoring.alarms`), and see more:
which GPU, which pod, which node. Names of metrics: DCGM exporter, etc/default-counters.csv; kube-state-metrics,
docs/metrics; Karpenter, "Metrics" in its reference; Knative, OpenTelemetry's names as Prometheus writes them
(UnderscoreEscapingWithSuffixes). `tests/plan/prometheus_metrics.py` holds them against these sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.monitoring.alarms import (
    DAY,
    ERRORS,
    FULL_PERCENT,
    IDLE_MINUTES,
    IDLE_PERCENT,
    INTERRUPTIONS,
    WAITING_MINUTES,
)
from gpu.contract import INITIALIZED_LABEL, NVIDIA_PREFIX, POOL_LABEL

#: Seconds between two looks at a rule, and between two samples.
INTERVAL: Final = 60
#: Minutes after which a node has long joined and run its device plugin (`gpu.coldstart`).
OFFER_MINUTES: Final = 15
SILENT_MINUTES: Final = 15

#: `job` of what Prometheus asks: names of Services, as the operator sets it.
KARPENTER_JOB: Final = "karpenter"
ACTIVATOR_JOB: Final = "activator-service"

UTILISATION: Final = "gpu_slices:gpu_utilisation:percent"
MEMORY: Final = "gpu_slices:gpu_memory:percent"
USD: Final = "gpu_slices:gpu_node_usd_per_hour:sum"
ERRORS_5M: Final = "gpu_slices:errors:increase5m"

#: Resources of the device plugin, as kube-state-metrics writes names: what no label may hold is `_`.
SLOTS: Final = f'resource=~"{NVIDIA_PREFIX.replace(".", "_").replace("/", "_")}.+"'
#: Labels of nodes that kube-state-metrics is told to show (`metricLabelsAllowlist`).
NODE_LABELS: Final = (POOL_LABEL, INITIALIZED_LABEL)


def _label(name: str) -> str:
    """A label of a node, as kube-state-metrics writes it."""
    return "label_" + re.sub("[^a-z]", "_", name)


_POOL: Final = _label(POOL_LABEL)
_RUNS: Final = 'on (namespace, pod) group_left () (max by (namespace, pod) (kube_pod_status_phase{phase="Running"}))'


@dataclass(frozen=True, kw_only=True)
class WatchedStack:
    """What is watched.

    gpu_pools: names of the NodePools with GPUs; at least one. claimed: those of them whose pods claim memory: their
    nodes have no slots, and no pod's requests say that it holds a GPU.
    serving: whether Knative is there. dialogue: whether the dialogue runs as a service.
    usd_per_hour: mean of GPU dollars an hour that the budget bears; None for no such alarm.
    """

    gpu_pools: Sequence[str]
    claimed: Sequence[str] = ()
    serving: bool = False
    dialogue: bool = False
    usd_per_hour: float | None = None

    @property
    def any_pool(self) -> str:
        """Regular expression of the pools' names, which are DNS labels."""
        return "|".join(self.gpu_pools)

    @property
    def slotted(self) -> Sequence[str]:
        """The pools with a device plugin."""
        return [pool for pool in self.gpu_pools if pool not in self.claimed]


@dataclass(frozen=True, kw_only=True)
class RecordingRule:
    """A figure that alarms and dashboard share. says: what it is, with its unit."""

    name: str
    says: str
    expression: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class AlertingRule:
    """An alarm: what it means and what to do, and for how many minutes its expression must give something.

    summary: one line with the labels of what rings, in Prometheus' template language.
    """

    name: str
    summary: str
    says: str
    expression: str
    minutes: int


def recording_rules(watched: WatchedStack) -> Iterator[RecordingRule]:
    """Figures that are reckoned once a minute."""
    yield RecordingRule(
        name=UTILISATION,
        says="Percent of the time in which a GPU computed. Of a MIG GPU the busiest of the instances that work.",
        expression=(
            'max by (node, gpu) (DCGM_FI_PROF_GR_ENGINE_ACTIVE{GPU_I_ID!=""}) * 100\n'
            'or max by (node, gpu) (DCGM_FI_DEV_GPU_UTIL{GPU_I_ID=""})'
        ),
        labels={},
    )
    yield RecordingRule(
        name=MEMORY,
        says="Percent of a GPU's memory that is taken, or of a MIG instance's.",
        expression=(
            "max by (node, gpu, GPU_I_ID) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)) * 100"
        ),
        labels={},
    )
    yield RecordingRule(
        name=USD,
        says="Nodes of the GPU pools, USD an hour, at the price that Karpenter knows of type, zone and capacity type.",
        expression=(
            "sum(\n"
            "  group by (node_name, instance_type, capacity_type, zone) "
            f'(karpenter_nodes_allocatable{{nodepool=~"{watched.any_pool}", resource_type="cpu"}})\n'
            "  * on (instance_type, capacity_type, zone) group_left ()\n"
            "  max by (instance_type, capacity_type, zone) "
            "(karpenter_cloudprovider_instance_type_offering_price_estimate)\n"
            ") or vector(0)"
        ),
        labels={},
    )
    yield RecordingRule(
        name=ERRORS_5M,
        says="Reconciliations of Karpenter that failed in five minutes.",
        expression=f'sum(increase(controller_runtime_reconcile_errors_total{{job="{KARPENTER_JOB}"}}[5m]))',
        labels={"of": "karpenter"},
    )
    if watched.serving:
        yield RecordingRule(
            name=ERRORS_5M,
            says="Requests for models that Knative answered with a status of 500 or above in five minutes.",
            expression=(
                f'sum(increase(http_server_request_duration_seconds_count{{job="{ACTIVATOR_JOB}", '
                'http_response_status_code=~"5.."}[5m]))'
            ),
            labels={"of": "knative"},
        )


def alerting_rules(watched: WatchedStack) -> Iterator[AlertingRule]:
    """Every alarm of a stack, in the order of the page."""
    yield from _of_gpus(watched)
    yield from _of_capacity()
    yield _errors("KarpenterErrors", "karpenter", "reconciliations of Karpenter failed")
    if watched.serving:
        yield _errors("KnativeErrors", "knative", "requests for models failed")
    if watched.usd_per_hour is not None:
        yield _usd(watched.usd_per_hour)
    yield AlertingRule(
        name="FiguresMissing",
        summary="{{ $labels.job }} in {{ $labels.namespace }} gives Prometheus no figures",
        says=f"For {SILENT_MINUTES} minutes, and the alarms on them are silent. Look at its pods.",
        expression="max by (namespace, job) (up) == 0",
        minutes=SILENT_MINUTES,
    )


def _of_gpus(watched: WatchedStack) -> Iterator[AlertingRule]:
    """GPUs that are paid for and do not work, or cannot take more."""
    idle = f"max_over_time({UTILISATION}[5m]) < {IDLE_PERCENT:g}"
    yield AlertingRule(
        name="GpuIdle",
        summary="GPU {{ $labels.gpu }} of {{ $labels.node }} computes nothing, and pods hold its node's GPUs",
        says=(
            f"It computed nothing for {IDLE_MINUTES} minutes and is paid for. Look which pods hold its slots or claim "
            "its memory, and lower minScale, replicas or warm slots."
        ),
        expression="\n".join([idle, "and on (node) (", "\nor\n".join(_holds(watched)), ")"]),
        minutes=IDLE_MINUTES,
    )
    yield AlertingRule(
        name="GpuMemoryFull",
        summary="Memory of GPU {{ $labels.gpu }}{{ $labels.GPU_I_ID }} of {{ $labels.node }} is "
        '{{ $value | printf "%.0f" }} % full',
        says=(
            "The next allocation of a slot fails. Time-slicing limits nobody; take fewer replicas, shorter contexts or "
            "smaller models."
        ),
        expression=f"{MEMORY} >= {FULL_PERCENT:g}",
        minutes=10,
    )
    yield AlertingRule(
        name="GpuNodeWithoutSlots",
        summary=f"Node {{{{ $labels.node }}}} of pool {{{{ $labels.{_POOL} }}}} never offered its GPU",
        says=(
            f"It is paid for, and has no slot or no memory to claim for {OFFER_MINUTES} minutes: driver, device "
            "plugin, DRA driver or MIG failed. Karpenter waits for ever. Look at the node's events and the log of the "
            "plugin or the DRA driver, then: kubectl delete nodeclaim."
        ),
        expression="\nor\n".join(_offers_nothing(watched)),
        minutes=OFFER_MINUTES,
    )


def _holds(watched: WatchedStack) -> Iterator[str]:
    """Nodes on which a running pod holds a GPU, or a part of one."""
    if watched.slotted:
        yield f'(sum by (node) (kube_pod_container_resource_requests{{{SLOTS}, node!=""}} * {_RUNS}) > 0)'
    if watched.claimed:
        # Their taint keeps out who does not want a GPU; DaemonSets tolerate it.
        yield (
            f'(sum by (node) (kube_pod_info{{created_by_kind!="DaemonSet", node!=""}} * {_RUNS}) > 0'
            f" and on (node) {_nodes(watched.claimed)})"
        )


def _offers_nothing(watched: WatchedStack) -> Iterator[str]:
    """Nodes whose GPUs nobody can have."""
    if watched.slotted:
        yield (
            f"max by (node, {_POOL}) ({_nodes(watched.slotted)})\n"
            f"unless on (node) (sum by (node) (kube_node_status_allocatable{{{SLOTS}}}) > 0)"
        )
    if watched.claimed:
        # Karpenter waits for the devices of the drivers that pods on the node have asked for (v1.15.0,
        # pkg/controllers/nodeclaim/lifecycle/initialization.go); no figure of kube-state-metrics shows them.
        waits = f'{_label(INITIALIZED_LABEL)}!="true"'
        yield f"max by (node, {_POOL}) ({_nodes(watched.claimed, waits)})"


def _nodes(pools: Sequence[str], *which: str) -> str:
    names = "|".join(pools)
    labels = ", ".join((f'{_POOL}=~"{names}"', *which))
    return f"kube_node_labels{{{labels}}}"


def _of_capacity() -> Iterator[AlertingRule]:
    """Slots and nodes that are not to be had, or are taken back."""
    yield AlertingRule(
        name="PodsWaiting",
        summary="Pod {{ $labels.pod }} in {{ $labels.namespace }} waits",
        says=(
            f"For {WAITING_MINUTES} minutes: no free slot, no capacity, maxGpus reached, the budget's brake, or a node "
            "that never offered its GPU. kubectl describe pod says what its scheduler misses."
        ),
        expression='max by (namespace, pod) (kube_pod_status_phase{phase="Pending"}) == 1',
        minutes=WAITING_MINUTES,
    )
    warned = 'karpenter_interruption_received_messages_total{message_type="spot_interrupted"}'
    yield AlertingRule(
        name="SpotInterruptions",
        summary="EC2 took back {{ $value }} Spot instances of this cluster in five minutes",
        says="Allow more instance families or zones.",
        # Not `increase`: it misses what a counter has when it is seen first, which after a quiet week is all of it.
        # Where Prometheus itself was not there five minutes ago, nobody knows.
        expression=(
            f"(sum({warned}) - (sum({warned} offset 5m) or vector(0)) >= {INTERRUPTIONS})\n"
            f'and on () (count(up{{job="{KARPENTER_JOB}"}} offset 5m) > 0)'
        ),
        minutes=0,
    )


def _errors(name: str, of: str, what: str) -> AlertingRule:
    return AlertingRule(
        name=name,
        summary=f'{{{{ $value | printf "%.0f" }}}} {what} in five minutes',
        says=f"{ERRORS} or more, for a quarter of an hour: read {of}'s log.",
        expression=f'{ERRORS_5M}{{of="{of}"}} >= {ERRORS}',
        minutes=15,
    )


def _usd(limit: float) -> AlertingRule:
    return AlertingRule(
        name="GpuUsdPerHour",
        summary='GPU nodes cost {{ $value | printf "%.2f" }} USD an hour over a day',
        says=(
            f"That is more than {limit:.2f}: so the month's budget is gone before the month. Lower maxGpus, or look "
            "what runs."
        ),
        # By the day, and not by the samples that there are: else a busy first hour would be dearer than the month.
        expression=f"sum_over_time({USD}[1d]) / {DAY // INTERVAL} > {limit:.2f}",
        minutes=0,
    )


def rule_spec(watched: WatchedStack) -> dict[str, Any]:
    """The `spec` of the PrometheusRule."""
    figures = [
        {"record": each.name, "expr": each.expression, **({"labels": dict(each.labels)} if each.labels else {})}
        for each in recording_rules(watched)
    ]
    rings = [
        {
            "alert": each.name,
            "expr": each.expression,
            **({"for": f"{each.minutes}m"} if each.minutes else {}),
            "labels": {"severity": "warning"},
            "annotations": {"summary": each.summary, "description": each.says},
        }
        for each in alerting_rules(watched)
    ]
    return {
        "groups": [
            {"name": "gpu-slices-figures", "interval": f"{INTERVAL}s", "rules": figures},
            {"name": "gpu-slices-alarms", "interval": f"{INTERVAL}s", "rules": rings},
        ]
    }
