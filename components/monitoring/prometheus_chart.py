"""Values of the charts that bring Prometheus: kube-prometheus-stack on the system nodes, DCGM exporter on GPU nodes.

Of kube-prometheus-stack what the alarms and the dashboard read, and nothing that costs room or rights beside it: no
node exporter (it wants the host's network and processes), no figures of kubelets and of a control plane that EKS runs
and shows to nobody, no rules and dashboards of its own for these, no sidecars that may read every Secret, no admission
webhook: what it would refuse, Prometheus' own parser refuses in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

import versions
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.monitoring.grafana import DATASOURCE, dashboard
from components.monitoring.rules import INTERVAL, NODE_LABELS, WatchedStack
from components.monitoring.scrapes import DCGM_EXPORTER
from gpu.system_pods import MONITORING_PODS, PROMETHEUS_PODS

NAMESPACE: Final = "monitoring"
#: What all objects of the chart are called, with the part behind it.
RELEASE: Final = "monitoring"
#: Service, and Secret with the password that the chart makes once and keeps.
GRAFANA: Final = f"{RELEASE}-grafana"
GRAFANA_PORT: Final = 80
#: ConfigMap with the dashboard.
DASHBOARD: Final = "grafana-gpus"
_PROVIDER: Final = "gpus"
ALERTMANAGER_ACCOUNT: Final = f"{RELEASE}-alertmanager"
RETENTION_DAYS: Final = 15
#: GiB where there is no volume: what Prometheus may take of its node's disk.
_SCRATCH_GIB: Final = 4
#: Of a volume, the part that figures may fill: the log of writes, and what is being compacted, come on top.
_FILLED: Final = 0.8
_ON_SYSTEM_NODES: Final[Mapping[str, Any]] = {
    "nodeSelector": SYSTEM_NODE_LABEL,
    "tolerations": [SYSTEM_NODE_TOLERATION],
}
#: MiB that each may take at most.
_LIMITS: Final[Mapping[str, int]] = {
    "prometheus": 1536,
    "alertmanager": 128,
    "config-reloader": 64,
    "kube-prometheus-stack": 256,
    "kube-state-metrics": 256,
    "grafana": 512,
}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The SNS topic that hears the alarms."""

    arn: pulumi.Input[str]
    region: str


def stack_values(cluster_name: str, topic: Topic, storage_class: str | None, volume_gib: int) -> dict[str, Any]:
    """Values of kube-prometheus-stack (88.5.3). storage_class: of the figures' volume; None for the node's own disk."""
    images = {path: _image(reference) for path, reference in versions.PROMETHEUS_IMAGES.items()}
    off = {"enabled": False}
    return {
        "fullnameOverride": RELEASE,
        "crds": off,
        "defaultRules": {"create": False},
        "nodeExporter": off,
        "kubeApiServer": off,
        "kubelet": off,
        "kubeControllerManager": off,
        "coreDns": off,
        "kubeEtcd": off,
        "kubeScheduler": off,
        "kubeProxy": off,
        "prometheusOperator": _operator(images),
        "prometheus": {
            "prometheusSpec": {
                **_ON_SYSTEM_NODES,
                "image": images["prometheus.prometheusSpec.image"],
                "resources": _resources("prometheus", "prometheus"),
                "scrapeInterval": f"{INTERVAL}s",
                "evaluationInterval": f"{INTERVAL}s",
                "retention": f"{RETENTION_DAYS}d",
                **_storage(storage_class, volume_gib),
                # Monitors and rules of anybody's, and not of this release alone.
                "serviceMonitorSelectorNilUsesHelmValues": False,
                "podMonitorSelectorNilUsesHelmValues": False,
                "ruleSelectorNilUsesHelmValues": False,
            }
        },
        "alertmanager": {
            "serviceAccount": {"name": ALERTMANAGER_ACCOUNT},
            "config": alertmanager_config(cluster_name, topic),
            "alertmanagerSpec": {
                **_ON_SYSTEM_NODES,
                "image": images["alertmanager.alertmanagerSpec.image"],
                "resources": _resources("alertmanager", "alertmanager"),
            },
        },
        "kube-state-metrics": {
            **_ON_SYSTEM_NODES,
            "image": _whole_digest(images["kube-state-metrics.image"]),
            "resources": _resources("kube-state-metrics", "kube-state-metrics"),
            # Its rights follow from this list: Secrets are none of it.
            "collectors": ["nodes", "pods"],
            "metricLabelsAllowlist": [f"nodes=[{','.join(NODE_LABELS)}]"],
        },
        "grafana": {**_ON_SYSTEM_NODES, **_grafana(), "image": images["grafana.image"]},
    }


def _operator(images: Mapping[str, Any]) -> dict[str, Any]:
    """Its own part: it looks after this namespace alone, and no webhook of its judges anybody's rules."""
    off = {"enabled": False}
    return {
        **_ON_SYSTEM_NODES,
        "image": images["prometheusOperator.image"],
        "resources": _resources("operator", "kube-prometheus-stack"),
        "admissionWebhooks": off,
        "tls": off,
        "kubeletService": off,
        "kubeletEndpointsEnabled": False,
        "prometheusInstanceNamespaces": [NAMESPACE],
        "alertmanagerInstanceNamespaces": [NAMESPACE],
        "prometheusConfigReloader": {
            "image": images["prometheusOperator.prometheusConfigReloader.image"],
            "resources": _resources("prometheus", "config-reloader"),
        },
    }


def alertmanager_config(cluster_name: str, topic: Topic) -> dict[str, Any]:
    """Alertmanager's own configuration: everything to the topic. Its role signs the requests."""
    receiver = {
        "name": "topic",
        "sns_configs": [
            {
                "topic_arn": topic.arn,
                "sigv4": {"region": topic.region},
                "subject": f"{cluster_name}: {{{{ .GroupLabels.alertname }}}} {{{{ .Status }}}}",
                "message": (
                    "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}.\n{{ .Annotations.description }}\n"
                    "{{ end }}"
                ),
                "send_resolved": True,
            }
        ],
    }
    return {
        # The chart's own routes name the other one.
        "receivers": [receiver, {"name": "null"}],
        "route": {
            "receiver": "topic",
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
        },
    }


def _storage(storage_class: str | None, volume_gib: int) -> dict[str, Any]:
    if storage_class is None:
        return {
            "retentionSize": f"{_SCRATCH_GIB * _FILLED * 1024:.0f}MiB",
            "storageSpec": {"emptyDir": {"sizeLimit": f"{_SCRATCH_GIB}Gi"}},
        }
    claim = {
        "storageClassName": storage_class,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{volume_gib}Gi"}},
    }
    return {
        "retentionSize": f"{volume_gib * _FILLED * 1024:.0f}MiB",
        "storageSpec": {"volumeClaimTemplate": {"spec": claim}},
        # Otherwise the volume outlives the stack, and costs.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }


def dashboard_files(watched: WatchedStack, cluster_name: str) -> dict[str, str]:
    """Data of the ConfigMap with the dashboard."""
    return {"gpus.json": json.dumps(dashboard(watched, f"{cluster_name}: GPUs"), indent=1)}


def _grafana() -> dict[str, Any]:
    """Values of Grafana's chart: data source and dashboard by files, no volume, no way in but by the cluster's API."""
    source = {
        **DATASOURCE,
        "name": "Prometheus",
        "access": "proxy",
        "url": f"http://{RELEASE}-prometheus.{NAMESPACE}:9090",
        "isDefault": True,
        "jsonData": {"timeInterval": f"{INTERVAL}s"},
    }
    folder = f"/var/lib/grafana/dashboards/{_PROVIDER}"
    provider = {"name": _PROVIDER, "type": "file", "disableDeletion": True, "options": {"path": folder}}
    return {
        "resources": _resources("grafana", "grafana"),
        "defaultDashboardsEnabled": False,
        "testFramework": {"enabled": False},
        "sidecar": {"dashboards": {"enabled": False}, "datasources": {"enabled": False}},
        "serviceMonitor": {"enabled": False},
        # It asks the cluster's API nothing.
        "rbac": {"create": False},
        "automountServiceAccountToken": False,
        "datasources": {"datasources.yaml": {"apiVersion": 1, "datasources": [source]}},
        "dashboardProviders": {"dashboardproviders.yaml": {"apiVersion": 1, "providers": [provider]}},
        # By a ConfigMap of ours: where the chart makes it, it runs another image beside, to fetch what there is not.
        "dashboardsConfigMaps": {_PROVIDER: DASHBOARD},
        "grafana.ini": {
            "analytics": {"reporting_enabled": False, "check_for_updates": False, "check_for_plugin_updates": False},
            # They come from the Internet at each start.
            "plugins": {"preinstall_disabled": True},
        },
    }


def dcgm_values() -> dict[str, Any]:
    """Values of the DCGM exporter's chart (4.8.2): one pod on every node with an NVIDIA GPU."""
    image, _, tag = versions.DCGM_EXPORTER_IMAGE.partition(":")
    (pod,) = (pod for pod in MONITORING_PODS if pod.name == DCGM_EXPORTER)
    nvidia = {"key": "karpenter.k8s.aws/instance-gpu-manufacturer", "operator": "In", "values": ["nvidia"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [nvidia]}]}
    counters, all_gpus = "exporter-metrics-volume", "all-gpus"
    return {
        "fullnameOverride": DCGM_EXPORTER,
        "image": {"repository": image, "tag": tag},
        "resources": {
            "requests": {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"},
            "limits": {"memory": "512Mi"},
        },
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        # Pools may have taints of their own beside that of GPU nodes.
        "tolerations": [{"operator": "Exists"}],
        # The chart's has a fixed pace, and no node's name.
        "serviceMonitor": {"enabled": False},
        # Nodes that hand GPUs out by mounts alone (Bottlerocket, tenants who do not trust each other) listen to this;
        # the others to the variable that is in the image (`gpu.sharing.container_toolkit`).
        "extraHostVolumes": [{"name": all_gpus, "hostPath": "/dev/null"}],
        "extraVolumeMounts": [
            # The chart's own, which a list of ours replaces.
            {
                "name": counters,
                "mountPath": "/etc/dcgm-exporter/default-counters.csv",
                "subPath": "default-counters.csv",
            },
            {"name": all_gpus, "mountPath": "/var/run/nvidia-container-devices/all"},
        ],
    }


def _image(reference: str) -> dict[str, str]:
    """An image as the charts of prometheus-community and Grafana take it."""
    name, _, digest = reference.partition("@sha256:")
    name, _, tag = name.rpartition(":")
    registry, _, repository = name.partition("/")
    return {"registry": registry, "repository": repository, "tag": tag, "sha": digest}


def _whole_digest(image: Mapping[str, str]) -> dict[str, str]:
    """The image as kube-state-metrics' chart takes it, which writes no `sha256:` itself."""
    return {**image, "sha": f"sha256:{image['sha']}"}


def _resources(name: str, container: str) -> dict[str, Any]:
    (pod,) = (pod for pod in PROMETHEUS_PODS if (pod.name, pod.container) == (name, container))
    requests = {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"}
    return {"requests": requests, "limits": {"memory": f"{_LIMITS[container]}Mi"}}
