"""An API server that answers from objects, refuses what it is told to, and writes down everything that it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
#: Path of each collection, by kind.
PATHS = {
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/pods",
    "ConfigMap": "/api/v1/namespaces/kube-system/configmaps",
    "Deployment": "/apis/apps/v1/deployments",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "NodePool": "/apis/karpenter.sh/v1/nodepools",
    "NodeOverlay": "/apis/karpenter.sh/v1alpha1/nodeoverlays",
    "EC2NodeClass": "/apis/karpenter.k8s.aws/v1/ec2nodeclasses",
    "DeviceClass": "/apis/resource.k8s.io/v1/deviceclasses",
    "ResourceClaim": "/apis/resource.k8s.io/v1/resourceclaims",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/resourceclaimtemplates",
    "Provisioner": "/apis/karpenter.sh/v1alpha5/provisioners",
    "AWSNodeTemplate": "/apis/karpenter.k8s.aws/v1alpha1/awsnodetemplates",
}
#: Kinds of before Karpenter 0.32: a server has them only where somebody does.
OLD = ("Provisioner", "AWSNodeTemplate")
GROUPS = {"apps": "v1", "karpenter.sh": "v1", "karpenter.k8s.aws": "v1", "resource.k8s.io": "v1"}


@dataclass
class Api:
    """What a server was sent: method and path with its query, in order."""

    url: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    forbidden: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    def answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Object]:
        """Status and body."""
        if path == "/version":
            return 200, {"gitVersion": "v1.35.3-eks-0000000"}
        if path == "/apis":
            groups = [{"name": name, "preferredVersion": {"version": v}} for name, v in GROUPS.items()]
            return 200, {"kind": "APIGroupList", "groups": groups}
        kind = next((kind for kind, where in PATHS.items() if where == path and kind not in self.unknown), None)
        if kind in OLD and all(each["kind"] != kind for each in self.objects):
            kind = None
        if kind in self.forbidden:
            message = f'{path.rpartition("/")[2]} is forbidden: User "reader" cannot list resource'
            return 403, {"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": message, "code": 403}
        if kind is None:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "no", "code": 404}
        found = [each for each in self.objects if each["kind"] == kind]
        start = int(query.get("continue", ["0"])[0])
        stop = start + 2  # pages of two, whatever is asked for
        more = {"continue": str(stop)} if stop < len(found) else {}
        bare = [{key: v for key, v in each.items() if key not in ("kind", "apiVersion")} for each in found[start:stop]]
        version = found[0]["apiVersion"] if found else "v1"
        return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": more, "items": bare}


@contextmanager
def serving(
    objects: list[Object], forbidden: frozenset[str] = frozenset(), unknown: frozenset[str] = frozenset()
) -> Iterator[Api]:
    """A server on a free port of this machine. forbidden: kinds that nobody may list; unknown: those it has not."""
    api = Api(objects=objects, forbidden=forbidden, unknown=unknown)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            api.sent.append((self.command, self.path))
            parts = urlsplit(self.path)
            status, body = api.answer(parts.path, parse_qs(parts.query)) if self.command == "GET" else (405, {})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler._any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(folder: Path, url: str, *, name: str = "theirs", user: Object | None = None) -> Path:
    """A kubeconfig for a server."""
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": "me", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": name, "user": "me"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
