"""The Karpenter of a cluster: its version, its gates, and which of its APIs are of before 1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adopt.objects import (
    PROVISIONER_LABEL,
    Object,
    Objects,
    at,
    containers_of,
    environment,
    labels_of,
    listed,
    name_of,
    pool_label,
    words,
)
from gpu.contract import NAME_LABEL, NODE_POOL_LABEL

#: Gates as Karpenter's own option names them (`--feature-gates`), and as its chart and stack files do.
GATES: Final[Mapping[str, str]] = {
    "NodeOverlay": "nodeOverlay",
    "CapacityBuffer": "capacityBuffer",
    "StaticCapacity": "staticCapacity",
}
#: EKS' own mark on nodes that Auto Mode manages (EKS user guide, "Control if a workload is deployed on EKS Auto Mode
#: nodes").
AUTO_NODE_LABEL: Final = "eks.amazonaws.com/compute-type"
AUTO_NODE: Final = "auto"
_VERSION: Final = re.compile(r"v?(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)(?=\D|$)")


@dataclass(frozen=True, kw_only=True)
class Karpenter:
    """A controller that runs in the cluster.

    version: empty where nothing tells it. gates: by the names of stack files; None where nobody can see them.
    release, namespace: of Helm, the chart's own guide's where nothing tells them.
    """

    version: str = ""
    release: str = "karpenter"
    namespace: str = "kube-system"
    gates: frozenset[str] | None = None
    cluster: str = ""
    old_api: str = ""
    """An API version of before v1, such as `karpenter.sh/v1beta1`, of pools or else node classes; empty without one."""
    serves_v1: bool = True
    """Whether it may serve `karpenter.sh/v1`, of which pools of ours are; also where nothing tells."""
    serves_overlays: bool = True
    """Whether NodeOverlays may be defined; also where nothing tells."""

    @property
    def before_v1(self) -> bool:
        """Whether it is of before 1.0, which serves no `karpenter.sh/v1`."""
        return self.version.startswith("0.") or not self.serves_v1

    @property
    def before_v1beta1(self) -> bool:
        """Whether it is of before 0.32, with Provisioners and AWSNodeTemplates, which 1.0 does not know."""
        older = self.version.startswith("0.") and int(self.version.split(".")[1]) < _BETA_SINCE
        return older or "alpha" in self.old_api


#: First release with v1beta1, 0.32 (Karpenter's "v1beta1 Migration").
_BETA_SINCE: Final = 32


def karpenter_of(objects: Objects) -> Karpenter | None:
    """The controller; None where there is neither one nor a pool or a node of one."""
    found = _karpenter_of(objects)
    return replace(found, serves_overlays=_may_serve_overlays(objects)) if found else None


def _may_serve_overlays(objects: Objects) -> bool:
    """Helm installs definitions that lie in a chart once, and never those of a later version of the chart."""
    defined = definitions_of(objects)
    return "nodeoverlays" not in objects.absent and (_POOLS not in defined or _OVERLAYS in defined)


_POOLS: Final = "nodepools.karpenter.sh"
_OVERLAYS: Final = "nodeoverlays.karpenter.sh"


def _karpenter_of(objects: Objects) -> Karpenter | None:
    pools = [*objects.of("NodePool"), *objects.of("Provisioner")]
    classes = [*objects.of("EC2NodeClass"), *objects.of("AWSNodeTemplate")]
    old = _oldest(pools) or _oldest(classes)
    for deployment in objects.of("Deployment", "apps"):
        controller = next((each for each in containers_of(deployment) if _is_controller(deployment, each)), None)
        if controller is not None:
            made = _karpenter(deployment, controller, objects)
            return replace(made, old_api=old, serves_v1=bool(made.version) or _may_serve_v1([*pools, *classes]))
    # Pools alone may be those of EKS Auto Mode.
    own = any(at(pool, "spec", "template", "spec", "nodeClassRef").get("kind") == "EC2NodeClass" for pool in pools)
    if own or old or any(next(objects.of(kind), None) for kind in ("EC2NodeClass", "NodeOverlay")):
        return Karpenter(gates=_gates_of_overlays(objects), old_api=old, serves_v1=_may_serve_v1([*pools, *classes]))
    # Somebody showed nodes alone.
    bought = [labels for node in objects.of("Node") if pool_label(labels := labels_of(node))]
    if any(NODE_POOL_LABEL in labels and labels.get(AUTO_NODE_LABEL) != AUTO_NODE for labels in bought):
        return Karpenter()
    return (
        Karpenter(old_api=_PROVISIONERS, serves_v1=False) if any(PROVISIONER_LABEL in each for each in bought) else None
    )


def _oldest(manifests: list[Object]) -> str:
    """An API version of before v1 among them, of before v1beta1 first; empty where there is none."""
    found = (text for each in manifests if _OLD_API.fullmatch(text := str(each.get("apiVersion"))))
    return min(found, key=lambda text: "alpha" not in text, default="")


def _may_serve_v1(manifests: list[Object]) -> bool:
    return not manifests or not all(_OLD_API.fullmatch(str(each.get("apiVersion"))) for each in manifests)


#: API versions of Karpenter before 1.0; what is filled in elsewhere counts as none of them.
_OLD_API: Final = re.compile(r"karpenter\.(?:sh|k8s\.aws)/v1(?:alpha|beta)\d+")
_PROVISIONERS: Final = "karpenter.sh/v1alpha5"


#: API groups of its definitions.
_GROUPS: Final = ("karpenter.sh", "karpenter.k8s.aws")


def definitions_of(objects: Objects) -> tuple[str, ...]:
    """Names of Karpenter's definitions, or their API groups where the server lists these alone."""
    named = [each for each in objects.of("CustomResourceDefinition") if at(each, "spec").get("group") in _GROUPS]
    return tuple(sorted(map(name_of, named))) or tuple(group for group in _GROUPS if group in objects.groups)


def _is_controller(deployment: Object, container: Mapping[str, Any]) -> bool:
    image = str(container.get("image", ""))
    named = labels_of(deployment).get(NAME_LABEL) == "karpenter" or name_of(deployment) == "karpenter"
    return "karpenter" in image and (named or "/controller" in image)


def _karpenter(deployment: Object, container: Mapping[str, Any], objects: Objects) -> Karpenter:
    labels, variables = labels_of(deployment), environment(container)
    said = [
        labels.get("app.kubernetes.io/version", ""),
        labels.get("helm.sh/chart", "").removeprefix("karpenter-"),
        str(container.get("image", "")).partition("@")[0].rpartition(":")[2],
    ]
    version = next((found[1] for text in said if (found := _VERSION.match(text))), "")
    gates = variables.get("FEATURE_GATES")
    arguments = [str(word) for word in container.get("args") or []] if isinstance(container.get("args"), list) else []
    for word in arguments:
        if word.startswith("--feature-gates="):
            gates = word.partition("=")[2]
    on = _gates_of_overlays(objects) if gates is None else _gates(gates)
    release, namespace = _release_of(deployment)
    return Karpenter(
        version=version, release=release, namespace=namespace, gates=on, cluster=variables.get("CLUSTER_NAME", "")
    )


def _release_of(deployment: Object) -> tuple[str, str]:
    """Name and namespace of the Helm release that a Deployment is of, as Helm itself notes them."""
    metadata = at(deployment, "metadata")
    notes = words(metadata.get("annotations"))
    release = notes.get("meta.helm.sh/release-name") or labels_of(deployment).get("app.kubernetes.io/instance")
    namespace = notes.get("meta.helm.sh/release-namespace") or _text(metadata.get("namespace"))
    return release or Karpenter.release, namespace or Karpenter.namespace


def _gates(text: str) -> frozenset[str]:
    pairs = (pair.partition("=") for pair in text.split(","))
    return frozenset(GATES[n.strip()] for n, _, on in pairs if n.strip() in GATES and on.strip().lower() == "true")


def _gates_of_overlays(objects: Objects) -> frozenset[str] | None:
    """Karpenter gives overlays a status only where the gate is on."""
    judged = any(listed(at(overlay, "status").get("conditions")) for overlay in objects.of("NodeOverlay"))
    return frozenset({"nodeOverlay"}) if judged else None


def _text(value: Any) -> str:
    return value.rpartition("/")[2] if isinstance(value, str) else ""
