"""Objects of a cluster, as far as they say something of GPUs; of the rest it is only known how many there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gpu.contract import NODE_POOL_LABEL, NVIDIA_PREFIX
from policy.pods import POD_TYPES
from policy.reading import Unknown
from policy.registered import Resource

Object = Mapping[str, Any]

#: What the text of an object must hold so that it is read; nothing: every one is. A kind that is not here says nothing.
#: Deployments and their likes matter by what they install, or by the GPUs that their pods ask for.
_PARTS: Final = rf"{re.escape(NVIDIA_PREFIX)}|karpenter|nvidia|knative|kyverno|gatekeeper|kubewarden|resourceClaims"
WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("NodePool", "Provisioner", "NodeOverlay", "ClusterPolicy"), ""),
    **dict.fromkeys(("EC2NodeClass", "AWSNodeTemplate", "NodeClass"), ""),
    **dict.fromkeys(("DeviceClass", "ResourceClaim", "ResourceClaimTemplate"), ""),
    **dict.fromkeys(("KnativeServing", "CustomResourceDefinition"), ""),
    **dict.fromkeys(("ValidatingAdmissionPolicy", "ConstraintTemplate", "ValidatingWebhookConfiguration"), ""),
    "Node": "",
    "Pod": rf"{re.escape(NVIDIA_PREFIX)}|resourceClaims|AWS_WEB_IDENTITY_TOKEN_FILE",
    "ConfigMap": "sharing|migStrategy|flags",
    **dict.fromkeys((pattern.rpartition(":")[2] for pattern in POD_TYPES if not pattern.endswith(":Pod")), _PARTS),
    "DaemonSet": rf"{_PARTS}|eks-pod-identity-agent|kube-proxy|node-feature-discovery",
}
_PATTERNS: Final = {kind: re.compile(words) for kind, words in WANTED.items() if words}


def wanted(kind: str, text: str) -> bool:
    """Whether an object of that kind may say something here. text: as it is written, in YAML or JSON."""
    return kind in WANTED and (kind not in _PATTERNS or _PATTERNS[kind].search(text) is not None)


@dataclass(kw_only=True)
class Objects:
    """What was read. counts: all objects by kind, also those that were passed over. groups: the API's.

    absent: plurals of kinds of which the API server said that it has none of them. unseen: what could not be read, in
    words. kubernetes: the server's version such as `1.36`, where it was told.
    names: what the kubeconfig says of the cluster's name and region.
    """

    found: list[Object] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    unseen: list[str] = field(default_factory=list)
    kubernetes: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    _places: dict[tuple[str, ...], int] = field(default_factory=dict, init=False)

    def add(self, manifest: Object) -> None:
        """Take an object in. One that was read before counts once, as it was read last.

        Exports overlap, and have an object in several versions.
        """
        self.groups.add(group_of(manifest))
        place = len(self.found)
        if name := name_of(manifest):
            namespace = str(at(manifest, "metadata").get("namespace", ""))
            key = (group_of(manifest), str(manifest.get("kind", "")), namespace, name)
            place = self._places.setdefault(key, place)
        self.found[place : place + 1] = [manifest]

    def of(self, kind: str, group: str | None = None) -> Iterator[Object]:
        """Objects of a kind, of one API group alone where it is named."""
        for manifest in self.found:
            if manifest.get("kind") == kind and group in (None, group_of(manifest)):
                yield manifest

    @property
    def resources(self) -> list[Resource]:
        """All of them as the rules of the pack read them."""
        return [as_resource(manifest) for manifest in self.found]


def group_of(manifest: Object) -> str:
    """API group of an object; empty for the core's."""
    return str(manifest.get("apiVersion", "")).rpartition("/")[0]


def as_resource(manifest: Object) -> Resource:
    """An object as the rules of the pack read it."""
    version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
    token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}"
    name = name_of(manifest)
    return Resource(type=token, name=name, urn=f"{kind} {name}", props=manifest)


def at(value: Any, *path: str) -> Mapping[str, Any]:
    """The object at a path; an empty one where there is none, whatever stands there."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list) else []


def words(value: Any) -> dict[str, str]:
    """Labels, tags and the like: what is a text under a text."""
    return {str(key): str(text) for key, text in at(value).items() if isinstance(text, str | int | float)}


def name_of(manifest: Object) -> str:
    """Name of an object; empty where it has none."""
    name = at(manifest, "metadata").get("name")
    return name if isinstance(name, str) else ""


def labels_of(manifest: Object) -> dict[str, str]:
    """Labels of an object."""
    return words(at(manifest, "metadata").get("labels"))


#: Of nodes that Karpenter before 0.32 bought, the name of their Provisioner.
PROVISIONER_LABEL: Final = "karpenter.sh/provisioner-name"


def pool_label(labels: Mapping[str, str]) -> str:
    """The pool of Karpenter's that bought a node with these labels; empty where none did."""
    return labels.get(NODE_POOL_LABEL) or labels.get(PROVISIONER_LABEL, "")


def containers_of(manifest: Object) -> list[Mapping[str, Any]]:
    """Containers of a Deployment or a DaemonSet, also those that run before."""
    spec = at(manifest, "spec", "template", "spec")
    return [*listed(spec.get("initContainers")), *listed(spec.get("containers"))]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Variables of a container that are written down."""
    return {str(each.get("name")): str(each.get("value", "")) for each in listed(container.get("env"))}


def has_unknown(value: Any) -> bool:
    """Whether a part of a value is filled in elsewhere."""
    if isinstance(value, Mapping):
        return any(has_unknown(each) for each in value.values())
    return any(has_unknown(each) for each in value) if isinstance(value, list) else isinstance(value, Unknown)
