"""Whom Prometheus asks for figures: ServiceMonitors and PodMonitors (monitoring.coreos.com/v1), as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from components.gpu.gpu_sharing import NAMESPACE as GPU_NAMESPACE
from components.karpenter.karpenter_policies import CONTROLLER_NAMESPACE as KARPENTER_NAMESPACE
from components.monitoring.rules import INTERVAL, WatchedStack
from components.serving.dialogue import METRICS_PORT, SERVICE
from components.serving.dialogue import NAMESPACE as DIALOGUE_NAMESPACE
from components.serving.knative_config import NAMESPACE as KNATIVE_NAMESPACE
from gpu.contract import NAME_LABEL, SERVICE_LABEL

#: As its chart labels its pods.
DCGM_EXPORTER: Final = "dcgm-exporter"
#: What Knative calls the port of a service's own container (serving pkg/apis/serving/v1, `UserPortName`).
_USER_PORT: Final = "user-port"


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A monitor: its name, its kind, and its spec."""

    name: str
    kind: Literal["ServiceMonitor", "PodMonitor"]
    spec: Mapping[str, Any]


def monitors(watched: WatchedStack) -> Iterator[Monitor]:
    """All monitors beside those that the chart brings for its own parts."""
    yield _dcgm_exporter()
    yield Monitor(
        name="karpenter",
        kind="ServiceMonitor",
        spec={
            **_of(KARPENTER_NAMESPACE, {NAME_LABEL: "karpenter"}),
            "endpoints": [
                {"port": "http-metrics", "interval": f"{INTERVAL}s", "metricRelabelings": [*_without_the_catalogue()]}
            ],
        },
    )
    if watched.serving:
        yield Monitor(
            name="knative-serving",
            kind="ServiceMonitor",
            spec={
                **_of(KNATIVE_NAMESPACE, {NAME_LABEL: "knative-serving"}),
                "endpoints": [{"port": "http-metrics", "interval": f"{INTERVAL}s"}],
            },
        )
    if watched.dialogue:
        yield _dialogue()


def _dcgm_exporter() -> Monitor:
    return Monitor(
        name="dcgm-exporter",
        kind="PodMonitor",
        spec={
            **_of(GPU_NAMESPACE, {NAME_LABEL: DCGM_EXPORTER}),
            "podMetricsEndpoints": [
                {
                    "port": "metrics",
                    "interval": f"{INTERVAL}s",
                    # The exporter's own `pod` is whom it believes to hold the GPU: it stays `exported_pod`.
                    "relabelings": [_as_label("__meta_kubernetes_pod_node_name", "node")],
                }
            ],
        },
    )


def _dialogue() -> Monitor:
    """Knative lets a container have one port, and it is the page's: that of the figures is found beside it."""
    page = {
        "action": "keep",
        "sourceLabels": ["__meta_kubernetes_pod_container_port_name"],
        "regex": _USER_PORT,
    }
    figures = {
        "action": "replace",
        "sourceLabels": ["__meta_kubernetes_pod_ip"],
        "targetLabel": "__address__",
        "replacement": f"$1:{METRICS_PORT}",
    }
    return Monitor(
        name="dialogue",
        kind="PodMonitor",
        spec={
            **_of(DIALOGUE_NAMESPACE, {SERVICE_LABEL: SERVICE}),
            "podMetricsEndpoints": [{"interval": f"{INTERVAL}s", "relabelings": [page, figures]}],
        },
    )


def _of(namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"namespaceSelector": {"matchNames": [namespace]}, "selector": {"matchLabels": dict(labels)}}


def _as_label(source: str, target: str) -> dict[str, Any]:
    return {"action": "replace", "sourceLabels": [source], "targetLabel": target}


def _without_the_catalogue() -> Iterator[dict[str, Any]]:
    """Karpenter says of all of EC2's types what they have and cost, in each zone: ten thousand series that nobody
    reads. The prices of types g and p stay."""
    yield {
        "action": "drop",
        "sourceLabels": ["__name__"],
        "regex": "karpenter_cloudprovider_instance_type_(offering_available|cpu_cores|memory_bytes)",
    }
    yield {
        "action": "drop",
        "sourceLabels": ["__name__", "instance_type"],
        "regex": "karpenter_cloudprovider_instance_type_offering_price_estimate;[^gp].*",
    }
