"""KnativeServing: what is installed, where it runs, who may reach it, and in which order it comes and goes."""

from typing import Any

import pytest

from components.serving.knative_serving import KnativeServing, KnativeServingArgs
from gpu.system_pods import knative_cpu_millis
from tests.unit.components.recording import Recording, record

SERVING = "kubernetes:operator.knative.dev/v1beta1:KnativeServing"
RELEASE = "kubernetes:helm.sh/v3:Release"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
NAMESPACE = "kubernetes:core/v1:Namespace"
SYSTEM_TOLERATION = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]


def knative(**arguments: Any) -> Recording[KnativeServing]:
    given = {"features": {"nodeselector", "tolerations"}, **arguments}
    return record(lambda: KnativeServing("knative", KnativeServingArgs(**given)))


def spec(recording: Recording[Any]) -> Any:
    return recording.one(SERVING).inputs["spec"]


def test_operator_before_serving_and_namespaces_before_both() -> None:
    recording = knative()
    serving, operator = recording.one(SERVING), recording.one(RELEASE)
    assert recording.outlives(operator, serving)
    for namespace in recording.of_type(NAMESPACE):
        assert recording.outlives(namespace, serving)
        assert namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for policy in recording.of_type(POLICY):
        assert recording.outlives(policy, serving)
    assert serving.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}


def test_flags_are_those_that_are_asked_for() -> None:
    assert spec(knative())["config"]["features"] == {
        "kubernetes.podspec-nodeselector": "enabled",
        "kubernetes.podspec-tolerations": "enabled",
    }
    assert "features" not in spec(knative(features=set()))["config"]


def test_cold_gpu_nodes_are_waited_for() -> None:
    config = spec(knative())["config"]
    assert config["deployment"]["pod-is-always-schedulable"] == "true"
    assert config["deployment"]["progress-deadline"] == "1200s"
    assert config["deployment"]["default-affinity-type"] == "none"
    assert (config["autoscaler"]["allow-zero-initial-scale"], config["autoscaler"]["initial-scale"]) == ("true", "0")
    assert config["network"] == {"ingress-class": "kourier.ingress.networking.knative.dev"}


def test_every_part_runs_on_system_nodes() -> None:
    found = spec(knative(replicas=3))
    assert found["high-availability"] == {"replicas": 3}
    for workload in found["workloads"]:
        assert workload["nodeSelector"] == {"karpenter.sh/controller": "true"}, workload["name"]
        assert workload["tolerations"] == SYSTEM_TOLERATION, workload["name"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_it_requests_is_what_is_counted(replicas: int) -> None:
    recording = knative(replicas=replicas)
    parts = [r["requests"]["cpu"] for w in spec(recording)["workloads"] for r in w.get("resources", ())]
    values = recording.one(RELEASE).inputs["values"]["knative_operator"]
    operator = [values[part]["resources"]["requests"]["cpu"] for part in ("knative_operator", "operator_webhook")]
    requested = replicas * sum(millis(cpu) for cpu in parts) + sum(millis(cpu) for cpu in operator)
    assert requested == knative_cpu_millis(replicas)


def millis(cpu: str) -> int:
    assert cpu.endswith("m")
    return int(cpu.removesuffix("m"))


def test_without_a_door_nothing_leads_in() -> None:
    recording = knative()
    assert spec(recording)["ingress"] == {"kourier": {"enabled": True, "service-type": "ClusterIP"}}
    assert "domain" not in spec(recording)["config"]
    gateway = recording.named("knative-3scale-kourier-gateway").inputs["spec"]["ingress"]
    assert len(gateway) == 2


def test_the_door_opens_ports_of_the_nodes_and_a_domain() -> None:
    recording = knative(domain="chat.example.com", tls_secret="chat-tls", vpc_cidr="10.42.0.0/16")
    kourier = spec(recording)["ingress"]["kourier"]
    assert (kourier["service-type"], kourier["http-port"], kourier["https-port"]) == ("NodePort", 31080, 31443)
    config = spec(recording)["config"]
    assert config["domain"] == {"chat.example.com": ""}
    assert config["network"]["domain-template"] == "{{.Name}}.{{.Domain}}"
    assert config["kourier"] == {
        "certs-secret-name": "chat-tls",
        "certs-secret-namespace": "knative-serving",
        "use-remote-address": "true",
        "enable-proxy-protocol": "true",
    }
    # Without a load balancer nobody would send the header that Kourier would wait for.
    assert spec(knative())["config"]["kourier"] == {"use-remote-address": "true"}
    outside = recording.named("knative-3scale-kourier-gateway").inputs["spec"]["ingress"][2]
    assert outside["from"] == [{"ipBlock": {"cidr": "10.42.0.0/16"}}]
    assert {port["port"] for port in outside["ports"]} == {8080, 8443}


def test_only_clients_reach_the_way_to_models() -> None:
    recording = knative()
    activator = recording.named("knative-activator").inputs["spec"]
    assert activator["podSelector"] == {"matchLabels": {"app": "activator"}}
    (only,) = activator["ingress"]
    knative_itself = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "knative-serving"}}}
    assert only["from"] == [knative_itself]
    _, clients = recording.named("knative-3scale-kourier-gateway").inputs["spec"]["ingress"]
    assert clients["from"] == [{"namespaceSelector": {"matchLabels": {"gpu-slices/models-client": "true"}}}]
    assert [port["port"] for port in clients["ports"]] == [8081]


def test_nodes_can_be_drained() -> None:
    assert {each["maxUnavailable"] for each in spec(knative())["podDisruptionBudgets"]} == {1}
