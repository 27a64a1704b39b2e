"""Reading pods, whatever creates them: which GPUs they ask for, and on which pools they may land."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource
from policy.karpenter import NodePool
from policy.reading import Unknown, each, get, text

_TEMPLATE: Final = ("spec", "template")
#: Type token to the path of its pod template.
_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes:core/v1:Pod": (),
    "kubernetes:core/v1:ReplicationController": _TEMPLATE,
    "kubernetes:apps/v1:Deployment": _TEMPLATE,
    "kubernetes:apps/v1:DaemonSet": _TEMPLATE,
    "kubernetes:apps/v1:ReplicaSet": _TEMPLATE,
    "kubernetes:apps/v1:StatefulSet": _TEMPLATE,
    "kubernetes:batch/v1:Job": _TEMPLATE,
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template"),
    "kubernetes:serving.knative.dev/v1:Service": _TEMPLATE,
    "kubernetes:serving.knative.dev/v1:Configuration": _TEMPLATE,
}
POD_TYPES: Final = tuple(_TEMPLATES)

_PREFIX: Final = "nvidia.com/"
#: Label domains that Karpenter or the kubelet fill in; of others a node has what its pool declares.
_WELL_KNOWN: Final = ("kubernetes.io", "karpenter.sh", "karpenter.k8s.aws", "eks.amazonaws.com", "k8s.aws")


@dataclass(frozen=True)
class GpuContainer:
    """A container that asks for GPUs. `quantity` is what it writes, or Unknown."""

    name: str
    resource: str
    quantity: Any
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """The pods of a resource, as plain data."""

    name: str
    urn: str
    namespace: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    owner: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, Any]:
        """Labels of the pods."""
        found = self.metadata.get("labels")
        return found if isinstance(found, Mapping) else {}

    def containers(self, *, init: bool = False) -> list[Mapping[str, Any]]:
        """Containers of the pod; with `init` the ones that run before as well."""
        names = ("initContainers", "containers") if init else ("containers",)
        return [item for name in names for item in each(self.spec.get(name)) if isinstance(item, Mapping)]

    def gpu_containers(self) -> list[GpuContainer]:
        """Containers that run side by side and ask for a resource of NVIDIA's; native sidecars are among them."""
        found = []
        sidecars = [item for item in each(self.spec.get("initContainers")) if get(item, "restartPolicy") == "Always"]
        for container in (*self.containers(), *sidecars):
            for resource, quantity in _gpu_quantities(container):
                found.append(GpuContainer(text(get(container, "name")), resource, quantity, container))
        return found

    def may_land_on(self, pool: NodePool) -> bool:
        """Whether the scheduler could place it there, by node selector and tolerations. Affinity is not read, so that
        a pod is rather judged once too often."""
        return self._selects(pool) and self._tolerates(pool)

    def _selects(self, pool: NodePool) -> bool:
        selector = self.spec.get("nodeSelector")
        for key, value in selector.items() if isinstance(selector, Mapping) else ():
            if isinstance(value, Unknown):
                continue
            if key in pool.labels:
                if pool.labels[key] != text(value):
                    return False
            elif not key.partition("/")[0].endswith(_WELL_KNOWN) or not _admitted(pool, key, text(value)):
                return False
        return True

    def _tolerates(self, pool: NodePool) -> bool:
        given = self.spec.get("tolerations")
        if isinstance(given, Unknown):
            return True
        tolerations = [item for item in each(given) if isinstance(item, Mapping)]
        hard = [taint for taint in pool.taints if text(taint.get("effect")) in {"NoSchedule", "NoExecute"}]
        return all(any(_tolerated(taint, toleration) for toleration in tolerations) for taint in hard)


def _admitted(pool: NodePool, key: str, value: str) -> bool:
    """Whether the pool's requirements on that key, if it has any, leave the value possible."""
    short = key.partition("/")[2]
    name = short if short.startswith("instance-") and not key.startswith("node.kubernetes.io/") else key
    listed = [item for item in pool.requirements if item.key == name and item.values is not None]
    wanted = all(value in (item.values or ()) for item in listed if item.operator == "In")
    return wanted and not any(value in (item.values or ()) for item in listed if item.operator == "NotIn")


def _tolerated(taint: Mapping[str, Any], toleration: Mapping[str, Any]) -> bool:
    key, effect = toleration.get("key"), toleration.get("effect")
    if key and text(key) != text(taint.get("key")):
        return False
    if effect and text(effect) != text(taint.get("effect")):
        return False
    exists = text(toleration.get("operator")) == "Exists"
    return exists or (bool(key) and text(toleration.get("value")) == text(taint.get("value")))


def _gpu_quantities(container: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Any] = {}
    for kind in ("requests", "limits"):  # limits decide: extended resources cannot be overcommitted
        quantities = get(container, "resources", kind)
        if isinstance(quantities, Mapping):
            seen |= {key: value for key, value in quantities.items() if key.startswith(_PREFIX)}
    yield from ((key, value) for key, value in seen.items() if text(value) != "0")


def pod_templates(resource: Resource) -> Iterator[PodTemplate]:
    """The pods that a resource creates; nothing for resources that create none, or whose template is unknown."""
    path = _TEMPLATES.get(resource.type)
    if path is None:
        return
    props = resource.plain
    template = get(props, *path) if path else props
    spec, metadata = get(template, "spec"), get(template, "metadata")
    if isinstance(spec, Mapping):
        yield PodTemplate(
            name=resource.name,
            urn=resource.urn,
            namespace=text(get(props, "metadata", "namespace")) or "default",
            metadata=metadata if isinstance(metadata, Mapping) else {},
            spec=spec,
            owner=props,
        )
