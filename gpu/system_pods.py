"""What stands on the system nodes beside the add-ons, and what it requests of them. Millicores and MiB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gpu.scheduler import PACKING_SCHEDULER


@dataclass(frozen=True)
class SystemPod:
    """Pods of one deployment: their container, and what each requests."""

    name: str
    container: str
    cpu_millis: int
    memory_mib: int


#: Knative's own. Requests are a third of Knative's, which are made for clusters with thousands of services: so the
#: control plane fits on the two smallest system nodes beside Karpenter. The limits stay as they are.
KNATIVE_DEPLOYMENTS: Final = (
    SystemPod("activator", "activator", 100, 100),
    SystemPod("autoscaler", "autoscaler", 50, 100),
    # For services that scale by CPU, of which there are none; the operator installs it all the same.
    SystemPod("autoscaler-hpa", "autoscaler-hpa", 20, 50),
    SystemPod("controller", "controller", 50, 100),
    SystemPod("webhook", "webhook", 50, 64),
    SystemPod("net-kourier-controller", "controller", 50, 100),
    SystemPod("3scale-kourier-gateway", "kourier-gateway", 100, 128),
)
KNATIVE_OPERATOR: Final = SystemPod("knative-operator", "knative-operator", 50, 100)
KNATIVE_OPERATOR_WEBHOOK: Final = SystemPod("operator-webhook", "operator-webhook", 50, 64)

#: Container Insights' DaemonSets: the agent and the log router on every node, the DCGM exporter on GPU nodes. Requests
#: are below the add-on's own (250, 50 and 250 millicores): `gpu.host_share` leaves no more of a GPU node.
MONITORING_PODS: Final = (
    SystemPod("cloudwatch-agent", "otc-container", 50, 128),
    SystemPod("fluent-bit", "fluent-bit", 25, 25),
    SystemPod("dcgm-exporter", "dcgm-exporter", 50, 128),
)
MONITORING_CPU_MILLIS: Final = sum(pod.cpu_millis for pod in MONITORING_PODS[:2])
"""What Container Insights takes of each system node."""

#: Prometheus and what belongs to it, one of each on the system nodes: what they request, far below what a large cluster
#: would need. Operator, kube-state-metrics and Alertmanager do next to nothing here; Grafana has one reader.
PROMETHEUS_PODS: Final = (
    SystemPod("prometheus", "prometheus", 50, 512),
    SystemPod("prometheus", "config-reloader", 5, 32),
    SystemPod("alertmanager", "alertmanager", 5, 32),
    SystemPod("alertmanager", "config-reloader", 5, 32),
    SystemPod("operator", "kube-prometheus-stack", 20, 64),
    SystemPod("kube-state-metrics", "kube-state-metrics", 10, 64),
    SystemPod("grafana", "grafana", 25, 256),
)
PROMETHEUS_CPU_MILLIS: Final = sum(pod.cpu_millis for pod in PROMETHEUS_PODS)
"""What Prometheus takes of all system nodes together."""
#: The EBS CSI driver's pod on a node that has volumes: three containers (its chart's values.yaml, `resources`).
EBS_NODE_CPU_MILLIS: Final = 3 * 10

#: What fills GPU nodes, with `gpuSharing.scoringStrategy: MostAllocated`. The twin's, of the same release, had 65 MiB
#: with 24 pods on 6 nodes.
PACKING_SCHEDULER_POD: Final = SystemPod(PACKING_SCHEDULER, "kube-scheduler", 50, 128)
PACKING_SCHEDULER_REPLICAS: Final = 2

#: The job of the budget's soft brake, for seconds once an hour. AWS' CLI is Python: 70 to 90 MiB.
SOFT_BRAKE_POD: Final = SystemPod("soft-brake", "ask", 20, 128)

#: Pods of Karpenter's controller, and what each requests and is limited to.
KARPENTER_REPLICAS: Final = 2
KARPENTER_CPU_MILLIS: Final = 1000
#: CoreDNS and the metrics server, two pods each: their add-ons' requests.
_ADDONS_CPU_MILLIS: Final = 2 * 100 + 2 * 100
#: What DaemonSets take of each system node, and what the kubelet keeps of a small one.
PER_NODE_CPU_MILLIS: Final = 160 + 70


#: The EBS CSI driver's controller: two pods of seven containers (its chart's values.yaml, `replicaCount`, `resources`).
EBS_DRIVER_CPU_MILLIS: Final = 2 * 7 * 10


def karpenter_replicas(system_nodes: int) -> int:
    """Pods of Karpenter's controller: no two on one node (the chart's anti-affinity), and the release waits for all."""
    return min(KARPENTER_REPLICAS, system_nodes)


def karpenter_cpu_millis(system_nodes: int) -> int:
    """Millicores that each of them requests: half where a single node holds everything, whose processors it may use."""
    return KARPENTER_CPU_MILLIS if system_nodes > 1 else KARPENTER_CPU_MILLIS // 2


def control_plane_cpu_millis(
    knative_replicas: int,
    system_nodes: int,
    *,
    ebs_driver: bool = False,
    prometheus: bool = False,
    packing: bool = False,
    soft_brake: bool = False,
) -> int:
    """Millicores that all pods on the system nodes request together, but those of DaemonSets.

    knative_replicas: 0 where there are no models.
    """
    karpenter = karpenter_replicas(system_nodes) * karpenter_cpu_millis(system_nodes)
    others = _ADDONS_CPU_MILLIS + (EBS_DRIVER_CPU_MILLIS if ebs_driver else 0)
    others += PROMETHEUS_CPU_MILLIS if prometheus else 0
    others += PACKING_SCHEDULER_REPLICAS * PACKING_SCHEDULER_POD.cpu_millis if packing else 0
    others += SOFT_BRAKE_POD.cpu_millis if soft_brake else 0
    return karpenter + others + (knative_cpu_millis(knative_replicas) if knative_replicas else 0)


def knative_cpu_millis(replicas: int) -> int:
    """Millicores that Knative's own pods request together."""
    operator = KNATIVE_OPERATOR.cpu_millis + KNATIVE_OPERATOR_WEBHOOK.cpu_millis
    return replicas * sum(pod.cpu_millis for pod in KNATIVE_DEPLOYMENTS) + operator
