"""ModelCache: on every GPU node an Ollama without GPU, which pulls each model once for all pods of that node.

Pods that the restricted Pod Security Standard admits cannot keep files on their node, and what they keep in themselves
goes with them: with scale to zero each start would download its weights again. So this DaemonSet, in the one namespace
that may, owns a folder of the node; models ask it to pull and read the folder through a claim. It alone reaches the
Internet; models do not.

Who controls a model's server can make the cache of its node pull or delete weights. Tenants that do not trust each
other bring their weights as image volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

import versions
from components.gpu.gpu_sharing import NAMESPACE
from components.options import child_options
from components.pods import NO_GPU, restricted_container, restricted_pod, tolerations
from components.sdk import k8s
from components.serving.network_policy import DNS, namespace_peer, network_policy, tcp
from gpu.contract import NAME_LABEL, POOL_LABEL
from gpu.pods import GPU_USER
from gpu.pool import Taint

#: Below the kubelet's root, which is on the node's own disks where it has some (`instanceStorePolicy: RAID0`).
CACHE_PATH = "/var/lib/kubelet/model-cache"
CACHE_CLAIM = "model-cache"
CACHE_PORT = 11434
CACHE_HOST = f"model-cache.{NAMESPACE}.svc.cluster.local"
POD_LABELS = {NAME_LABEL: "model-cache"}


@dataclass(frozen=True, kw_only=True)
class ModelCacheArgs:
    """Inputs of `ModelCache`.

    pools: GPU pools on whose nodes it runs; taints: of these nodes, beside that of GPU nodes.
    clients: namespace whose pods may ask it.
    registries: private IPv4 ranges from which it may pull, beside the Internet.
    """

    pools: Sequence[str]
    taints: Sequence[Taint] = ()
    clients: str
    registries: Sequence[str] = ()


class ModelCache(pulumi.ComponentResource):
    """DaemonSet, Service and network policy of the cache. Needs a Kubernetes provider."""

    parts: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: ModelCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ModelCache", name, None, opts)
        child = child_options(self, opts)
        policy = network_policy(name, "model-cache", NAMESPACE, _walls(args.clients, args.registries), child)
        service_spec: Any = {
            "selector": POD_LABELS,
            # The cache of another node would fill another node's disk.
            "internalTrafficPolicy": "Local",
            "ports": [{"port": CACHE_PORT, "targetPort": CACHE_PORT}],
        }
        service = k8s.core.v1.Service(
            name,
            metadata={
                "name": "model-cache",
                "namespace": NAMESPACE,
                "labels": POD_LABELS,
                # It has no endpoint as long as there is no GPU node: nothing to wait for.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec=service_spec,
            opts=child,
        )
        daemons: Any = {
            "selector": {"matchLabels": POD_LABELS},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {"metadata": {"labels": POD_LABELS}, "spec": _pod(args.pools, args.taints)},
        }
        daemon_set = k8s.apps.v1.DaemonSet(
            name,
            metadata={"name": "model-cache", "namespace": NAMESPACE, "labels": POD_LABELS},
            spec=daemons,
            opts=child_options(self, opts, policy),
        )
        self.parts = (policy, service, daemon_set)
        self.register_outputs({})


def _walls(clients: str, registries: Sequence[str]) -> dict[str, Any]:
    """Models may ask; the cache may ask the Internet, but of private networks only registries, and no metadata."""
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"]
    blocks: list[dict[str, Any]] = [{"cidr": "0.0.0.0/0", "except": private}, *({"cidr": cidr} for cidr in registries)]
    return {
        "podSelector": {"matchLabels": POD_LABELS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [namespace_peer(clients)], "ports": tcp(CACHE_PORT)}],
        "egress": [DNS, {"to": [{"ipBlock": block} for block in blocks], "ports": tcp(443)}],
    }


def _pod(pools: Sequence[str], taints: Sequence[Taint]) -> dict[str, Any]:
    mounts = [{"name": "weights", "mountPath": "/models"}, {"name": "scratch", "mountPath": "/tmp"}]
    # The node makes the folder, as root; the server must not be root.
    own = restricted_container("own", versions.OLLAMA_IMAGE, {"cpu": "50m", "memory": "32Mi"})
    own |= {
        "command": ["/bin/chown", f"{GPU_USER}:{GPU_USER}", "/models"],
        "volumeMounts": mounts[:1],
        "env": [dict(NO_GPU)],
    }
    own["securityContext"] |= {
        "runAsUser": 0,
        "runAsNonRoot": False,
        "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
    }
    server = restricted_container("ollama", versions.OLLAMA_IMAGE, {"cpu": "50m", "memory": "256Mi"})
    # Checking what was downloaded takes processors for seconds.
    server["resources"]["limits"]["cpu"] = "2"
    server |= {
        "args": ["serve"],
        "ports": [{"containerPort": CACHE_PORT, "name": "ollama"}],
        "volumeMounts": mounts,
        # It must not see the node's GPUs, and not load anything.
        "env": [*({"name": key, "value": value} for key, value in sorted(_SETTINGS.items())), dict(NO_GPU)],
        "readinessProbe": {"tcpSocket": {"port": CACHE_PORT}, "periodSeconds": 2},
        "livenessProbe": {"tcpSocket": {"port": CACHE_PORT}, "periodSeconds": 20},
    }
    return {
        **restricted_pod(GPU_USER),
        "priorityClassName": "system-node-critical",
        "terminationGracePeriodSeconds": 5,
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": POOL_LABEL, "operator": "In", "values": list(pools)}]}
                    ]
                }
            }
        },
        "tolerations": tolerations(taints),
        "initContainers": [own],
        "containers": [server],
        "volumes": [
            {"name": "weights", "hostPath": {"path": CACHE_PATH, "type": "DirectoryOrCreate"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


_SETTINGS = {
    "HOME": "/tmp",
    "OLLAMA_MODELS": "/models",
    "OLLAMA_MAX_LOADED_MODELS": "1",
    "OLLAMA_CONTEXT_LENGTH": "512",
    "OLLAMA_KEEP_ALIVE": "0",
    "OLLAMA_NO_CLOUD": "1",
    # Downloads that were broken off go on where they stopped.
    "OLLAMA_NOPRUNE": "1",
}
