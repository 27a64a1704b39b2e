"""Network policies, and the peers and ports that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.sdk import k8s

#: CoreDNS, as EKS's add-on labels it.
DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def network_policy(
    name: str, object_name: str, namespace: str, spec: Any, opts: pulumi.ResourceOptions
) -> k8s.networking.v1.NetworkPolicy:
    """A NetworkPolicy; `name` is its logical name."""
    return k8s.networking.v1.NetworkPolicy(
        name, metadata={"name": object_name, "namespace": namespace}, spec=spec, opts=opts
    )


def namespace_peer(namespace: pulumi.Input[str], labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The pods of a namespace, or those of them that have the labels."""
    peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return peer | {"podSelector": {"matchLabels": dict(labels)}} if labels else peer


def tcp(*ports: int) -> Sequence[dict[str, Any]]:
    """TCP ports of a rule."""
    return [{"protocol": "TCP", "port": port} for port in ports]
