"""A cluster as somebody built it by hand: a Karpenter of its own, pools, a plugin without sharing, pods that run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
REGION = "us-east-1"


def node(name: str, instance_type: str = "g6.xlarge", *, bought: str = "on-demand", pool: str = "gpus") -> Object:
    """A GPU node of theirs."""
    labels = {
        "node.kubernetes.io/instance-type": instance_type,
        "karpenter.sh/capacity-type": bought,
        "karpenter.sh/nodepool": pool,
        "topology.kubernetes.io/region": REGION,
    }
    gpus = {"xlarge": "1", "12xlarge": "4"}[instance_type.partition(".")[2]]
    status = {"allocatable": {"cpu": "3920m", "nvidia.com/gpu": gpus}, "nodeInfo": {"kubeletVersion": "v1.35.4-eks-1"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def group_node(name: str, instance_type: str = "g6.xlarge", **spec: Any) -> Object:
    """A GPU node of theirs that no Karpenter bought."""
    found = {**node(name, instance_type), "spec": spec}
    for label in ("karpenter.sh/nodepool", "karpenter.sh/capacity-type"):
        del found["metadata"]["labels"][label]
    found["metadata"]["labels"] |= {"eks.amazonaws.com/nodegroup": "gpus", "team": "ml"}
    return found


def standing_node(name: str, group: str = "system", *taints: Object, **more: str) -> Object:
    """A node that stays, of a node group. more: labels of its own."""
    labels = {
        "node.kubernetes.io/instance-type": "m7g.large",
        "eks.amazonaws.com/nodegroup": group,
        "topology.kubernetes.io/region": REGION,
        **more,
    }
    spec = {"taints": list(taints)} if taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {},
    }


def pod(name: str, on: str = "", *, gpus: int = 1, owner: str = "", **more: Any) -> Object:
    """A pod that holds a GPU, or waits for one. owner: a ReplicaSet's name."""
    metadata: Object = {"name": name, "namespace": "models", **more.pop("metadata", {})}
    if owner:
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": owner}]
    resources = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": str(gpus)}}
    spec = {
        "containers": [{"name": "server", "image": "vllm/vllm-openai", "resources": resources}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "nodeSelector": {"team": "ml"},
        **more,
    }
    if on:
        spec["nodeName"] = on
    status = {"phase": "Running" if on else "Pending"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def karpenter(version: str = "1.9.0", gates: str = "NodeRepair=false,NodeOverlay=true") -> Object:
    """Its controller, as the chart installs it."""
    variables = [{"name": "CLUSTER_NAME", "value": "prod"}, {"name": "FEATURE_GATES", "value": gates}]
    container = {
        "name": "controller",
        "image": f"public.ecr.aws/karpenter/controller:{version}@sha256:{'0' * 64}",
        "env": variables,
    }
    labels = {"app.kubernetes.io/name": "karpenter", "app.kubernetes.io/version": version}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "karpenter", "namespace": "kube-system", "labels": labels},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def node_pool(name: str = "gpus", families: tuple[str, ...] = ("g6",), *, config: str = "") -> Object:
    """A pool of theirs."""
    labels = {"team": "ml", **({"nvidia.com/device-plugin.config": config} if config else {})}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "limits": {"nvidia.com/gpu": "8"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "theirs"},
                    "requirements": [
                        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": list(families)},
                        {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "In", "values": ["1"]},
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                    ],
                    "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
                },
            },
        },
    }


def node_class(**spec: Any) -> Object:
    """Its node class."""
    found = {
        "amiSelectorTerms": [{"alias": "al2023@latest"}],
        "role": "TheirNodes",
        "subnetSelectorTerms": [{"tags": {"tier": "private"}}],
        "securityGroupSelectorTerms": [{"tags": {"role": "nodes"}}],
        **spec,
    }
    found = {key: value for key, value in found.items() if value is not None}
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "theirs"},
        "spec": found,
    }


def plugin(config_map: str = "", default: str = "", *, reads: bool = True, **pod_spec: Any) -> Object:
    """NVIDIA's plugin, as its chart installs it. reads: whether its sidecar reads the nodes' label."""
    container: Object = {"name": "nvidia-device-plugin-ctr", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.1"}
    spec: Object = {"containers": [container], "tolerations": [{"operator": "Exists"}], **pod_spec}
    if config_map:
        container["env"] = [
            {"name": "DEFAULT_CONFIG", "value": default},
            {"name": "FALLBACK_STRATEGIES", "value": "named,single"},
            *([{"name": "NODE_LABEL", "value": "nvidia.com/device-plugin.config"}] if reads else []),
        ]
        spec["volumes"] = [{"name": "available-configs", "configMap": {"name": config_map}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nvidia-device-plugin", "namespace": "kube-system"},
        "spec": {"template": {"spec": spec}},
    }


def daemon_set(name: str, image: str = "") -> Object:
    """One of EKS' own. image: by default as it is called."""
    container = {"name": name, "image": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/eks/{image or name}:v1"}
    metadata = {"name": name, "namespace": "kube-system"}
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def config_map(name: str, namespace: str = "kube-system", **configs: str) -> Object:
    """Configurations of a plugin."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": configs}


def gpu_operator(config_map: str = "plugin-configs", default: str = "whole", **spec: Any) -> Object:
    """The policy of a GPU Operator, which makes the plugin's DaemonSet."""
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {"devicePlugin": {"config": {"name": config_map, "default": default}}, **spec},
    }


def time_slicing(replicas: int) -> str:
    """A configuration of the plugin."""
    shared = {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": replicas}]}}
    return yaml.safe_dump({"version": "v1", "sharing": shared})


def by_hand(*more: Object, **karpenters: str) -> list[Object]:
    """The whole cluster: three pods on three whole GPUs, bought on demand."""
    nodes = [node(f"gpu-{number}") for number in range(3)]
    pods = [pod(f"llm-7d9-{number}", f"gpu-{number}", owner="llm-7d9") for number in range(3)]
    own = [standing_node("system-1"), standing_node("system-2"), karpenter(**karpenters), node_class(), plugin()]
    return [*own, node_pool(), *nodes, *pods, *more]


def node_groups(*more: Object) -> list[Object]:
    """A cluster without Karpenter: a group of three GPU nodes, a pod on each, and a GPU Operator."""
    nodes = [group_node(f"gpu-{number}") for number in range(3)]
    pods = [pod(f"llm-7d9-{number}", f"gpu-{number}", owner="llm-7d9") for number in range(3)]
    whole = yaml.safe_dump({"version": "v1", "flags": {"migStrategy": "none"}})
    configured = [gpu_operator(), config_map("plugin-configs", "gpu-operator", whole=whole)]
    return [standing_node("system-1"), standing_node("system-2"), *configured, *nodes, *pods, *more]


def write(folder: Path, objects: list[Object], name: str = "export.yaml") -> Path:
    """An export as `kubectl get -o yaml` writes it."""
    whole = {"apiVersion": "v1", "items": copy.deepcopy(objects), "kind": "List", "metadata": {"resourceVersion": ""}}
    (folder / name).write_text(yaml.safe_dump(whole), encoding="utf-8")
    return folder
