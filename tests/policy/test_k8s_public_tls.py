from __future__ import annotations

from typing import Any

import pytest

from policy.rules.k8s_public_tls import RULE
from tests.policy.support import UNKNOWN, violations

SERVICE = "kubernetes:core/v1:Service"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
GATEWAY = "kubernetes:gateway.networking.k8s.io/v1:Gateway"
NLB = "service.beta.kubernetes.io/aws-load-balancer-"
ALB = "alb.ingress.kubernetes.io/"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/0"
HTTP = {"port": 80.0, "name": "web"}


def service(*ports: dict[str, Any], scheme: Any = "internet-facing", **annotations: Any) -> list[str]:
    given = {f"{NLB}scheme": scheme, **{f"{NLB}{key.replace('_', '-')}": value for key, value in annotations.items()}}
    spec = {"type": "LoadBalancer", "ports": list(ports)}
    return violations(RULE, SERVICE, {"metadata": {"name": "page", "annotations": given}, "spec": spec})


def ingress(spec: dict[str, Any] | None = None, scheme: Any = "internet-facing", **annotations: Any) -> list[str]:
    given = {f"{ALB}scheme": scheme, **{f"{ALB}{key.replace('_', '-')}": value for key, value in annotations.items()}}
    return violations(RULE, INGRESS, {"metadata": {"annotations": given}, "spec": spec or {"rules": []}})


def gateway(*protocols: Any, scheme: str = "internet-facing", inside: bool = True) -> list[str]:
    annotations = {f"{NLB}scheme": scheme}
    spec: dict[str, Any] = {"listeners": [{"name": f"l{n}", "protocol": each} for n, each in enumerate(protocols)]}
    if inside:
        spec["infrastructure"] = {"annotations": annotations}
    return violations(RULE, GATEWAY, {"metadata": {"annotations": {} if inside else annotations}, "spec": spec})


@pytest.mark.parametrize("port", [HTTP, {"port": 8080.0}, {"port": 3000.0, "name": "http"}])
def test_a_public_load_balancer_of_plain_http_fails(port: dict[str, Any]) -> None:
    (message,) = service(port)
    assert "internet-facing and speaks plain HTTP" in message


def test_a_load_balancer_with_tls_or_for_the_inside_or_of_something_else_passes() -> None:
    assert service(HTTP, {"port": 443.0}) == []
    assert service(HTTP, {"port": 3000.0, "appProtocol": "https"}) == []
    assert service(HTTP, ssl_cert=CERTIFICATE) == []
    assert service(HTTP, ssl_cert=UNKNOWN) == []
    assert service(HTTP, scheme="internal") == []
    assert service({"port": 5432.0}) == []
    assert violations(RULE, SERVICE, {"spec": {"type": "ClusterIP", "ports": [HTTP]}}) == []


def test_a_public_ingress_without_tls_fails() -> None:
    (message,) = ingress()
    assert "certificate-arn" in message
    assert ingress(listen_ports='[{"HTTP": 80}]')


def test_an_ingress_with_tls_or_for_the_inside_passes() -> None:
    assert ingress(certificate_arn=CERTIFICATE) == []
    assert ingress(certificate_arn=UNKNOWN) == []
    assert ingress({"tls": [{"hosts": ["page.acme.dev"]}]}) == []
    assert ingress(listen_ports='[{"HTTP": 80}, {"HTTPS": 443}]') == []
    assert ingress(scheme="internal") == []
    assert violations(RULE, INGRESS, {"metadata": {}, "spec": {}}) == []


@pytest.mark.parametrize("inside", [True, False])
def test_a_public_gateway_of_plain_http_alone_fails(inside: bool) -> None:
    assert gateway("HTTP", inside=inside)
    assert gateway("HTTP", "HTTPS", inside=inside) == []
    assert gateway("TCP", inside=inside) == []
    assert gateway("HTTP", scheme="internal", inside=inside) == []


def test_what_is_not_known_is_told() -> None:
    for found in (service(HTTP, scheme=UNKNOWN), ingress(scheme=UNKNOWN), gateway(UNKNOWN)):
        (message,) = found
        assert "literal" in message
