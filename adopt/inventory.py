"""What a cluster has for GPUs, in one value: everything that the report and the stack file are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adopt.export import minor_version
from adopt.karpenter import AUTO_NODE, AUTO_NODE_LABEL, Karpenter, definitions_of, karpenter_of
from adopt.node_classes import NodeClass, discovered, node_classes_of
from adopt.objects import Object, Objects, at, containers_of, labels_of, listed, name_of, words
from adopt.plugins import Plugin, plugins_of, releases
from adopt.rights import Rights, rights_of
from adopt.standing import Standing, standing_of
from adopt.work import GpuNode, Work, gpu_nodes, work_of
from gpu.catalog import FAMILIES, INSTANCE_TYPES
from gpu.contract import DEVICE_CLASS, INSTANCE_TYPE_LABEL, MIG_CONFIG_LABEL, REGION_LABEL
from policy.device_plugin import Sharing
from policy.framework import Stack
from policy.karpenter import AUTO_MODE_DOMAIN, NodePool, Requirement
from policy.placeholders import PLACEHOLDER
from policy.sharing import Overlay, SharingView

#: Engines that may refuse pods: API group, and what people call it.
ENGINES: Final[Mapping[str, str]] = {
    "kyverno.io": "Kyverno",
    "policies.kyverno.io": "Kyverno",
    "templates.gatekeeper.sh": "Gatekeeper",
    "policies.kubewarden.io": "Kubewarden",
}
#: The same by the images of their Deployments, as far as these tell them from other programs of such names.
_IMAGES: Final[Mapping[str, str]] = {
    r"(?:^|/)kyverno(?:[:@]|$)": "Kyverno",
    r"openpolicyagent/gatekeeper(?:[:@]|$)": "Gatekeeper",
    r"kubewarden/": "Kubewarden",
}


@dataclass(frozen=True, kw_only=True)
class FoundPool:
    """A NodePool that may buy GPUs. types: of the catalogue. sharing: None where nothing tells.

    named: types, else families, else GPUs that its requirements name. unknown: those of them that are not in the
    catalogue.
    """

    node_pool: NodePool
    name: str
    types: tuple[str, ...]
    named: tuple[str, ...]
    unknown: tuple[str, ...]
    capacity_types: tuple[str, ...]
    auto_mode: bool
    node_class: str
    limits: Mapping[str, str]
    sharing: Sharing | None
    filled_in: bool
    """Whether what it may buy is filled in elsewhere: a template, not a pool."""
    open: bool
    """Whether it may buy GPUs only because nothing forbids it."""

    @property
    def title(self) -> str:
        """Its kind and name: before 0.32 pools were Provisioners."""
        kind = "Provisioner" if self.node_pool.manifest.get("kind") == "Provisioner" else "NodePool"
        return f"{kind} {self.name}"

    @property
    def families(self) -> tuple[str, ...]:
        """Families of its types, in the catalogue's order."""
        return tuple(dict.fromkeys(INSTANCE_TYPES[name].family for name in self.types))


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is there. Names are empty where nothing tells them.

    taken: names that a pool cannot have, since a NodePool or an EC2NodeClass has them.
    definitions: those of Karpenter, whoever made them. authentication_mode, network: what the account says of the
    cluster; empty and None where nobody asked it. network: keys of `network.existing`, none where nodes are found by
    the default. strange_nodes: types of nodes with GPUs that are not in the catalogue, by the node's name.
    """

    cluster: str
    region: str
    kubernetes: str
    karpenter: Karpenter | None
    auto_mode: bool
    definitions: tuple[str, ...]
    node_classes: Sequence[NodeClass]
    pools: Sequence[FoundPool]
    taken: frozenset[str]
    overlays: Sequence[Overlay]
    plugins: Sequence[Plugin]
    engines: tuple[str, ...]
    knative: bool
    nodes: Sequence[GpuNode]
    strange_nodes: Mapping[str, str]
    standing: Standing
    work: Sequence[Work]
    counts: Mapping[str, int]
    unseen: tuple[str, ...]
    rights: Rights
    authentication_mode: str = ""
    network: Mapping[str, Sequence[str]] | None = None


def inventory(objects: Objects, *, cluster: str = "", region: str = "") -> Inventory:
    """What is there. cluster, region: what somebody says of it, which counts before what is seen."""
    plugins, classes, karpenter = plugins_of(objects), node_classes_of(objects), karpenter_of(objects)
    nodes, strange = gpu_nodes(objects)
    view = SharingView(Stack(resources=[*objects.resources, *releases(plugins)]))
    pools = _pools(view, plugins)
    seen_name = (karpenter.cluster if karpenter else "") or discovered(classes) or _eksctl(objects)
    return Inventory(
        cluster=cluster or objects.names.get("cluster", "") or seen_name,
        region=region or _region(objects) or objects.names.get("region", ""),
        kubernetes=objects.kubernetes or _kubelet(objects),
        karpenter=karpenter,
        auto_mode=_auto_mode(objects),
        definitions=definitions_of(objects),
        node_classes=classes,
        pools=pools,
        taken=frozenset(name_of(each) for kind in ("NodePool", "EC2NodeClass") for each in objects.of(kind)),
        overlays=sorted(view.overlays, key=lambda overlay: overlay.name),
        plugins=plugins,
        engines=_engines(objects),
        knative=_knative(objects),
        nodes=nodes,
        strange_nodes=strange,
        standing=standing_of(objects),
        work=work_of(objects),
        counts=Counter(objects.counts),
        unseen=tuple(objects.unseen),
        rights=rights_of(objects),
    )


#: Of Auto Mode's own node classes.
_AUTO_DEFINITION: Final = "nodeclasses.eks.amazonaws.com"


def _auto_mode(objects: Objects) -> bool:
    """Whether EKS Auto Mode is on: by its node classes, pools, nodes or definitions."""
    classes = [at(each, "spec", "template", "spec", "nodeClassRef") for each in objects.of("NodePool")]
    return (
        any(True for _ in objects.of("NodeClass"))
        or any(str(each.get("group")) == AUTO_MODE_DOMAIN for each in classes)
        or any(labels_of(node).get(AUTO_NODE_LABEL) == AUTO_NODE for node in objects.of("Node"))
        or any(name_of(each) == _AUTO_DEFINITION for each in objects.of("CustomResourceDefinition"))
    )


def _pools(view: SharingView, plugins: list[Plugin]) -> list[FoundPool]:
    plain = any(_plain(plugin) for plugin in plugins)
    found = []
    for judged in view.pools:
        pool = judged.pool
        if _without_gpus(pool):
            continue
        spec = at(pool.manifest, "spec", "template", "spec")
        sharing, (named, unknown) = judged.sharing, _named(pool)
        if sharing is None and plain and not pool.auto_mode and MIG_CONFIG_LABEL not in pool.labels:
            sharing = Sharing("none", "its device plugin, which has no configuration")
        found.append(
            FoundPool(
                node_pool=pool,
                name=judged.name,
                types=tuple(name for each in pool.gpu_types() if (name := each.name) in INSTANCE_TYPES),
                named=named,
                unknown=unknown,
                capacity_types=tuple(sorted(pool.capacity_types, key=("spot", "on-demand", "reserved").index)),
                auto_mode=pool.auto_mode,
                node_class=str(at(spec, "nodeClassRef").get("name") or ""),
                limits=words(pool.limits),
                sharing=sharing,
                filled_in=any(map(_leaves_open, pool.requirements)),
                open=not any(_narrows(item) for item in pool.requirements),
            )
        )
    return found


#: What requirements may name, the narrowest first, and what of it is in the catalogue.
_NAMED: Final[Mapping[str, Collection[str]]] = {
    INSTANCE_TYPE_LABEL: INSTANCE_TYPES,
    "instance-family": FAMILIES,
    "instance-gpu-name": {kind.gpu.name for kind in INSTANCE_TYPES.values()},
}


def _named(pool: NodePool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Types that its requirements name, else families, else GPUs; and those of them that are not in the catalogue."""
    for key, known in _NAMED.items():
        values = [item.values or () for item in pool.requirements if item.key == key and item.operator == "In"]
        if values:
            names = tuple(dict.fromkeys(name for each in values for name in each))
            may_buy = {each.name for each in pool.gpu_types()}
            # A GPU's name is of nothing else; of types and families some have none.
            return names, tuple(
                name
                for name in names
                if name not in known
                and (name in may_buy or key == "instance-gpu-name")
                and not (_is_filled_in(name) and name.partition(".")[0] in FAMILIES)
            )
    return (), ()


def _leaves_open(item: Requirement) -> bool:
    return item.values is None or any(map(_is_filled_in, item.values))


def _is_filled_in(value: str) -> bool:
    return PLACEHOLDER.search(value) is not None


def _without_gpus(pool: NodePool) -> bool:
    """A Provisioner that names no machines buys of categories c, m and r alone (Karpenter 0.31, its defaults)."""
    return pool.manifest.get("kind") == "Provisioner" and not any(_narrows(item) for item in pool.requirements)


def _plain(plugin: Plugin) -> bool:
    """Whether a plugin has no configuration, and so gives whole GPUs unless a label has them cut."""
    on = plugin.kind == "device plugin" or (
        plugin.kind == "GPU Operator" and at(plugin.values, "devicePlugin").get("enabled")
    )
    return on is True and not plugin.config_map


def _narrows(item: Requirement) -> bool:
    """Whether a requirement says which machines are meant."""
    keys = (INSTANCE_TYPE_LABEL, "instance-category", "instance-family")
    chooses = item.operator == "In" and item.key in keys
    return chooses or (item.key.startswith("instance-gpu-") and item.operator not in ("NotIn", "DoesNotExist"))


def _region(objects: Objects) -> str:
    found = Counter(labels_of(node).get(REGION_LABEL, "") for node in objects.of("Node"))
    found.pop("", None)
    return found.most_common(1)[0][0] if found else ""


def _kubelet(objects: Objects) -> str:
    """The newest kubelet's version: kubelets are never newer than the API server."""
    said = [minor_version(str(at(node, "status", "nodeInfo").get("kubeletVersion", ""))) for node in objects.of("Node")]
    return max((text for text in said if text), key=lambda text: [int(part) for part in text.split(".")], default="")


def _eksctl(objects: Objects) -> str:
    names = {labels_of(node).get("alpha.eksctl.io/cluster-name", "") for node in objects.of("Node")} - {""}
    return names.pop() if len(names) == 1 else ""


def _has_group(objects: Objects, group: str) -> bool:
    definitions = (at(each, "spec").get("group") for each in objects.of("CustomResourceDefinition"))
    return group in objects.groups or group in definitions


#: Where Knative runs, whoever installed it: its own manifests and its operator's name these.
_KNATIVE_GROUPS: Final = ("serving.knative.dev", "operator.knative.dev")
_KNATIVE_SPACES: Final = ("knative-serving", "knative-operator")


def _knative(objects: Objects) -> bool:
    spaces = {str(at(each, "metadata").get("namespace")) for each in objects.of("Deployment")}
    return (
        any(_has_group(objects, group) for group in _KNATIVE_GROUPS)
        or any(True for _ in objects.of("KnativeServing"))
        or not spaces.isdisjoint(_KNATIVE_SPACES)
    )


def _engines(objects: Objects) -> tuple[str, ...]:
    found = [engine for group, engine in ENGINES.items() if _has_group(objects, group)]
    hooks = " ".join(name_of(each) for each in objects.of("ValidatingWebhookConfiguration"))
    found += [engine for engine in ENGINES.values() if re.search(engine.lower(), hooks)]
    containers = [each for deployment in objects.of("Deployment") for each in containers_of(deployment)]
    images = [str(each.get("image", "")) for each in containers]
    found += [engine for pattern, engine in _IMAGES.items() if any(re.search(pattern, image) for image in images)]
    if any(_refuses(each) for each in objects.of("ValidatingAdmissionPolicy")):
        found.append("ValidatingAdmissionPolicy")
    return tuple(dict.fromkeys(found))


#: Whose policies say nothing of other people's pods: EKS' own, and those of charts that guard their own kinds.
_OWN: Final = ("eks-", "eks.", "system:", "resourceslices-", DEVICE_CLASS, "karpenter", "argo", "cert-manager")


def _refuses(policy: Object) -> bool:
    """Whether a policy of Kubernetes' own looks at pods or at what makes them."""
    rules = listed(at(policy, "spec", "matchConstraints").get("resourceRules"))
    resources = {str(name) for rule in rules for name in _texts(rule.get("resources"))}
    mine = name_of(policy).startswith(_OWN)
    return bool(resources & {"pods", "deployments", "jobs", "*", "*/*"}) and not mine


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
