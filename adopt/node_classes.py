"""Karpenter's node classes: what nodes need to join, as far as a stack file can say it.

Selector terms are alternatives: what any of them finds counts (karpenter-provider-aws v1.15.0,
pkg/apis/v1/ec2nodeclass.go). A stack file has the tags of one term, or ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adopt.objects import Object, Objects, at, has_unknown, listed, name_of, words
from gpu.contract import DISCOVERY_TAG
from policy.reading import Unknown


@dataclass(frozen=True, kw_only=True)
class Selected:
    """Subnets or security groups of a class: by the tags of a term, or by ids; both empty where neither does.

    terms: how many there are. found: whether the ids are those that Karpenter found by the terms, by the class' own
    status. left: terms that neither tags nor ids say, in words.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    terms: int = 0
    found: bool = False
    left: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it says something."""
        return bool(self.tags or self.ids)


@dataclass(frozen=True, kw_only=True)
class NodeClass:
    """An EC2NodeClass: what nodes need to join. clusters: names of clusters in the tag of Karpenter's own guide."""

    name: str
    role: str = ""
    profile: str = ""
    subnets: Selected = Selected()
    groups: Selected = Selected()
    clusters: frozenset[str] = frozenset()
    filled_in: bool = False
    """Whether parts of it are filled in elsewhere: a template, not a class."""
    own: tuple[str, ...] = ()
    """Fields of it, as it calls them, by which its nodes differ from those of Karpenter's defaults."""


def node_classes_of(objects: Objects) -> list[NodeClass]:
    """Node classes of Karpenter, in the order of their names."""
    return sorted((_node_class(each) for each in objects.of("EC2NodeClass")), key=lambda found: found.name)


def discovered(classes: list[NodeClass]) -> str:
    """Name of the cluster by the tag of Karpenter's own guide; empty where classes have none, or several."""
    names = frozenset[str]().union(*(found.clusters for found in classes))
    return next(iter(names)) if len(names) == 1 else ""


def _node_class(manifest: Object) -> NodeClass:
    spec, status = at(manifest, "spec"), at(manifest, "status")
    subnets, groups = spec.get("subnetSelectorTerms"), spec.get("securityGroupSelectorTerms")
    return NodeClass(
        name=name_of(manifest),
        role=_text(spec.get("role")),
        profile=_text(spec.get("instanceProfile")),
        subnets=_selected(subnets, status.get("subnets")),
        groups=_selected(groups, status.get("securityGroups")),
        clusters=frozenset(_tags(term).get(DISCOVERY_TAG, "") for term in (*_terms(subnets), *_terms(groups))) - {""},
        filled_in=has_unknown(spec),
        own=tuple(field for field in _OWN if spec.get(field)) + _images(spec),
    )


# --- Selector terms ---------------------------------------------------------------------------------------------------


def _selected(given: Any, status: Any) -> Selected:
    """What a stack file can say of selector terms. status: what Karpenter found by all of them, where it has run."""
    terms = _terms(given)
    by_id = [_id(term) for term in terms]
    if len(terms) == 1 and (tags := _tags(terms[0])):
        return Selected(tags=tags, terms=1)
    if terms and all(by_id):
        return Selected(ids=tuple(dict.fromkeys(by_id)), terms=len(terms))
    if terms and (seen := tuple(filter(None, map(_id, listed(status))))):
        return Selected(ids=seen, terms=len(terms), found=True)
    taken = next((term for term in terms if _tags(term)), None)
    if taken and sum(map(bool, by_id)) < 2:  # else ids say more
        left = tuple(_words(term) for term in terms if term != taken)
        return Selected(tags=_tags(taken), terms=len(terms), left=left)
    left = tuple(_words(term) for term, known in zip(terms, by_id, strict=True) if not known)
    return Selected(ids=tuple(dict.fromkeys(filter(None, by_id))), terms=len(terms), left=left)


def _terms(given: Any) -> list[Mapping[str, Any]]:
    """Terms that select something; what is filled in elsewhere is one that nobody knows."""
    elements = given if isinstance(given, list) else []
    return [each if isinstance(each, Mapping) else {} for each in elements if each or isinstance(each, Unknown)]


def _id(term: Mapping[str, Any]) -> str:
    found = term.get("id")
    return found if isinstance(found, str) else ""


def _tags(term: Mapping[str, Any]) -> dict[str, str]:
    """Its tags, `*` for any value as a stack file has it; none where a part of them is filled in elsewhere."""
    found = words(term.get("tags"))
    return found if len(found) == len(at(term, "tags")) and all(found.values()) else {}


def _words(term: Mapping[str, Any]) -> str:
    """A term as a report names it."""
    if not term or has_unknown(term):
        return "one that is filled in elsewhere"
    return ", ".join(_pairs(term)) or "one that nobody can read"


def _pairs(term: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} {term[key]}" for key in ("id", "name") if isinstance(term.get(key), str))
    yield from (f"{key}={value}" for key, value in words(term.get("tags")).items())


# --- The rest ---------------------------------------------------------------------------------------------------------

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
