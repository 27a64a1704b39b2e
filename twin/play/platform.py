"""What stands in every cluster of the plan without being written in it: the managed system nodes, and the DaemonSets
that EKS add-ons and NVIDIA's chart put on each node. They take their share of what pods could have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import versions
from gpu.contract import (
    ARCH_LABEL,
    CONFIG_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    EKS_NODE_GROUP_LABEL,
    EKS_TAINT_EFFECTS,
    GPU_COUNT_LABEL,
    GPU_SYSTEM_NAMESPACE,
    INSTANCE_TYPE_LABEL,
    NAME_LABEL,
    OS_LABEL,
    REGION_LABEL,
    TWIN_SYSTEM_LABEL,
    ZONE_LABEL,
)
from twin.kube.client import Object
from twin.plan import CloudResource, TwinPlan
from twin.play.device_plugin import CHECKSUM, InstalledPlugin
from twin.play.dra_driver import COMPONENT, InstalledDriver

PLUGIN_NAMESPACE = GPU_SYSTEM_NAMESPACE
PLUGIN_NAME = "nvidia-device-plugin"
PAUSE = versions.PAUSE_IMAGE


@dataclass(frozen=True)
class _Share:
    """A DaemonSet of an add-on: name, and the CPU and memory that its pods request."""

    name: str
    requests: Mapping[str, str]


#: Requests of the add-ons' DaemonSets: amazon-vpc-cni-k8s and eks-node-monitoring-agent charts (values.yaml),
#: kube-proxy as EKS deploys it; the Pod Identity agent requests nothing.
_ADDONS: Mapping[str, _Share] = {
    "vpc-cni": _Share("aws-node", {"cpu": "50m"}),
    "kube-proxy": _Share("kube-proxy", {"cpu": "100m"}),
    "eks-pod-identity-agent": _Share("eks-pod-identity-agent", {}),
    "eks-node-monitoring-agent": _Share("eks-node-monitoring-agent", {"cpu": "10m", "memory": "30Mi"}),
}
_EVERYWHERE = [{"operator": "Exists"}]
#: Karpenter labels every node whose type has GPUs; the plugin's chart finds them by what is on the bus.
_ON_GPU_NODES: Mapping[str, Any] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": GPU_COUNT_LABEL, "operator": "Exists"}]},
                {"matchExpressions": [{"key": CONFIG_LABEL, "operator": "Exists"}]},
            ]
        }
    }
}


def daemon_sets(plan: TwinPlan) -> list[Object]:
    """The DaemonSets of the plan's add-ons, and of device plugins and DRA drivers by the values of their charts."""
    addons = [str(r.inputs.get("addonName")) for r in plan.cloud if r.type == "aws:eks/addon:Addon"]
    shares = [_ADDONS[name] for name in addons if name in _ADDONS]
    found = [_daemon_set(s.name, "kube-system", s.requests, {}, _EVERYWHERE) for s in shares]
    return [*found, *map(_plugin, plan.plugins), *map(_driver, plan.drivers)]


def _plugin(plugin: InstalledPlugin) -> Object:
    """NVIDIA's chart runs its pod with the node selector and tolerations of its values; GPUs are what it waits for."""
    made = _daemon_set(plugin.name, plugin.namespace or PLUGIN_NAMESPACE, {}, plugin.node_selector, plugin.tolerations)
    # As the chart's: its name on all of them, the instance tells them apart.
    labels = {NAME_LABEL: PLUGIN_NAME, "app.kubernetes.io/instance": plugin.name}
    made["metadata"]["labels"] = labels
    made["spec"]["selector"]["matchLabels"] = labels
    made["spec"]["template"]["metadata"]["labels"] = labels
    made["spec"]["template"]["metadata"]["annotations"] = {CHECKSUM: plugin.checksum}
    made["spec"]["template"]["spec"]["affinity"] = dict(plugin.affinity or _ON_GPU_NODES)
    return made


def _driver(driver: InstalledDriver) -> Object:
    """As the chart's: the kubelet plugin alone, since the GPUs need no controller."""
    name = f"{driver.name}-kubelet-plugin"
    made = _daemon_set(name, driver.namespace or PLUGIN_NAMESPACE, {}, driver.node_selector, driver.tolerations)
    made["spec"]["selector"]["matchLabels"] = dict(COMPONENT)
    made["spec"]["template"]["metadata"]["labels"] = {NAME_LABEL: driver.name, **COMPONENT}
    made["spec"]["template"]["spec"]["affinity"] = dict(driver.affinity)
    return made


def _daemon_set(
    name: str,
    namespace: str,
    requests: Mapping[str, str],
    selector: Mapping[str, str],
    tolerations: Sequence[Mapping[str, Any]],
) -> Object:
    labels = {NAME_LABEL: name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "priorityClassName": "system-node-critical",
                    "nodeSelector": dict(selector),
                    "tolerations": [dict(toleration) for toleration in tolerations],
                    "containers": [{"name": name, "image": PAUSE, "resources": {"requests": dict(requests)}}],
                },
            },
        },
    }


def simulated_ec2_rights() -> list[Object]:
    """What the simulated EC2 inside Karpenter's process does in the cluster, beyond the rights of the chart: instances
    become Nodes, and are written down in ConfigMaps.
    """
    name = "twin-simulated-ec2"
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["create", "delete"]},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts"}],
        },
    ]


# --- System nodes -----------------------------------------------------------------------------------------------------

#: vCPUs and memory (GiB) of the sizes that system nodes have, and what the kubelet keeps of them: reserved CPU by
#: EKS' formula (6 % of the first core, 1 % of the second), memory 255 MiB + 11 MiB a pod, 100 MiB for eviction.
_SIZES = {"medium": (1, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}
_PODS = 29


def system_nodes(plan: TwinPlan) -> list[Object]:
    """The nodes of the plan's managed node groups."""
    nodes: list[Object] = []
    for group in plan.cloud:
        if group.type == "aws:eks/nodeGroup:NodeGroup":
            nodes += _group(group, len(nodes), plan.region)
    return nodes


def _group(group: CloudResource, first: int, region: str) -> list[Object]:
    inputs = group.inputs
    instance_type = (inputs.get("instanceTypes") or ["m7g.large"])[0]
    desired = int((inputs.get("scalingConfig") or {}).get("desiredSize", 1))
    labels = {
        **(inputs.get("labels") or {}),
        EKS_NODE_GROUP_LABEL: group.name,
        **_bought(inputs),
        TWIN_SYSTEM_LABEL: "true",
    }
    taints = [_taint(taint) for taint in inputs.get("taints") or []]
    return [
        _node(f"system-{first + i + 1}", instance_type, labels, taints, f"{region}{'abc'[i % 3]}")
        for i in range(desired)
    ]


def _bought(inputs: Mapping[str, Any]) -> dict[str, str]:
    """EKS' own label (user guide, "Managed node group capacity types")."""
    return {EKS_CAPACITY_TYPE_LABEL: str(inputs.get("capacityType", "ON_DEMAND"))}


def _taint(given: Mapping[str, str]) -> Object:
    return {"key": given["key"], "value": given.get("value", ""), "effect": EKS_TAINT_EFFECTS[given["effect"]]}


def _node(name: str, instance_type: str, labels: Mapping[str, str], taints: list[Object], zone: str) -> Object:
    family, _, size = instance_type.partition(".")
    cpus, memory = _SIZES.get(size, (2, 8))
    arch = "arm64" if "g" in family[2:] else "amd64"
    capacity = {"cpu": str(cpus), "memory": f"{memory}Gi", "pods": str(_PODS), "ephemeral-storage": "20Gi"}
    kept = 255 + 11 * _PODS + 100
    allocatable = {**capacity, "cpu": f"{cpus * 1000 - 70}m", "memory": f"{memory * 1024 - kept}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                **labels,
                "kubernetes.io/hostname": name,
                OS_LABEL: "linux",
                ARCH_LABEL: arch,
                INSTANCE_TYPE_LABEL: instance_type,
                ZONE_LABEL: zone,
                REGION_LABEL: zone[:-1],
            },
        },
        "spec": {"providerID": f"aws:///{zone}/{name}", "taints": taints},
        "status": {"capacity": capacity, "allocatable": allocatable},
    }
