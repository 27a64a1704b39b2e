"""GPU nodes and the pods that hold or want GPUs: what runs now, and what its nodes cost."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from pulumi_policy.proxy import UnknownValueError

from adopt.objects import Object, Objects, as_resource, at, labels_of, listed, name_of, pool_label, words
from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.contract import (
    CAPACITY_TYPE_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    GPU_RESOURCE,
    INSTANCE_TYPE_LABEL,
    MEMORY_ANNOTATION,
    NVIDIA_PREFIX,
    RESERVATION_TYPE_LABEL,
)
from gpu.prices import CapacityType
from policy.dra import requests
from policy.karpenter import CAPACITY_BLOCK
from policy.pods import PodTemplate, pod_templates
from policy.reading import quantity, whole

State = Literal["runs", "waits", "declared"]
#: Kind, namespace and name of a claim, or of a template of claims.
_Claim = tuple[str, str, str]
#: Kinds by the key with which a pod names them.
_CLAIMS: Final[Mapping[str, str]] = {
    "resourceClaimTemplateName": "ResourceClaimTemplate",
    "resourceClaimName": "ResourceClaim",
}
#: A selector that leaves nothing but devices of one driver, which is no GPU's by its name (NVIDIA's is gpu.nvidia.com,
#: HAMi's hami-core-gpu.project-hami.io). GPUs meet all that it does not begin with: parts of GPUs are GPUs here.
_OTHER_DRIVER: Final = re.compile(r"""\s*device\.driver\s*==\s*(['"])(?:(?!gpu)[\w./-])+\1\s*(?:&&[^|?]*)?""")


@dataclass(frozen=True, kw_only=True)
class GpuNode:
    """A node with GPUs that the catalogue knows. resources: what it offers of NVIDIA's, by name."""

    name: str
    kind: InstanceType
    bought: CapacityType
    reserved: bool
    block: bool
    pool: str
    resources: Mapping[str, int]

    @property
    def shared(self) -> bool:
        """Whether it offers more, or other, than its GPUs."""
        return bool(self.resources) and self.resources != {GPU_RESOURCE: self.kind.gpu_count}


@dataclass(frozen=True, kw_only=True)
class Work:
    """Pods that are alike: of one owner, on one node, or waiting.

    asks: of one pod, by resource. mib: GPU memory that a pod says it needs, None where it does not. count: pods.
    template: of the first of them.
    """

    name: str
    namespace: str
    state: State
    asks: Mapping[str, int]
    node: str = ""
    mib: int | None = None
    count: int = 1
    claims: bool = False
    """Whether its devices are claimed (DRA) instead of asked for."""
    template: PodTemplate

    @property
    def gpus(self) -> int:
        """Whole GPUs that one pod asks for."""
        return self.asks.get(GPU_RESOURCE, 0)


def gpu_nodes(objects: Objects) -> tuple[list[GpuNode], dict[str, str]]:
    """Nodes with GPUs; and types of nodes with GPUs that are not in the catalogue, by the node's name."""
    found: list[GpuNode] = []
    strange: dict[str, str] = {}
    for node in objects.of("Node"):
        labels = labels_of(node)
        kind = INSTANCE_TYPES.get(labels.get(INSTANCE_TYPE_LABEL, ""))
        offered = _nvidia(at(node, "status").get("allocatable"))
        if kind is not None:
            found.append(_gpu_node(node, kind, labels, offered))
        elif offered:
            strange[name_of(node)] = labels.get(INSTANCE_TYPE_LABEL) or name_of(node)
    return found, strange


def _gpu_node(node: Object, kind: InstanceType, labels: Mapping[str, str], offered: Mapping[str, int]) -> GpuNode:
    said = labels.get(CAPACITY_TYPE_LABEL) or labels.get(EKS_CAPACITY_TYPE_LABEL, "")
    return GpuNode(
        name=name_of(node),
        kind=kind,
        bought="spot" if said.lower() == "spot" else "on-demand",
        reserved=said in ("reserved", "CAPACITY_BLOCK"),
        block=said == "CAPACITY_BLOCK" or labels.get(RESERVATION_TYPE_LABEL) == CAPACITY_BLOCK,
        pool=pool_label(labels),
        resources=offered,
    )


def _nvidia(given: Any) -> dict[str, int]:
    found = {key: whole(text) for key, text in words(given).items() if key.startswith(NVIDIA_PREFIX)}
    return {key: number for key, number in found.items() if number}


def work_of(objects: Objects) -> list[Work]:
    """Pods that hold or want GPUs. Where an export has no pods, what its Deployments and their likes would run."""
    others = _claims_of_others(objects)
    pods = [work for pod in objects.of("Pod") if (work := _of_pod(pod, others))]
    if objects.counts["Pod"]:
        return _together(pods)
    declared = [
        work for each in objects.found if each.get("kind") != "DaemonSet" for work in _of_template(each, others)
    ]
    return _together(declared)


def _claims_of_others(objects: Objects) -> set[_Claim]:
    """Claims and templates of claims for devices that are no GPUs: all their classes were shown, and select others."""
    shown = {name_of(each) for each in objects.of("DeviceClass") if _selects_others(each)}
    found: set[_Claim] = set()
    for kind in _CLAIMS.values():
        for each in objects.of(kind):
            with suppress(UnknownValueError):
                classes = {request.device_class for request in requests(as_resource(each))}
                if classes and classes <= shown:
                    found.add((kind, str(at(each, "metadata").get("namespace") or "default"), name_of(each)))
    return found


def _selects_others(device_class: Object) -> bool:
    """Whether no GPU meets a class, nor a part of one: devices meet all of its selectors."""
    expressions = (at(each, "cel").get("expression") for each in listed(at(device_class, "spec").get("selectors")))
    return any(_OTHER_DRIVER.fullmatch(str(each)) for each in expressions)


def _of_pod(pod: Object, others: Collection[_Claim]) -> Work | None:
    phase, node = at(pod, "status").get("phase"), at(pod, "spec").get("nodeName")
    if phase in ("Succeeded", "Failed"):
        return None
    template = next(iter(_templates(pod)), None)
    owner = next(iter(listed(at(pod, "metadata").get("ownerReferences"))), {})
    if template is None or owner.get("kind") == "DaemonSet":
        return None
    name = str(owner.get("name") or name_of(pod))
    if owner.get("kind") == "ReplicaSet":
        name = re.sub(r"-[a-z0-9]{1,10}$", "", name)
    # A manifest that nobody has applied has no status.
    state: State = "declared" if phase is None and not node else "runs" if isinstance(node, str) and node else "waits"
    return _work(template, name, state, str(node or ""), 1, others)


def _of_template(manifest: Object, others: Collection[_Claim]) -> list[Work]:
    found = []
    for template in _templates(manifest):
        replicas = whole(at(manifest, "spec").get("replicas", at(manifest, "spec").get("parallelism", 1)))
        if work := _work(template, name_of(manifest), "declared", "", 1 if replicas is None else replicas, others):
            found.append(work)
    return [work for work in found if work.count]


def _templates(manifest: Object) -> list[PodTemplate]:
    try:
        return list(pod_templates(as_resource(manifest)))
    except UnknownValueError:  # a template of somebody's, whose pods are filled in elsewhere
        return []


def _claims(template: PodTemplate, others: Collection[_Claim]) -> bool:
    """Whether a pod has claims that may be of GPUs."""
    return any(
        not any((kind, template.namespace, str(claim.get(key))) in others for key, kind in _CLAIMS.items())
        for claim in listed(template.spec.get("resourceClaims"))
    )


def _work(
    template: PodTemplate, name: str, state: State, node: str, count: int, others: Collection[_Claim]
) -> Work | None:
    asks: dict[str, int] = {}
    try:
        for container in template.gpu_containers():
            asks[container.resource] = asks.get(container.resource, 0) + int(quantity(container.quantity) or 0)
        # Those that run before the others ask one after the other, and the pod has as many all its time.
        for container in template.initial_gpu_containers():
            asks[container.resource] = max(asks.get(container.resource, 0), int(quantity(container.quantity) or 0))
    except UnknownValueError:
        return None
    claims = _claims(template, others)
    if not asks and not claims:
        return None
    said = {**words(template.labels), **words(template.metadata.get("annotations"))}.get(MEMORY_ANNOTATION)
    return Work(
        name=name,
        namespace=template.namespace,
        state=state,
        asks=asks,
        node=node,
        mib=whole(said),
        count=count,
        claims=claims and not asks,
        template=template,
    )


#: What tells pods apart.
_SAME: Final = ("namespace", "name", "state", "node", "mib", "claims")


def _together(work: Iterable[Work]) -> list[Work]:
    found: dict[tuple[Any, ...], list[Work]] = {}
    for each in work:
        key = (*(getattr(each, name) for name in _SAME), *sorted(each.asks.items()))
        found.setdefault(key, []).append(each)
    return [_counted(same) for same in found.values()]


def _counted(same: list[Work]) -> Work:
    first = same[0]
    return Work(**{**vars(first), "count": sum(each.count for each in same)})
