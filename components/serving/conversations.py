"""Where the dialogue keeps its conversations: a volume of a StorageClass of the cluster, or one of the pod's own.

A volume of EBS is in one zone and on one node at a time. So a pod that comes while another one is there, as at a new
revision, must come to the same node (the affinity): on another one it would wait for the volume, and Knative would keep
the old pod until the new one is ready, for ever.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi

from components.sdk import k8s
from components.serving.knative_config import Feature
from gpu.contract import SERVICE_LABEL
from gpu.standing import CONVERSATIONS_GIB

#: Where it is mounted, and the file in it (DIALOGUE_STORE).
PATH: Final = "/var/lib/dialogue"
STORE: Final = f"{PATH}/conversations.sqlite"
#: Of the pod's own volume: it counts against the node's disk.
_OWN_SIZE: Final = "256Mi"
_NAME: Final = "conversations"

#: Feature flags of Knative's that a claim needs.
FEATURES: frozenset[Feature] = frozenset({"persistent-volume-claim", "persistent-volume-write", "affinity"})


def claim(
    name: str, namespace: str, storage_class: str, opts: pulumi.ResourceOptions
) -> k8s.core.v1.PersistentVolumeClaim:
    """The claim. It goes with the stack; whether the volume goes too, the class says (`reclaimPolicy`)."""
    spec: Any = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": f"{CONVERSATIONS_GIB}Gi"}},
    }
    # Most classes bind a claim to a volume only once a pod is there.
    metadata: Any = {"name": _NAME, "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"}}
    return k8s.core.v1.PersistentVolumeClaim(name, metadata=metadata, spec=spec, opts=opts)


def pod_parts(service: str, user: int, storage_class: str | None) -> dict[str, Any]:
    """Volume, owner of its files and, with a claim, the affinity: fields of the pod's specification."""
    if storage_class is None:
        own: dict[str, Any] = {"name": _NAME, "emptyDir": {"sizeLimit": _OWN_SIZE}}
        return {"volumes": [own], "securityContext": {"fsGroup": user}}
    same_node = {"labelSelector": {"matchLabels": {SERVICE_LABEL: service}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "volumes": [{"name": _NAME, "persistentVolumeClaim": {"claimName": _NAME}}],
        "securityContext": {"fsGroup": user},
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [same_node]}},
    }


def mount() -> dict[str, str]:
    """The volume in the container."""
    return {"name": _NAME, "mountPath": PATH}
