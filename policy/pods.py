"""Reading pods, whatever creates them: which GPUs they ask for, and on which pools they may land."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu.contract import CLAIM_LABEL, NVIDIA_PREFIX
from policy.framework import matches
from policy.karpenter import NodePool
from policy.placement import admitted, on_pool
from policy.reading import Unknown, each, get, literal, literals, quantity, text
from policy.registered import Resource, shared

_TEMPLATE: Final = (("spec", "template"),)
_LEADER_WORKER: Final = ("spec", "leaderWorkerTemplate")
#: Shell pattern over type tokens to where pod templates stand; `*` is every element of a list.
_PLACES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "kubernetes:core/*:Pod": ((),),
    "kubernetes:core/*:PodTemplate": (("template",),),
    "kubernetes:core/*:ReplicationController": _TEMPLATE,
    **{
        f"kubernetes:{group}/*:{kind}": _TEMPLATE
        for group in ("apps", "extensions")
        for kind in ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet")
    },
    "kubernetes:batch/*:Job": _TEMPLATE,
    "kubernetes:batch/*:CronJob": (("spec", "jobTemplate", "spec", "template"),),
    "kubernetes:argoproj.io/*:Rollout": _TEMPLATE,
    "kubernetes:serving.knative.dev/*:Service": _TEMPLATE,
    "kubernetes:serving.knative.dev/*:Configuration": _TEMPLATE,
    "kubernetes:serving.knative.dev/*:Revision": ((),),
    "kubernetes:jobset.x-k8s.io/*:JobSet": (("spec", "replicatedJobs", "*", "template", "spec", "template"),),
    "kubernetes:leaderworkerset.x-k8s.io/*:LeaderWorkerSet": (
        (*_LEADER_WORKER, "leaderTemplate"),
        (*_LEADER_WORKER, "workerTemplate"),
    ),
}
POD_TYPES: Final = tuple(_PLACES)
#: The same for what changes an object that is there: it says a part, so what is missing says nothing.
PATCH_TYPES: Final = tuple(f"{pattern}Patch" for pattern in _PLACES)
_BY_KIND: Final = {pattern.rpartition(":")[2]: places for pattern, places in _PLACES.items()}


@dataclass(frozen=True)
class GpuContainer:
    """A container that asks for GPUs. `quantity` is what it writes, or Unknown."""

    name: str
    resource: str
    quantity: Any
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """The pods of a resource, as plain data. partial: whether it is laid over another, of which the rest is."""

    name: str
    urn: str
    namespace: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    owner: Mapping[str, Any]
    partial: bool = False

    @property
    def labels(self) -> Mapping[str, Any]:
        """Labels of the pods."""
        found = self.metadata.get("labels")
        return found if isinstance(found, Mapping) else {}

    @property
    def claims_by_label(self) -> bool:
        """Whether it has the label by which the admission policy of a stack gives it a claim (`gpu.contract`)."""
        given = self.labels.get(CLAIM_LABEL)
        return isinstance(given, Unknown) or bool(text(given))

    def containers(self, *, init: bool = False) -> list[Mapping[str, Any]]:
        """Containers of the pod; with `init` the ones that run before, or for debugging, as well.

        Raises UnknownValueError if one is not known in preview.
        """
        names = ("initContainers", "containers", "ephemeralContainers") if init else ("containers",)
        return [item for name in names for item in literals(self.spec, name) if isinstance(item, Mapping)]

    def gpu_containers(self) -> list[GpuContainer]:
        """Containers that run side by side and ask for a resource of NVIDIA's; native sidecars are among them.

        Raises UnknownValueError if their resources as a whole are not known in preview.
        """
        sidecars = [item for item in literals(self.spec, "initContainers") if get(item, "restartPolicy") == "Always"]
        return _with_gpus((*self.containers(), *sidecars))

    def initial_gpu_containers(self) -> list[GpuContainer]:
        """Containers that run before the others and ask for a resource of NVIDIA's, which the pod has all its time."""
        given = (item for item in literals(self.spec, "initContainers") if isinstance(item, Mapping))
        return _with_gpus(item for item in given if get(item, "restartPolicy") != "Always")

    def every_gpu_container(self) -> list[GpuContainer]:
        """All its containers that ask for a resource of NVIDIA's, those that run before the others first.

        Raises UnknownValueError as the two above.
        """
        return [*self.initial_gpu_containers(), *self.gpu_containers()]

    def may_land_on(self, pool: NodePool) -> bool:
        """Whether the scheduler could place it there, by node selector, required node affinity and tolerations.

        What is unknown may be what fits, so that a pod is rather judged once too often.
        """
        return admitted(self.spec, on_pool(pool)) and self._tolerates(pool)

    def _tolerates(self, pool: NodePool) -> bool:
        given = self.spec.get("tolerations")
        if isinstance(given, Unknown) or (given is None and self.partial):
            return True
        if any(isinstance(item, Unknown) for item in each(given)):
            return True
        tolerations = [item for item in each(given) if isinstance(item, Mapping)]
        hard = [taint for taint in pool.taints if text(taint.get("effect")) in {"NoSchedule", "NoExecute"}]
        return all(any(tolerated(taint, toleration) for toleration in tolerations) for taint in hard)


def tolerated(taint: Mapping[str, Any], toleration: Mapping[str, Any]) -> bool:
    """Whether a toleration may take a taint, with what is unknown as what fits."""
    key, effect, operator = (toleration.get(name) for name in ("key", "effect", "operator"))
    if key and not _may_be(key, taint.get("key")):
        return False
    if effect and not _may_be(effect, taint.get("effect")):
        return False
    exists = isinstance(operator, Unknown) or text(operator) == "Exists"
    return exists or (bool(key) and _may_be(toleration.get("value"), taint.get("value")))


def _may_be(one: Any, other: Any) -> bool:
    """Whether two values are the same text, or one of them is not known."""
    return isinstance(one, Unknown) or isinstance(other, Unknown) or text(one) == text(other)


def _with_gpus(containers: Iterable[Mapping[str, Any]]) -> list[GpuContainer]:
    """Containers that ask for resources of NVIDIA's, once for each."""
    return [
        GpuContainer(text(get(container, "name")), resource, given, container)
        for container in containers
        for resource, given in _gpu_quantities(container)
    ]


def _gpu_quantities(container: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Any] = {}
    for kind in ("requests", "limits"):  # limits decide: extended resources cannot be overcommitted
        quantities = literal(container, "resources", kind)
        if isinstance(quantities, Mapping):
            seen |= {key: value for key, value in quantities.items() if key.startswith(NVIDIA_PREFIX)}
    yield from ((key, value) for key, value in seen.items() if quantity(value) != 0)


def mount_paths(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a container mounts volumes: as written, and as the kubelet and the container runtime read it.

    They clean paths, and start relative ones at the root (kubelet `pkg/kubelet/kubelet_pods.go` makeMounts). Raises
    UnknownValueError if one is not known in preview.
    """
    for mount in literals(container, "volumeMounts"):
        path = text(literal(mount, "mountPath"))
        yield path, posixpath.normpath("/" + path.lstrip("/"))


def templates(type_: str, props: Mapping[str, Any]) -> Iterator[Any]:
    """The pod templates in the inputs of a type of `POD_TYPES` or `PATCH_TYPES`; nothing for other types.

    Raises UnknownValueError if one is not known in preview.
    """
    if matches((*POD_TYPES, *PATCH_TYPES), type_):
        for place in _BY_KIND[type_.rpartition(":")[2].removesuffix("Patch")]:
            yield from _at(props, *place)


def _at(value: Any, *path: str) -> Iterator[Any]:
    if not path:
        yield literal(value)
    elif path[0] == "*":
        for element in literals(value):
            yield from _at(element, *path[1:])
    else:
        yield from _at(literal(value, path[0]), *path[1:])


def pod_templates(resource: Resource) -> Sequence[PodTemplate]:
    """The pods that a resource creates; nothing for resources that create none.

    Raises UnknownValueError if a template, or its specification, is not known in preview.
    """
    if not matches((*POD_TYPES, *PATCH_TYPES), resource.type):
        return ()
    return shared("pods", resource.props, lambda: list(_pod_templates(resource)))


def _pod_templates(resource: Resource) -> Iterator[PodTemplate]:
    props = resource.plain
    for template in templates(resource.type, props):
        spec, metadata = literal(template, "spec"), get(template, "metadata")
        if isinstance(metadata, Unknown):
            metadata = {"labels": metadata, "annotations": metadata}
        if isinstance(spec, Mapping):
            yield PodTemplate(
                name=resource.name,
                urn=resource.urn,
                namespace=text(get(props, "metadata", "namespace")) or "default",
                metadata=metadata if isinstance(metadata, Mapping) else {},
                spec=spec,
                owner=props,
                partial=resource.type.endswith("Patch"),
            )
