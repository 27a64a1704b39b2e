"""On which nodes of ours a device plugin of theirs would run, and the command that keeps it away from them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from adopt.objects import Object, Objects, at, containers_of, has_unknown, listed, name_of
from gpu.contract import (
    EKS_NODE_GROUP_LABEL,
    GPU_PRESENT_LABEL,
    GPU_TAINT,
    NODE_POOL_LABEL,
    NVIDIA_PREFIX,
    OPERANDS_LABEL,
    OURS,
    POOL_LABEL,
)
from policy.instances import Label
from policy.placement import Labels, admitted
from policy.pods import tolerated


def comes(pod: Mapping[str, Any], labels: Labels) -> bool:
    """Whether pods of a DaemonSet run on nodes of ours with such labels. pod: their specification."""
    return admitted(pod, labels) and not intolerant(pod.get("tolerations"))


def intolerant(tolerations: Any) -> str:
    """Why pods with these tolerations do not come to nodes of ours; empty where they do."""
    if any(tolerated(GPU_TAINT, each) for each in listed(tolerations)):
        return ""
    return "its pods do not tolerate the taint {key}={value}:{effect} of the new nodes".format_map(GPU_TAINT)


#: Domains of labels that nodes get whoever buys them; one of these labels only nodes of a group get.
_ON_ANY_NODE: Final = ("kubernetes.io", "nvidia.com", "k8s.aws", "karpenter.sh", "eks.amazonaws.com")
#: A name that nobody who wrote before knew.
_NEW_NAME: Final = ("",)


def on_ours(key: str) -> Label:
    """Values of a label that nodes of ours may have: of a pool that is not there yet."""
    if key == NODE_POOL_LABEL:
        return _NEW_NAME
    domain = key.partition("/")[0] if "/" in key else ""
    anywhere = any(domain == one or domain.endswith(f".{one}") for one in _ON_ANY_NODE)
    return () if key.startswith(OURS) or (anywhere and key != EKS_NODE_GROUP_LABEL) else None


#: What Node Feature Discovery says of nodes, and its image.
_FEATURES: Final = "feature.node.kubernetes.io/"
_DISCOVERY: Final = "node-feature-discovery"


def on_bottlerocket(objects: Objects) -> Labels:
    """The same of nodes with Bottlerocket, which alone have their own plugin: of NVIDIA's labels only what others add.

    Where Node Feature Discovery runs on them they have its labels, and by these `nvidia.com/gpu.present` of a GPU
    Operator (gpu-operator controllers/state_manager.go), whatever else keeps its parts away.
    """
    pods = [
        at(each, "spec", "template", "spec")
        for each in objects.of("DaemonSet")
        if any(_DISCOVERY in str(container.get("image")) for container in containers_of(each))
    ]
    discovered = any(comes(pod, on_ours) for pod in pods)
    operator = any(True for _ in objects.of("ClusterPolicy", "nvidia.com"))

    def labels(key: str) -> Label:
        if key == OPERANDS_LABEL:
            return ("false",)
        if key.startswith(_FEATURES):
            return () if discovered else None
        if key.startswith(NVIDIA_PREFIX):
            return () if discovered and operator and key == GPU_PRESENT_LABEL else None
        return on_ours(key)

    return labels


_REQUIRED: Final = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
_AWAY: Final[Mapping[str, str]] = {"key": POOL_LABEL, "operator": "DoesNotExist"}


def keep_away(daemon_set: Object) -> str:
    """The command that keeps its pods away from nodes of ours; empty where parts of it are filled in elsewhere.

    Terms of an affinity of its own stay, each with one expression more, since one that holds is enough; one that says
    nothing selects nothing, and must stay so.
    """
    if has_unknown(daemon_set) or not name_of(daemon_set):
        return ""
    terms = at(daemon_set, "spec", "template", "spec", *_REQUIRED).get("nodeSelectorTerms")
    patch: Any = {"nodeSelectorTerms": [{"matchExpressions": [_AWAY]}]}
    kind = "merge"
    if isinstance(terms, list) and terms:
        place = "/".join(("/spec/template/spec", *_REQUIRED, "nodeSelectorTerms"))
        patch = [_added(f"{place}/{index}", each) for index, each in enumerate(map(at, terms)) if each]
        kind = "json"
    else:
        for key in reversed(("spec", "template", "spec", *_REQUIRED)):
            patch = {key: patch}
    namespace = at(daemon_set, "metadata").get("namespace")
    where = ("--namespace", namespace) if isinstance(namespace, str) else ()
    return shlex.join(
        ("kubectl", "patch", "daemonset", name_of(daemon_set), *where, "--type", kind, "--patch", json.dumps(patch))
    )


def _added(place: str, term: Mapping[str, Any]) -> dict[str, Any]:
    """One expression more in a term."""
    if listed(term.get("matchExpressions")):
        return {"op": "add", "path": f"{place}/matchExpressions/-", "value": _AWAY}
    return {"op": "add", "path": f"{place}/matchExpressions", "value": [_AWAY]}
