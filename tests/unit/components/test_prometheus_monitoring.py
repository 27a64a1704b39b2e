"""PrometheusMonitoring: who may publish, what is there before what, what is closed, and what Grafana is handed."""

from __future__ import annotations

import functools
import json
from typing import Any

import pulumi
import pytest

import versions
from components.monitoring.prometheus import PrometheusMonitoring, PrometheusMonitoringArgs
from components.monitoring.rules import WatchedStack
from gpu.host_share import RESERVED_CPU_MILLIS, RESERVED_MEMORY_MIB
from gpu.system_pods import MONITORING_PODS
from stacks.watching import watched_stack
from tests.unit.components.recording import Recording, record
from tests.unit.config.support import changed, parsed

WATCHED = WatchedStack(gpu_pools=["p"], serving=True, usd_per_hour=0.5)
RELEASE = "kubernetes:helm.sh/v3:Release"


@functools.cache
def monitored(storage_class: str | None = "gp3-encrypted") -> Recording[None]:
    def program() -> None:
        before = pulumi.ComponentResource("test:index:Before", "before")
        arguments = PrometheusMonitoringArgs(
            cluster_name="c",
            account_id="123456789012",
            region="us-east-1",
            watched=WATCHED,
            topic_arn="arn:aws:sns:us-east-1:123456789012:c-alerts",
            key_arn="arn:aws:kms:us-east-1:123456789012:key/k",
            storage_class=storage_class,
            volume_gib=50,
            tags={"team": "ml"},
        )
        PrometheusMonitoring("m", arguments, pulumi.ResourceOptions(depends_on=[before]))

    return record(program)


def release(name: str, storage_class: str | None = "gp3-encrypted") -> dict[str, Any]:
    (found,) = [each.inputs for each in monitored(storage_class).of_type(RELEASE) if each.inputs["name"] == name]
    return dict(found)


def test_alertmanager_may_publish_to_the_topic_and_nothing_else() -> None:
    recording = monitored()
    statements = json.loads(recording.one("aws:iam/policy:Policy").inputs["policy"])["Statement"]
    assert [(each["Action"], each["Resource"].rpartition(":")[2]) for each in statements] == [
        ("sns:Publish", "c-alerts"),
        (["kms:Decrypt", "kms:GenerateDataKey*"], "key/k"),
    ]
    association = recording.one("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    account = release("monitoring")["values"]["alertmanager"]["serviceAccount"]["name"]
    assert (association["namespace"], association["serviceAccount"]) == ("monitoring", account)
    trusted = recording.one("aws:iam/role:Role").inputs["assumeRolePolicy"]
    assert f'"aws:RequestTag/kubernetes-service-account": "{account}"' in trusted
    receiver, _ = release("monitoring")["values"]["alertmanager"]["config"]["receivers"]
    (sns,) = receiver["sns_configs"]
    assert sns["topic_arn"].endswith(":c-alerts")
    assert sns["sigv4"] == {"region": "us-east-1"}


def test_definitions_and_identity_are_there_before_the_operator_and_it_before_what_it_reads() -> None:
    recording = monitored()
    (stack,) = [each for each in recording.of_type(RELEASE) if each.inputs["name"] == "monitoring"]
    (definitions,) = [each for each in recording.of_type(RELEASE) if each.inputs["name"] == "monitoring-crd"]
    association = recording.one("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert recording.outlives(definitions, stack)
    assert recording.outlives(association, stack)
    for kind in ("PodMonitor", "ServiceMonitor", "PrometheusRule"):
        found = recording.of_type(f"kubernetes:{versions.PROMETHEUS_API}:{kind}")
        assert found
        assert all(recording.outlives(stack, each) for each in found)


def test_the_namespace_is_restricted_and_nobody_comes_in() -> None:
    recording = monitored()
    labels = recording.one("kubernetes:core/v1:Namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    # It may ask the dialogue and Knative for their figures.
    assert labels["gpu-slices/metrics-client"] == "true"
    spec = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert spec["podSelector"] == {}
    (rule,) = spec["ingress"]
    own = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert rule == {"from": [own]}


@pytest.mark.parametrize("storage_class", ["gp3-encrypted", None])
def test_figures_are_kept_where_it_is_said_and_go_with_the_stack(storage_class: str | None) -> None:
    spec = release("monitoring", storage_class)["values"]["prometheus"]["prometheusSpec"]
    if storage_class is None:
        assert spec["storageSpec"] == {"emptyDir": {"sizeLimit": "4Gi"}}
        assert spec["retentionSize"] == "3277MiB"
        return
    claim = spec["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]) == (storage_class, {"requests": {"storage": "50Gi"}})
    # Four fifths of 50 GiB.
    assert (spec["retention"], spec["retentionSize"]) == ("15d", "40960MiB")
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_the_dashboard_is_the_file_that_grafana_is_pointed_to() -> None:
    shown = monitored().one("kubernetes:core/v1:ConfigMap").inputs
    values = release("monitoring")["values"]["grafana"]
    ((provider, name),) = values["dashboardsConfigMaps"].items()
    assert name == shown["metadata"]["name"]
    (found,) = values["dashboardProviders"]["dashboardproviders.yaml"]["providers"]
    assert found["options"]["path"] == f"/var/lib/grafana/dashboards/{provider}"
    (text,) = shown["data"].values()
    assert json.loads(text)["title"] == "c: GPUs"
    assert "dashboards" not in values, "the chart would run another image beside Grafana"
    assert "adminPassword" not in values, "the chart makes one that nobody has written down"


def test_what_the_exporter_takes_of_a_gpu_node_is_in_its_reserve() -> None:
    """As with CloudWatch, without its agent and log router."""
    (pod,) = [pod for pod in MONITORING_PODS if pod.name == "dcgm-exporter"]
    assert 80 + 50 + 100 + 10 + 50 + pod.cpu_millis <= RESERVED_CPU_MILLIS
    assert 255 + 11 * 58 + 100 + 300 + pod.memory_mib <= RESERVED_MEMORY_MIB + 0.025 * 16384
    requests = release("dcgm-exporter")["values"]["resources"]["requests"]
    assert requests == {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"}


def test_a_stack_is_watched_as_its_file_has_it() -> None:
    found = watched_stack(parsed(changed({})))
    assert found.gpu_pools == ["shared"]
    assert (found.serving, found.dialogue) == (True, False)
    assert found.usd_per_hour == pytest.approx(40_000 / 730)
