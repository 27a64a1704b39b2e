"""The dashboard of a stack, as CloudWatch's JSON (CloudWatch API reference, "Dashboard body structure and syntax")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from components.monitoring.alarms import INSIGHTS, PERIOD, Watched, usd_expression, worst_by_instance

_WIDTH: Final = 12
_HEIGHT: Final = 6


def dashboard_name(cluster_name: str) -> str:
    """Name of a cluster's dashboard."""
    return f"{cluster_name}-gpus"


def dashboard(watched: Watched, region: str) -> dict[str, Any]:
    """The dashboard's body: two widgets in a row."""
    return {
        "widgets": [
            {
                "type": "metric",
                "x": (index % 2) * _WIDTH,
                "y": index // 2 * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": {"region": region, "view": "timeSeries", "period": PERIOD, **properties},
            }
            for index, properties in enumerate(_widgets(watched))
        ]
    }


def _widgets(watched: Watched) -> Iterator[dict[str, Any]]:
    cluster = ["ClusterName", watched.cluster_name]
    percent = {"yAxis": {"left": {"min": 0, "max": 100, "label": "%", "showUnits": False}}}
    yield {
        "title": "GPU utilisation by node",
        "metrics": [[{"expression": worst_by_instance("node_gpu_utilization", watched), "id": "q1"}]],
        **percent,
    }
    yield {
        "title": "GPU memory by node",
        "metrics": [[{"expression": worst_by_instance("node_gpu_memory_utilization", watched), "id": "q2"}]],
        **percent,
    }
    samples = [INSIGHTS, "node_gpu_utilization", *cluster, {"id": "samples", "stat": "SampleCount", "visible": False}]
    if watched.utilisation:
        yield {
            "title": "GPUs that run",
            "metrics": [samples, [{"expression": f"samples / {PERIOD // 60}", "id": "gpus", "label": "GPUs"}]],
        }
    if watched.utilisation and watched.usd_per_gpu_hour is not None:
        usd = {"expression": usd_expression(watched.usd_per_gpu_hour, PERIOD), "id": "usd", "label": "USD an hour"}
        yield {"title": "GPU nodes, USD an hour at the plan's price", "metrics": [samples, [usd]]}
    yield {
        "title": "Pods that wait",
        "metrics": [[INSIGHTS, "pod_status_pending", *cluster, {"stat": "Sum", "label": "pod minutes"}]],
    }
    yield {
        "title": "Spot interruptions, of account and region",
        "metrics": [["AWS/Events", "TriggeredRules", "RuleName", watched.spot_rule, {"stat": "Sum"}]],
    }
    yield {
        "title": "Errors of controllers",
        "metrics": [
            [watched.errors_namespace, f"{controller.name}-errors", {"stat": "Sum"}]
            for controller in watched.controllers
        ],
    }
