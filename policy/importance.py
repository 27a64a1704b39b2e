"""How important the pods of anybody's program are, and whether they may land on Spot.

A pod says it by the label or annotation `gpu-slices/importance`, its own or its owner's; or by its PriorityClass: one
with that label, one of Kubernetes' own for what a cluster cannot do without, or one whose value is below that of pods
without a class. Pods without a class have the one that is `globalDefault`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy.proxy import UnknownValueError

from gpu.contract import (
    CAPACITY_TYPE_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    IMPORTANCE_LABEL,
)
from policy.dra import (
    CLAIM_TYPES,
    DEVICE_CLASS_PATCHES,
    DEVICE_CLASS_TYPES,
    class_resources,
    device_classes,
    requests,
    without_claim,
)
from policy.framework import Resource, Stack, matches
from policy.karpenter import NodePool
from policy.node_groups import GPU_POOL_TYPES, KINDS, SPOT, NodeGroup
from policy.pods import PodTemplate
from policy.reading import Unknown, each, get, strings, text, truthy, whole

PRIORITY_CLASS: Final = "kubernetes:scheduling.k8s.io/*:PriorityClass"
CRITICAL: Final = "critical"
BATCH: Final = "batch"

#: Made by every API server (kubernetes pkg/apis/scheduling/types.go).
_KUBERNETES_OWN: Final = ("system-cluster-critical", "system-node-critical")


@dataclass(frozen=True)
class Importance:
    """What a pod and its class say, or the class alone. unknown: paths of what is not known in preview and could say
    more."""

    words: frozenset[str]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Classes:
    """The PriorityClasses of a stack, by name, and the name of the one that pods without any have.

    nameless: paths of names that are not known in preview; any name that is not there may be one of them.
    defaults: paths of what may make one of them everybody's.
    """

    by_name: Mapping[str, Importance]
    default: str
    nameless: tuple[str, ...]
    defaults: tuple[str, ...]

    def of(self, pod: PodTemplate) -> Importance:
        """How important a pod is by all that is known."""
        marks = list(_marks(pod.metadata, pod.owner.get("metadata")))
        words = {text(mark).strip().lower() for mark in marks if not isinstance(mark, Unknown)}
        unknown = [mark.path for mark in marks if isinstance(mark, Unknown)]
        name = pod.spec.get("priorityClassName")
        if isinstance(name, Unknown):
            return Importance(frozenset(words), (*unknown, name.path))
        if not text(name):
            unknown += self.defaults
        found = text(name) or self.default
        if found in _KUBERNETES_OWN:
            words.add(CRITICAL)
        elif found in self.by_name:
            words |= self.by_name[found].words
            unknown += self.by_name[found].unknown
        elif found:
            unknown += self.nameless
        return Importance(frozenset(words), tuple(unknown))


def classes(stack: Stack) -> Classes:
    """The PriorityClasses among a stack's resources."""
    by_name: dict[str, Importance] = {}
    nameless: list[str] = []
    defaults: list[str] = []
    default = ""
    for resource in stack.of(PRIORITY_CLASS):
        given = resource.plain
        about, everybody = given.get("metadata"), given.get("globalDefault")
        name = about if isinstance(about, Unknown) else get(about, "name")
        if isinstance(name, Unknown):
            nameless.append(name.path)
            defaults += [name.path] if everybody else []
            continue
        by_name[text(name)] = _of_class(given)
        if isinstance(everybody, Unknown):
            defaults.append(everybody.path)
        elif truthy(everybody):
            default = text(name)
    return Classes(by_name, default, tuple(nameless), tuple(defaults))


def _of_class(given: Mapping[str, Any]) -> Importance:
    marks = list(_marks(given.get("metadata")))
    found = {text(mark).strip().lower() for mark in marks if not isinstance(mark, Unknown)}
    number = whole(given.get("value"))
    if number is not None and number < 0:
        found.add(BATCH)
    unknown = [mark.path for mark in (*marks, given.get("value")) if isinstance(mark, Unknown)]
    return Importance(frozenset(found), tuple(unknown))


def _marks(*metadata: Any) -> Iterator[Any]:
    """Values of our label and annotation, and what stands in their place and is not known."""
    for about in metadata:
        if isinstance(about, Unknown):
            yield about
        for kind in ("labels", "annotations") if isinstance(about, Mapping) else ():
            given = about.get(kind)
            if isinstance(given, Unknown):
                yield given
            elif isinstance(given, Mapping) and given.get(IMPORTANCE_LABEL) is not None:
                yield given[IMPORTANCE_LABEL]


def may_be(pool: NodePool, capacity_type: str) -> bool:
    """Whether a pool may launch that kind of capacity; also where that is not known."""
    return pool.capacity_unknown or capacity_type in pool.capacity_types


#: Karpenter's label, and that of EKS' managed node groups with its values (EKS user guide, "Managed node group capacity
#: types").
_CAPACITY: Final = (CAPACITY_TYPE_LABEL, EKS_CAPACITY_TYPE_LABEL)
_EVERY: Final = frozenset({SPOT, "on-demand", "reserved"})


def _kind(value: str) -> str:
    return KINDS.get(value, value)


def kinds_of(pod: PodTemplate, pool: NodePool | None = None) -> frozenset[str]:
    """Kinds of capacity that a pod lets itself be placed on, by node selector and required affinity.

    pool: on whose nodes; None where that is not known. What is unknown keeps it off nothing.
    """
    selector = pod.spec.get("nodeSelector")
    chosen = selector if isinstance(selector, Mapping) else {}
    found = _EVERY
    for key in _CAPACITY:
        value = chosen.get(key)
        if value is not None and not isinstance(value, Unknown):
            found &= {_kind(text(value))}
    return found & _by_affinity(pod.spec, pool)


def _by_affinity(spec: Mapping[str, Any], pool: NodePool | None) -> frozenset[str]:
    """Of terms one is enough; of a term's expressions all must be true."""
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    here: Any = spec
    for key in path:
        here = here.get(key) if isinstance(here, Mapping) else None
        if isinstance(here, Unknown):
            return _EVERY
    terms = [term for term in each(here) if isinstance(term, Mapping)]
    if not terms or any(isinstance(term, Unknown) for term in each(here)):
        return _EVERY
    return frozenset().union(*(_by_term(term, pool) for term in terms))


def _by_term(term: Mapping[str, Any], pool: NodePool | None) -> frozenset[str]:
    found = _EVERY
    for expression in each(term.get("matchExpressions")):
        if not isinstance(expression, Mapping):
            continue
        values, operator = expression.get("values"), expression.get("operator")
        if isinstance(values, Unknown) or isinstance(operator, Unknown):
            continue
        if any(isinstance(value, Unknown) for value in each(values)):
            continue
        key, named = text(expression.get("key")), frozenset(strings(values))
        if key in _CAPACITY:
            found &= _by_capacity(key, text(operator), named, pool)
        elif pool is not None and (label := pool.label(key)) is not None:
            found = found if _meets(label, text(operator), named) else frozenset()
    return found


def _by_capacity(key: str, operator: str, values: frozenset[str], pool: NodePool | None) -> frozenset[str]:
    """Kinds that an expression on capacity leaves. A label that a pool's nodes do not have is in no list of values."""
    other = pool is not None and key != (pool.capacity_label if isinstance(pool, NodeGroup) else CAPACITY_TYPE_LABEL)
    match operator:
        case "In":
            return frozenset(map(_kind, values))
        case "NotIn":
            return _EVERY if other else _EVERY - frozenset(map(_kind, values))
        case _:
            # Exists says nothing; without Karpenter's label a node may be EKS', and the other way round.
            return _EVERY


def _meets(label: str, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "In":
            return label in values
        case "NotIn":
            return label not in values
        case "DoesNotExist":
            return False
        case _:
            return True


def placed(pod: PodTemplate, pools: Sequence[NodePool], capacity_type: str) -> list[str]:
    """Names of the pools on which the pod may land on that kind of capacity."""
    return [
        pool.name
        for pool in pools
        if may_be(pool, capacity_type) and capacity_type in kinds_of(pod, pool) and pod.may_land_on(pool)
    ]


GPU_CLAIM_TYPES: Final = (*CLAIM_TYPES, *DEVICE_CLASS_TYPES, *DEVICE_CLASS_PATCHES)
"""What `gpu_claims` reads of a stack."""


@dataclass(frozen=True)
class GpuClaims:
    """Names by which pods of a stack have NVIDIA's GPUs and none of a device plugin's resources.

    claims: of claims and templates. resources: of classes, for which Kubernetes makes the claim.
    """

    claims: frozenset[str]
    resources: frozenset[str]


def gpu_claims(stack: Stack) -> GpuClaims:
    """The claims, templates and resources of classes of a stack that are NVIDIA's GPUs."""
    known = device_classes(stack)
    found = set()
    for resource in stack.of(*CLAIM_TYPES):
        with suppress(UnknownValueError):  # told by the rules on claims
            if any(request.device_class in known for request in requests(resource)):
                found.add(text(get(resource.plain, "metadata", "name")))
    return GpuClaims(frozenset(found), frozenset(class_resources(stack, known)))


def uses_gpu(pod: PodTemplate, of_stack: GpuClaims) -> bool:
    """Whether a pod asks for a GPU, by a resource, by one of the claims or by the label that stands for one.

    One that asks for it only in a container that runs before the others has it all its time. Raises UnknownValueError
    if its resources as a whole are not known in preview.
    """
    return bool(pod.every_gpu_container()) or claims_gpu(pod, of_stack)


def claims_gpu(pod: PodTemplate, of_stack: GpuClaims) -> bool:
    """Whether a pod has a GPU by one of the claims, by the label that stands for one, or by a resource of a class.

    Raises UnknownValueError as `uses_gpu` does.
    """
    if pod.claims_by_label:
        return True
    named = [claim for claim in each(pod.spec.get("resourceClaims")) if isinstance(claim, Mapping)]
    by_claim = any(text(one.get(key)) in of_stack.claims for one in named for key in _CLAIM_NAMES if one.get(key))
    return by_claim or any(True for _ in without_claim(pod, of_stack.resources))


#: Of an entry of a pod's `resourceClaims` (Kubernetes API, PodResourceClaim).
_CLAIM_NAMES: Final = ("resourceClaimName", "resourceClaimTemplateName")


def with_pods(stack: Stack) -> list[Resource]:
    """The stack's resources but pools, node groups and classes: what may have pods."""
    others = (*GPU_POOL_TYPES, PRIORITY_CLASS)
    return [resource for resource in stack.resources if not matches(others, resource.type)]
