"""The API of custom metrics, as prometheus-adapter has it, for a twin's API server: one figure of pods.

The API server asks it by its aggregation layer: an APIService that names a Service, which names this machine.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import trustme

from twin.kube.client import Kube

_GROUP, _VERSION = "custom.metrics.k8s.io", "v1beta2"
_NAMESPACE, _NAME = "kube-system", "custom-metrics"

Figures = Callable[[], Mapping[str, float]]


@contextlib.contextmanager
def served(kube: Kube, namespace: str, metric: str, figures: Figures) -> Iterator[None]:
    """Serve a figure of the pods of a namespace, by their names, as long as the context is open."""

    class Handler(BaseHTTPRequestHandler):
        """Answers what the API server asks: what there is, and the figures."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """A list of resources, or of values."""
            path = unquote(urlsplit(self.path).path).rstrip("/")
            base = f"/apis/{_GROUP}/{_VERSION}"
            if path == base:
                self._send(200, _resources(metric))
            elif path == f"{base}/namespaces/{namespace}/pods/*/{metric}":
                self._send(200, _values(namespace, metric, figures()))
            else:
                self._send(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = _tls().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        for thing in _registration(server.server_address[1]):
            kube.apply(thing)
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = trustme.CA().issue_cert("localhost")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        context.load_cert_chain(path)
    return context


def _registration(port: int) -> Iterator[dict[str, Any]]:
    metadata = {"name": _NAME, "namespace": _NAMESPACE}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    spec = {"type": "ExternalName", "externalName": "localhost"}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    yield {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{_VERSION}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "version": _VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {**metadata, "port": port},
        },
    }


def _resources(metric: str) -> dict[str, Any]:
    pods = {
        "name": f"pods/{metric}",
        "singularName": "",
        "namespaced": True,
        "kind": "MetricValueList",
        "verbs": ["get"],
    }
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{_GROUP}/{_VERSION}", "resources": [pods]}


def _values(namespace: str, metric: str, figures: Mapping[str, float]) -> dict[str, Any]:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    items = [
        {
            "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
            "metric": {"name": metric, "selector": None},
            "timestamp": now,
            "value": f"{round(value * 1000)}m",
        }
        for pod, value in figures.items()
    ]
    return {"kind": "MetricValueList", "apiVersion": f"{_GROUP}/{_VERSION}", "metadata": {}, "items": items}
