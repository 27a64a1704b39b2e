from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.ollama_not_public import RULE
from tests.policy.platform import KNATIVE, RELEASE, deployment
from tests.policy.support import UNKNOWN, judged, recorded

SERVICE = "kubernetes:core/v1:Service"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
SCHEME = "service.beta.kubernetes.io/aws-load-balancer-scheme"
INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"
ALB = "alb.ingress.kubernetes.io/scheme"
VISIBILITY = "networking.knative.dev/visibility"

LABELS = {"app": "llm"}
OLLAMA = {"name": "m", "image": "ollama/ollama:0.17.4"}
SERVER = deployment(OLLAMA, metadata={"labels": LABELS})


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def service(kind: Any, annotations: dict[str, Any] | None = None, **spec: Any) -> Recorded:
    metadata = {"name": "llm", "namespace": "models", "annotations": annotations or {}}
    inputs = {"metadata": metadata, "spec": {"type": kind, "selector": LABELS, "ports": [{"port": 80.0}], **spec}}
    return recorded(SERVICE, inputs, "service")


def ingress(scheme: str | None = None, name: str = "llm", port: int = 80) -> Recorded:
    backend = {"service": {"name": name, "port": {"number": float(port)}}}
    spec = {"rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]}
    return recorded(INGRESS, {"metadata": {"annotations": {ALB: scheme} if scheme else {}}, "spec": spec}, "ingress")


def knative(labels: Any) -> Recorded:
    return deployment(OLLAMA, type_=KNATIVE, name="mistral", owner={"labels": labels})


def test_inside_the_cluster_passes() -> None:
    assert said(SERVER, service("ClusterIP"), service(None)) == []
    assert (
        said(SERVER, service("LoadBalancer", {SCHEME: "internal"}), service("LoadBalancer", {INTERNAL: "true"})) == []
    )
    assert said(SERVER, service("ClusterIP"), ingress("internal")) == []
    assert said(knative({VISIBILITY: "cluster-local"})) == []


@pytest.mark.parametrize(
    "annotations",
    [{}, {SCHEME: "internet-facing"}, {INTERNAL: "false"}, {SCHEME: "internet-facing", INTERNAL: "true"}],
)
def test_a_public_load_balancer_fails(annotations: dict[str, Any]) -> None:
    (message,) = said(SERVER, service("LoadBalancer", annotations))
    assert "a load balancer leads to Ollama" in message


@pytest.mark.parametrize("ports", [[{"port": 11434.0}], [{"port": 80, "targetPort": "11434"}], [{"name": "ollama"}]])
def test_ports_tell_of_ollama_where_the_pods_are_elsewhere(ports: list[dict[str, Any]]) -> None:
    assert said(service("LoadBalancer", ports=ports, selector={"other": "x"}))


def test_an_unknown_type_fails_and_unknown_annotations_do_not_help() -> None:
    assert "spec.type must be a literal" in said(SERVER, service(UNKNOWN))[0]
    assert said(SERVER, service("LoadBalancer", {SCHEME: UNKNOWN}))
    assert said(SERVER, service("LoadBalancer", {INTERNAL: UNKNOWN}))


def test_addresses_from_outside_fail() -> None:
    assert "spec.externalIPs" in said(SERVER, service("ClusterIP", externalIPs=["203.0.113.7"]))[0]


def test_patches_count() -> None:
    spec = {"type": "LoadBalancer", "ports": [{"port": 11434.0}]}
    assert said(recorded(f"{SERVICE}Patch", {"metadata": {"name": "llm"}, "spec": spec}))


def test_an_ingress_fails() -> None:
    assert said(SERVER, service("ClusterIP"), ingress())
    assert said(SERVER, service("ClusterIP"), ingress("internet-facing"))
    assert said(ingress(name="elsewhere", port=11434))


@pytest.mark.parametrize("labels", [{}, {VISIBILITY: "public"}, {VISIBILITY: UNKNOWN}, UNKNOWN])
def test_a_public_knative_route_fails(labels: Any) -> None:
    (message,) = said(knative(labels))
    assert "public route" in message


def test_other_services_are_left_alone() -> None:
    web = deployment({"name": "w", "image": "registry.example/dialogue:1"}, metadata={"labels": LABELS})
    assert said(web, service("LoadBalancer"), ingress(name="web")) == []
    elsewhere = deployment(OLLAMA, metadata={"labels": LABELS}, owner={"namespace": "other"})
    assert said(elsewhere, service("LoadBalancer")) == []
    assert said(deployment({"name": "w", "image": "web:1"}, type_=KNATIVE)) == []


@pytest.mark.parametrize(
    ("values", "fails"),
    [
        ({}, False),
        ({"service": {"type": "LoadBalancer"}}, True),
        ({"service": {"type": "LoadBalancer", "annotations": {SCHEME: "internal"}}}, False),
        ({"ingress": {"enabled": True}}, True),
        ({"ingress": {"enabled": True, "annotations": {ALB: "internal"}}}, False),
        ({"knative": {"enabled": True}}, True),
        ({"httpRoute": {"enabled": True}}, True),
        ({"httpRoute": {"enabled": True}, "gateway": {"enabled": True, "className": "alb"}}, True),
        ({"httpRoute": {"enabled": True}, "gateway": {"enabled": True, "annotations": {SCHEME: "internal"}}}, False),
        ({"httpRoute": {"enabled": True, "parentRefs": [{"name": "front"}]}}, True),
        ({"httpRoute": {"enabled": False, "parentRefs": [{"name": "front"}]}}, False),
    ],
)
def test_the_community_chart(values: dict[str, Any], fails: bool) -> None:
    assert bool(said(recorded(RELEASE, {"chart": "ollama", "values": values}))) is fails


def test_a_route_of_the_chart_may_hang_on_an_internal_gateway_of_the_program() -> None:
    release = recorded(
        RELEASE, {"chart": "ollama", "values": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "front"}]}}}
    )
    gateway = {"metadata": {"name": "front", "annotations": {SCHEME: "internal"}}, "spec": {}}
    assert said(release, recorded("kubernetes:gateway.networking.k8s.io/v1:Gateway", gateway, "front")) == []
