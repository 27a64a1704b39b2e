"""Names of metrics that rules and dashboard read, with the source of each; and which names an expression reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import versions
from tests.gotools import (
    KARPENTER_CORE,
    KNATIVE_PKG,
    KUBE_STATE_METRICS_MODULE,
    karpenter_dir,
    knative_dir,
    module_dir,
    module_file,
)


@dataclass(frozen=True)
class Source:
    """Where a name stands: a file of a module, with the words that must be in it; None where no module is served."""

    where: str
    text: Callable[[], str] | None
    words: tuple[str, ...]


def kube_state_metrics_version() -> str:
    """That of the pinned image."""
    found = re.search(r":(v[\d.]+)@", versions.PROMETHEUS_IMAGES["kube-state-metrics.image"])
    assert found
    return found[1]


def _of_kube_state_metrics(page: str) -> Callable[[], str]:
    def text() -> str:
        return module_file(KUBE_STATE_METRICS_MODULE, kube_state_metrics_version(), f"docs/metrics/{page}")

    return text


def _of(folder: Callable[[], Path], path: str) -> Callable[[], str]:
    return lambda: (folder() / path).read_text(encoding="utf-8")


def _http_handler() -> str:
    """What Knative expects of OpenTelemetry's HTTP handler, and the handler of the version that Serving takes."""
    handler = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
    found = re.search(rf"^\s*{re.escape(handler)} (v\S+)", (knative_dir() / "go.mod").read_text(encoding="utf-8"), re.M)
    assert found
    expected = (module_dir(*KNATIVE_PKG) / "webhook/admission_integration_test.go").read_text(encoding="utf-8")
    return expected + module_file(handler, found[1], "internal/semconv/server.go")


def _core() -> Path:
    return module_dir(*KARPENTER_CORE)


def _runtime_metrics() -> str:
    """controller-runtime's file of metrics, of the version that Karpenter takes."""
    found = re.search(r"^\s*sigs\.k8s\.io/controller-runtime (v\S+)", (karpenter_dir() / "go.mod").read_text(), re.M)
    assert found
    path = "pkg/internal/controller/metrics/metrics.go"
    return module_file("sigs.k8s.io/controller-runtime", found[1], path)


#: The proxy serves no module of the exporter: read on 2026-11-30 in its repository, tag 4.8.2.
_DCGM: Final = "NVIDIA/dcgm-exporter 4.8.2, etc/default-counters.csv"
_PODS: Final = "workload/pod-metrics.md"
_NODES: Final = "cluster/node-metrics.md"

METRICS: Final[Mapping[str, Source]] = {
    **{
        name: Source(_DCGM, None, ())
        for name in (
            "DCGM_FI_DEV_FB_FREE",
            "DCGM_FI_DEV_FB_USED",
            "DCGM_FI_DEV_GPU_UTIL",
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        )
    },
    **{
        name: Source(f"kube-state-metrics, docs/metrics/{page}", _of_kube_state_metrics(page), (f"| {name} ", *labels))
        for name, page, labels in (
            ("kube_node_labels", _NODES, ("label_NODE_LABEL",)),
            ("kube_node_status_allocatable", _NODES, ("`resource`",)),
            ("kube_pod_container_resource_requests", _PODS, ("`resource`", "`node`")),
            ("kube_pod_info", _PODS, ("`created_by_kind`", "`node`")),
            ("kube_pod_status_phase", _PODS, ("`phase`=&lt;Pending\\|Running",)),
        )
    },
    "karpenter_nodes_allocatable": Source(
        "sigs.k8s.io/karpenter, pkg/controllers/metrics/node/controller.go",
        _of(_core, "pkg/controllers/metrics/node/controller.go"),
        ("metrics.NodeSubsystem", '"allocatable"', '"node_name"', "ResourceType"),
    ),
    "karpenter_cloudprovider_instance_type_offering_price_estimate": Source(
        "karpenter-provider-aws, pkg/controllers/metrics/metrics.go",
        _of(karpenter_dir, "pkg/controllers/metrics/metrics.go"),
        ('"instance_type_offering_price_estimate"', '"instance_type"', "metrics.CapacityType", "metrics.Zone"),
    ),
    "karpenter_interruption_received_messages_total": Source(
        "karpenter-provider-aws, pkg/controllers/interruption/metrics.go",
        _of(karpenter_dir, "pkg/controllers/interruption/metrics.go"),
        ('"interruption"', '"received_messages_total"', '"message_type"'),
    ),
    "controller_runtime_reconcile_errors_total": Source(
        "sigs.k8s.io/controller-runtime, pkg/internal/controller/metrics/metrics.go",
        _runtime_metrics,
        ('"controller_runtime_reconcile_errors_total"',),
    ),
    **{
        f"kn_revision_request_{what}": Source(
            "knative.dev/serving, pkg/activator/handler/metrics.go",
            _of(knative_dir, "pkg/activator/handler/metrics.go"),
            (f'"kn.revision.request.{what}"', "RevisionNameKey"),
        )
        for what in ("active", "queued")
    },
    "http_server_request_duration_seconds_count": Source(
        "knative.dev/pkg, webhook/admission_integration_test.go, and OpenTelemetry's handler, which the activator has",
        _http_handler,
        ('"http.server.request.duration"', "httpconv.NewServerRequestDuration", "HTTPResponseStatusCode"),
    ),
    **{
        name: Source(
            "apps/dialogue/metrics.py", _of(lambda: Path(__file__).parents[2], "apps/dialogue/metrics.py"), words
        )
        for name, words in {
            "dialogue_conversations_running": ('"conversations_running"', 'f"dialogue_{name}"'),
            "dialogue_tokens_total": ('"tokens"', "Counter"),
            "dialogue_watchers": ('"watchers"',),
        }.items()
    },
    "up": Source("Prometheus itself", None, ()),
}

_KEYWORDS: Final = {"and", "or", "unless", "by", "on", "group_left", "group_right", "offset", "without", "ignoring"}


def names_in(expression: str) -> set[str]:
    """Metrics and recorded figures that an expression reads."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    found = re.findall(r"[A-Za-z_:][\w:]*(?![\w:]*\s*\()", bare)
    return set(found) - _KEYWORDS
