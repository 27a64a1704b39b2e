"""The dashboard of a stack, as Grafana's JSON (Grafana, "Dashboard JSON model", schema version 42)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from components.monitoring.rules import ERRORS_5M, MEMORY, SLOTS, USD, UTILISATION, WatchedStack

#: Of the only data source (`components.monitoring.prometheus_chart`).
DATASOURCE: Final[Mapping[str, str]] = {"type": "prometheus", "uid": "prometheus"}
UID: Final = "gpu-slices"
_WIDTH: Final = 12
_HEIGHT: Final = 8

#: A line: its expression, and its legend in Grafana's template language.
Target = tuple[str, str]


def dashboard(watched: WatchedStack, title: str) -> dict[str, Any]:
    """The dashboard: two panels in a row."""
    return {
        "uid": UID,
        "title": title,
        "schemaVersion": 42,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "tags": ["gpu-slices"],
        "panels": [
            {
                "id": index + 1,
                "type": "timeseries",
                "title": name,
                "datasource": dict(DATASOURCE),
                "gridPos": {"x": index % 2 * _WIDTH, "y": index // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
                "fieldConfig": {
                    "defaults": {"unit": unit, "min": 0, **({"max": most} if most else {})},
                    "overrides": [],
                },
                "options": {
                    "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                },
                "targets": [
                    {
                        "refId": chr(ord("A") + number),
                        "datasource": dict(DATASOURCE),
                        "expr": expression,
                        "legendFormat": legend,
                        "range": True,
                    }
                    for number, (expression, legend) in enumerate(targets)
                ],
            }
            for index, (name, unit, most, targets) in enumerate(_panels(watched))
        ],
    }


def _panels(watched: WatchedStack) -> Iterator[tuple[str, str, float | None, Sequence[Target]]]:
    """Title, Grafana's unit, end of the axis, and lines."""
    yield "GPU utilisation", "percent", 100, [(UTILISATION, "{{node}} GPU {{gpu}}")]
    yield "GPU memory", "percent", 100, [(MEMORY, "{{node}} GPU {{gpu}} {{GPU_I_ID}}")]
    if watched.slotted:
        held = f'sum(kube_pod_container_resource_requests{{{SLOTS}, node!=""}})'
        offered = f"sum(kube_node_status_allocatable{{{SLOTS}}})"
        yield "Slots", "none", None, [(f"{offered} or vector(0)", "offered"), (f"{held} or vector(0)", "taken")]
    yield "GPU nodes, USD an hour at Karpenter's price", "currencyUSD", None, [(USD, "USD an hour")]
    pending = 'max by (namespace, pod) (kube_pod_status_phase{phase="Pending"})'
    yield "Pods that wait", "none", None, [(f"sum({pending})", "pods")]
    interruptions = 'karpenter_interruption_received_messages_total{message_type="spot_interrupted"}'
    taken_back = [(f"sum(increase({interruptions}[5m]))", "in five minutes")]
    yield "Spot interruptions of this cluster", "none", None, taken_back
    yield "Errors of controllers, in five minutes", "none", None, [(ERRORS_5M, "{{of}}")]
    if watched.serving:
        yield (
            "Requests for models",
            "none",
            None,
            [
                ("sum by (kn_revision_name) (kn_revision_request_active)", "{{kn_revision_name}} answers"),
                ("sum by (kn_revision_name) (kn_revision_request_queued)", "{{kn_revision_name}} is waited for"),
            ],
        )
    if watched.dialogue:
        yield "Tokens said in dialogues, a second", "none", None, [("sum(rate(dialogue_tokens_total[5m]))", "tokens")]
        running, watchers = "sum(dialogue_conversations_running)", "sum(dialogue_watchers)"
        yield "Dialogues", "none", None, [(running, "run"), (watchers, "watchers")]
