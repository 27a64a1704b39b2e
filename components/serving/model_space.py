"""ModelSpace: what all models of a stack share. Their namespace, its walls, their script, and each node's cache.

Nobody reaches a model but Knative, which nobody reaches but the namespaces that may (`KnativeServing`). Models reach
nothing but the cache of their own node, and those that bring their weights as an image not even that.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.arguments import Arguments
from components.gpu.claims import claim_templates
from components.gpu.gpu_sharing import NAMESPACE as SYSTEM_NAMESPACE
from components.options import child_options
from components.pods import restricted_admission
from components.sdk import k8s
from components.serving.knative_config import NAMESPACE as KNATIVE_NAMESPACE
from components.serving.knative_config import QUEUE_PORTS
from components.serving.model_cache import CACHE_CLAIM, CACHE_PATH, CACHE_PORT, POD_LABELS, ModelCache, ModelCacheArgs
from components.serving.network_policy import DNS, namespace_peer, network_policy, tcp
from gpu.contract import WEIGHTS_LABEL
from gpu.pool import Taint

NAMESPACE = "models"

#: A folder of the node has no size of its own; the field is required.
_ANY_SIZE = "1Ti"


@functools.cache
def script() -> str:
    """The script that serves models; see `model.sh`."""
    return Path(__file__).with_name("model.sh").read_text(encoding="utf-8")


def script_name() -> str:
    """Name of the ConfigMap that holds the script: another script is another map, and so another revision."""
    return f"model-script-{hashlib.sha256(script().encode()).hexdigest()[:10]}"


@dataclass(frozen=True, kw_only=True)
class ModelSpaceArgs(Arguments):
    """Inputs of `ModelSpace`.

    cached_pools: GPU pools of whose models some have their weights in the node's cache; taints: of their nodes, beside
    that of GPU nodes.
    registries: private IPv4 ranges from which the caches may pull.
    claims: sizes in MiB of what models on memory pools claim.
    """

    cached_pools: Sequence[str] = ()
    taints: Sequence[Taint] = ()
    registries: Sequence[str] = ()
    claims: Sequence[int] = ()


class ModelSpace(pulumi.ComponentResource):
    """The namespace of the models. Needs a Kubernetes provider. Models must depend on `ready`.

    The cache runs in the namespace of `GpuSharing`; let this component depend on that, and on the pools whose models
    are cached: their nodes must outlive the cache's pods.
    """

    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: ModelSpaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ModelSpace", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": restricted_admission()},
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        parts: list[pulumi.Resource] = [
            network_policy(
                f"{name}-closed",
                "closed",
                NAMESPACE,
                {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
                inside,
            ),
            network_policy(
                f"{name}-from-knative",
                "from-knative",
                NAMESPACE,
                {
                    "podSelector": {},
                    "policyTypes": ["Ingress"],
                    "ingress": [{"from": [namespace_peer(KNATIVE_NAMESPACE)], "ports": tcp(*QUEUE_PORTS)}],
                },
                inside,
            ),
            k8s.core.v1.ConfigMap(
                f"{name}-script",
                metadata={"name": script_name(), "namespace": NAMESPACE},
                data={"model.sh": script()},
                immutable=True,
                opts=inside,
            ),
        ]
        parts += claim_templates(name, NAMESPACE, args.claims, inside)
        if args.cached_pools:
            parts += self._cache(name, args, namespace, opts)
        self.ready = (namespace, *parts)
        self.register_outputs({})

    def _cache(
        self, name: str, args: ModelSpaceArgs, namespace: pulumi.Resource, opts: pulumi.ResourceOptions | None
    ) -> list[pulumi.Resource]:
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        cache = ModelCache(
            f"{name}-cache",
            ModelCacheArgs(pools=args.cached_pools, taints=args.taints, clients=NAMESPACE, registries=args.registries),
            child_options(self, opts),
        )
        # A volume of the path on whatever node the pod is on. Pods may not name such paths themselves, claims they may.
        volume_name = f"{NAMESPACE}-{CACHE_CLAIM}"
        volume_spec: Any = {
            "capacity": {"storage": _ANY_SIZE},
            "accessModes": ["ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": NAMESPACE, "name": CACHE_CLAIM},
            "hostPath": {"path": CACHE_PATH, "type": "DirectoryOrCreate"},
        }
        volume = k8s.core.v1.PersistentVolume(
            f"{name}-weights", metadata={"name": volume_name}, spec=volume_spec, opts=inside
        )
        claim_spec: Any = {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": volume_name,
            "resources": {"requests": {"storage": _ANY_SIZE}},
        }
        claim = k8s.core.v1.PersistentVolumeClaim(
            f"{name}-weights",
            metadata={"name": CACHE_CLAIM, "namespace": NAMESPACE},
            spec=claim_spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace, volume]),
        )
        policy = network_policy(
            f"{name}-to-cache",
            "to-cache",
            NAMESPACE,
            {
                "podSelector": {"matchLabels": {WEIGHTS_LABEL: "node-cache"}},
                "policyTypes": ["Egress"],
                "egress": [DNS, {"to": [namespace_peer(SYSTEM_NAMESPACE, POD_LABELS)], "ports": tcp(CACHE_PORT)}],
            },
            inside,
        )
        return [*cache.parts, claim, policy]
