"""The Karpenter of a cluster: its version, its gates, and what its node classes name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adopt.objects import (
    Object,
    Objects,
    at,
    containers_of,
    environment,
    has_unknown,
    labels_of,
    listed,
    name_of,
    words,
)
from gpu.contract import DISCOVERY_TAG, NAME_LABEL, NODE_POOL_LABEL

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
    """An API version of pools before v1, such as `karpenter.sh/v1beta1`; empty where all are v1."""
    serves_v1: bool = True
    """Whether it may serve `karpenter.sh/v1`, of which pools of ours are; also where nothing tells."""
    serves_overlays: bool = True
    """Whether NodeOverlays may be defined; also where nothing tells."""


@dataclass(frozen=True, kw_only=True)
class NodeClass:
    """An EC2NodeClass: what nodes need to join. Tags are those of the first term that has some, ids those of all."""

    name: str
    role: str = ""
    profile: str = ""
    subnet_tags: Mapping[str, str] = field(default_factory=dict)
    group_tags: Mapping[str, str] = field(default_factory=dict)
    subnet_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    filled_in: bool = False
    """Whether parts of it are filled in elsewhere: a template, not a class."""
    own: tuple[str, ...] = ()
    """Fields of it, as it calls them, by which its nodes differ from those of Karpenter's defaults."""


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
    old = next((text for pool in pools if (text := str(pool.get("apiVersion"))) not in _APIS), "")
    for deployment in objects.of("Deployment", "apps"):
        controller = next((each for each in containers_of(deployment) if _is_controller(deployment, each)), None)
        if controller is not None:
            made = _karpenter(deployment, controller, objects)
            return replace(made, old_api=old, serves_v1=bool(made.version) or _may_serve_v1(pools))
    # Pools alone may be those of EKS Auto Mode.
    own = any(at(pool, "spec", "template", "spec", "nodeClassRef").get("kind") == "EC2NodeClass" for pool in pools)
    if own or old or any(next(objects.of(kind), None) for kind in ("EC2NodeClass", "NodeOverlay")):
        return Karpenter(gates=_gates_of_overlays(objects), old_api=old, serves_v1=_may_serve_v1(pools))
    # Somebody showed nodes alone.
    bought = [labels for node in objects.of("Node") if NODE_POOL_LABEL in (labels := labels_of(node))]
    if any(labels.get(AUTO_NODE_LABEL) != AUTO_NODE for labels in bought):
        return Karpenter()
    return None


def _may_serve_v1(pools: list[Object]) -> bool:
    return not pools or any(str(pool.get("apiVersion")) in _APIS for pool in pools)


#: API groups of its definitions.
_GROUPS: Final = ("karpenter.sh", "karpenter.k8s.aws")


def definitions_of(objects: Objects) -> tuple[str, ...]:
    """Names of Karpenter's definitions, or their API groups where the server lists these alone."""
    named = [each for each in objects.of("CustomResourceDefinition") if at(each, "spec").get("group") in _GROUPS]
    return tuple(sorted(map(name_of, named))) or tuple(group for group in _GROUPS if group in objects.groups)


#: API versions of pools that Karpenter serves since 1.0; what is filled in elsewhere counts as one.
_APIS: Final = ("karpenter.sh/v1",)


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


def node_classes_of(objects: Objects) -> list[NodeClass]:
    """Node classes of Karpenter, in the order of their names."""
    return sorted((_node_class(each) for each in objects.of("EC2NodeClass")), key=lambda found: found.name)


def _node_class(manifest: Object) -> NodeClass:
    spec = at(manifest, "spec")
    return NodeClass(
        name=name_of(manifest),
        role=_text(spec.get("role")),
        profile=_text(spec.get("instanceProfile")),
        subnet_tags=_tags(spec.get("subnetSelectorTerms")),
        group_tags=_tags(spec.get("securityGroupSelectorTerms")),
        subnet_ids=_ids(spec.get("subnetSelectorTerms")),
        group_ids=_ids(spec.get("securityGroupSelectorTerms")),
        filled_in=has_unknown(spec),
        own=tuple(field for field in _OWN if spec.get(field)) + _images(spec),
    )


_OWN: Final = (
    "userData",
    "blockDeviceMappings",
    "instanceStorePolicy",
    "kubelet",
    "metadataOptions",
    "networkInterfaces",
    "capacityReservationSelectorTerms",
)


def _images(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The field of images, where they are chosen otherwise than by an alias of AWS' own."""
    terms = listed(spec.get("amiSelectorTerms"))
    return ("amiSelectorTerms",) if any("alias" not in term for term in terms) else ()


def _text(value: Any) -> str:
    return value.rpartition("/")[2] if isinstance(value, str) else ""


def _tags(terms: Any) -> dict[str, str]:
    """Tags whose values are written out: `*` and nothing mean any, which a stack file cannot say."""
    for term in listed(terms):
        found = words(term.get("tags"))
        whole = len(found) == len(at(term, "tags"))  # else a part of them is filled in elsewhere
        if found and whole and all(value and "*" not in value for value in found.values()):
            return found
    return {}


def _ids(terms: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found for term in listed(terms) if isinstance(found := term.get("id"), str) and found))


def discovered(classes: list[NodeClass]) -> str:
    """Name of the cluster by the tag of Karpenter's own guide; empty where classes have none, or several."""
    names = {tags.get(DISCOVERY_TAG, "") for found in classes for tags in (found.subnet_tags, found.group_tags)} - {""}
    return names.pop() if len(names) == 1 else ""
