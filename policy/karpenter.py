"""Reading Karpenter NodePools: which instances could one launch, and at which capacity type?

Requirements are evaluated as Karpenter does (sigs.k8s.io/karpenter v1.15.0, pkg/scheduling/requirement.go): all of
them, and the labels of the template, restrict; a label that an instance type lacks satisfies only NotIn and
DoesNotExist. What is unknown in preview, or not understood, restricts nothing, so that a pool is never taken for
safer than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from gpu.contract import (
    ARCH_LABEL,
    CAPACITY_TYPE_LABEL,
    INSTANCE_TYPE_LABEL,
    NODE_POOL_LABEL,
    OS_LABEL,
    RESERVATION_TYPE_LABEL,
)
from policy.instances import Candidate, Label, candidates, named
from policy.reading import Unknown, each, get, strings, text, whole

CAPACITY_TYPES: Final = frozenset({"spot", "on-demand", "reserved"})
CAPACITY_BLOCK: Final = "capacity-block"

#: All values that a node can have of these labels (karpenter v1.15.0, pkg/apis/v1/labels.go
#: WellKnownValuesForRequirements; karpenter-provider-aws, pkg/apis/v1/labels.go AWSToKubeArchitectures and
#: pkg/providers/instancetype/types.go getOS; pkg/apis/v1/ec2nodeclass_status.go CapacityReservationType).
KNOWN_VALUES: Final[Mapping[str, frozenset[str]]] = {
    CAPACITY_TYPE_LABEL: CAPACITY_TYPES,
    ARCH_LABEL: frozenset({"amd64", "arm64"}),
    OS_LABEL: frozenset({"linux", "windows"}),
    RESERVATION_TYPE_LABEL: frozenset({"default", CAPACITY_BLOCK}),
}

NODE_POOL_TYPES: Final = ("kubernetes:karpenter.sh/*:NodePool", "kubernetes:karpenter.sh/*:Provisioner")

NODE_POOL_PATCHES: Final = tuple(f"{pattern}Patch" for pattern in NODE_POOL_TYPES)
"""What changes a pool: it says a part, so what is missing says nothing."""

DOMAIN: Final = "karpenter.k8s.aws"
AUTO_MODE_DOMAIN: Final = "eks.amazonaws.com"
#: Older names that Karpenter translates (pkg/apis/v1/labels.go NormalizedLabels).
_NORMALIZED: Final = {
    "beta.kubernetes.io/instance-type": INSTANCE_TYPE_LABEL,
    "beta.kubernetes.io/arch": ARCH_LABEL,
    "beta.kubernetes.io/os": OS_LABEL,
}


@dataclass(frozen=True)
class Requirement:
    """One node selector requirement. `values` is None where they, or the operator, are not known in preview."""

    key: str
    operator: str
    values: tuple[str, ...] | None

    def admits(self, candidate: Candidate) -> bool:
        """Whether the candidate's labels satisfy it; keys that say nothing of the type always do."""
        if self.values is None:
            return True
        if self.operator in {"Lt", "Lte"} and not _below(self, candidate):
            return False
        if self.key not in candidate.labels:
            return True
        return admits(self.operator, self.values, candidate.labels[self.key])


def _below(item: Requirement, candidate: Candidate) -> bool:
    """Whether the candidate can be as small as it must."""
    least, bound = candidate.at_least.get(item.key), whole(item.values[0]) if item.values else None
    if least is None or bound is None:
        return True
    return least < bound if item.operator == "Lt" else least <= bound


def admits(operator: str, values: tuple[str, ...], label: Label) -> bool:
    """Whether one of a label's possible values meets an operator. label: empty where none is known, None: no label."""
    if label is None:
        return operator in {"NotIn", "DoesNotExist"} or operator not in _OPERATORS
    if operator == "DoesNotExist":
        return False
    if not label or operator not in _OPERATORS:
        return True
    match operator:
        case "In":
            return any(value in values for value in label)
        case "NotIn":
            return any(value not in values for value in label)
        case "Exists":
            return True
        case _:
            return any(_compare(operator, value, values) for value in label)


_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"})


def _compare(operator: str, value: str, bounds: tuple[str, ...]) -> bool:
    left, right = whole(value), whole(bounds[0]) if bounds else None
    if left is None or right is None:
        return True
    return {"Gt": left > right, "Gte": left >= right, "Lt": left < right, "Lte": left <= right}[operator]


def _requirements(given: Any, domain: str) -> Iterator[Requirement]:
    for element in each(given):
        if not isinstance(element, Mapping) or isinstance(element.get("key"), Unknown):
            continue
        operator, values = element.get("operator"), element.get("values")
        unknown = isinstance(operator, Unknown) or isinstance(values, Unknown)
        unknown = unknown or any(isinstance(value, Unknown) for value in each(values))
        yield Requirement(_key(text(element.get("key")), domain), text(operator), None if unknown else strings(values))


def _key(key: str, domain: str) -> str:
    key = _NORMALIZED.get(key, key)
    prefix, _, name = key.partition("/")
    return name if prefix == domain and name.startswith("instance-") else key


def _labels(given: Any, domain: str) -> Iterator[Requirement]:
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield Requirement(_key(str(key), domain), "In", None if isinstance(value, Unknown) else (text(value),))


def requirements_of(given: Any) -> Iterator[Requirement]:
    """A list of expressions on labels (plain data), with keys as they are written."""
    return _requirements(given, "")


#: Domains of labels that instance types have; which values they have is not known for all of them.
_OF_TYPES: Final = ("kubernetes.io", "karpenter.sh", DOMAIN, "topology.k8s.aws")


@dataclass(frozen=True)
class Selection:
    """The requirements of a NodeOverlay, held against instance types as Karpenter does.

    A type has its own labels, the pool's name, and the labels of the pool's template, but not what the pool requires
    (pkg/controllers/nodeoverlay/controller.go getOverlaidOfferings). A label that nothing has satisfies only NotIn and
    DoesNotExist (pkg/scheduling/requirements.go Compatible). What is unknown restricts nothing.
    """

    requirements: tuple[Requirement, ...]

    def matches(self, pool: NodePool, candidate: Candidate) -> bool:
        """Whether the overlay says something of a type in a pool."""
        return all(self._matches(item, pool, candidate) for item in self.requirements)

    def _matches(self, item: Requirement, pool: NodePool, candidate: Candidate) -> bool:
        if item.values is None:
            return True
        if item.key == NODE_POOL_LABEL:
            return admits(item.operator, item.values, (pool.name,))
        if item.key in pool.template_labels:
            value = pool.template_labels[item.key]
            return isinstance(value, Unknown) or admits(item.operator, item.values, (text(value),))
        if item.key in candidate.labels:
            return item.admits(candidate)
        prefix, slash, _ = item.key.partition("/")
        domains = any(prefix == domain or prefix.endswith(f".{domain}") for domain in _OF_TYPES)
        of_types = domains if slash else item.key.startswith("instance-")
        return of_types or admits(item.operator, item.values, None)


def selection(given: Any) -> Selection:
    """What the `spec.requirements` of an overlay (plain data) select."""
    return Selection(tuple(_requirements(given, DOMAIN)))


@lru_cache(maxsize=1024)
def _gpu_types(requirements: tuple[Requirement, ...], also: tuple[str, ...]) -> tuple[Candidate, ...]:
    """`NodePool.gpu_types`; several rules ask the same of each pool."""
    listed = (value for item in requirements if item.operator == "In" for value in item.values or ())
    every = (*candidates(also), *named(dict.fromkeys(listed), also))
    return tuple(candidate for candidate in every if all(item.admits(candidate) for item in requirements))


@dataclass(frozen=True)
class NodePool:
    """A NodePool, NodeClaim or Provisioner, from its manifest as plain data (`Resource.plain`).

    `fallback_name` is the resource's, for pools without a name of their own.
    """

    manifest: Mapping[str, Any]
    fallback_name: str = ""

    @cached_property
    def name(self) -> str:
        """Name in the cluster."""
        given = get(self.manifest, "metadata", "name")
        return given if isinstance(given, str) and given else self.fallback_name

    @cached_property
    def _template(self) -> tuple[Any, Any]:
        """Where requirements and node labels stand: a pool has a template, a claim and a Provisioner have none."""
        spec = get(self.manifest, "spec")
        template = get(spec, "template")
        if isinstance(template, Unknown):
            return template, None
        if template is not None:
            return get(spec, "template", "spec"), get(spec, "template", "metadata", "labels")
        return spec, get(spec, "labels")

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """All requirements and template labels, keys without the AWS domain of this pool's node class."""
        spec, labels = self._template
        return (*_requirements(get(spec, "requirements"), self._domain), *_labels(labels, self._domain))

    @cached_property
    def _domain(self) -> str:
        """Domain of the labels that select instances here.

        Auto Mode has labels of its own; under a Karpenter of one's own they are labels like any other, and the other
        way round: a requirement in the wrong domain restricts nothing. Neither does any while the class is unknown.
        """
        reference = get(self._template[0], "nodeClassRef")
        group = get(reference, "group") or get(reference, "apiVersion")
        if isinstance(reference, Unknown) or isinstance(group, Unknown):
            return ""
        return AUTO_MODE_DOMAIN if text(group).startswith(AUTO_MODE_DOMAIN) else DOMAIN

    @property
    def auto_mode(self) -> bool:
        """Whether it is a pool of EKS Auto Mode, whose device plugin nobody can configure."""
        return self._domain == AUTO_MODE_DOMAIN

    @property
    def given_labels(self) -> Mapping[str, Any]:
        """Labels that its nodes get, as they are given; values may be Unknown."""
        given = self._template[1]
        return given if isinstance(given, Mapping) else {}

    @cached_property
    def template_labels(self) -> Mapping[str, Any]:
        """The same, keys without the AWS domain."""
        return {_key(str(key), self._domain): value for key, value in self.given_labels.items()}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Labels that its nodes get, as far as they are known."""
        return {str(key): text(value) for key, value in self.given_labels.items() if not isinstance(value, Unknown)}

    def label(self, key: str) -> str | None:
        """What its nodes have of a label, as far as that is known: Karpenter writes the pool's name."""
        if key == NODE_POOL_LABEL:
            return text(get(self.manifest, "metadata", "name")) or None
        return self.labels.get(key)

    def lacks(self, _key: str) -> bool:
        """Whether it is known that its nodes have no such label, though others fill in those of its domain."""
        return False

    def values_of(self, key: str) -> tuple[str, ...] | None:
        """Values that its requirements leave a label; empty where any is possible, None where they do not name it."""
        mine = [item for item in self.requirements if item.key == _key(key, self._domain)]
        if not mine:
            return None
        listed = [set(item.values) for item in mine if item.operator == "In" and item.values is not None]
        never = {value for item in mine if item.operator == "NotIn" for value in item.values or ()}
        return tuple(sorted(set.intersection(*listed) - never)) if listed else ()

    @cached_property
    def taints(self) -> list[Mapping[str, Any]]:
        """Taints of its nodes, without the start-up taints."""
        return [taint for taint in each(get(self._template[0], "taints")) if isinstance(taint, Mapping)]

    @cached_property
    def limits(self) -> Mapping[str, Any]:
        """`spec.limits`, flat; `limits.resources` of Karpenter's first API is read as well."""
        given = get(self.manifest, "spec", "limits")
        nested = get(given, "resources")
        found = nested if isinstance(nested, Mapping) else given
        return found if isinstance(found, Mapping) else {}

    @property
    def capacity_unknown(self) -> bool:
        """Whether a requirement on the capacity type is not known in preview, or all requirements are."""
        spec, labels = self._template
        whole = any(isinstance(value, Unknown) for value in (spec, labels, get(spec, "requirements")))
        return whole or any(item.values is None for item in self.requirements if item.key == CAPACITY_TYPE_LABEL)

    @property
    def block(self) -> bool:
        """Whether what it reserves is of capacity blocks alone."""
        found = [item for item in self.requirements if item.key == RESERVATION_TYPE_LABEL]
        return any(item.operator == "In" and item.values == (CAPACITY_BLOCK,) for item in found)

    @property
    def capacity_types(self) -> frozenset[str]:
        """Capacity types that it may launch. Only In and NotIn exclude one."""
        possible = set(CAPACITY_TYPES)
        for item in self.requirements:
            if item.key == CAPACITY_TYPE_LABEL and item.values:
                if item.operator == "In":
                    possible &= set(item.values)
                elif item.operator == "NotIn":
                    possible -= set(item.values)
        return frozenset(possible)

    def gpu_types(self, also: Iterable[str] = ()) -> Iterator[Candidate]:
        """GPU types that it could launch: of the catalogue, named in its requirements, or not known yet."""
        yield from _gpu_types(self.requirements, tuple(also))

    def first_gpu_type(self, also: Iterable[str] = ()) -> str | None:
        """Name of one GPU type that it could launch, or None if it cannot launch any."""
        return next((candidate.name for candidate in self.gpu_types(also)), None)
