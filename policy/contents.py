"""A resource as rules see it: in the form that they know, with everything that it carries (`policy.inventory`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pulumi_policy.proxy import unknown_checking_proxy

from policy.inventory import Blind, Item, as_wire, carries, unfold
from policy.placeholders import without_placeholders
from policy.reading import Unknown, get, text
from policy.registered import Resource, shared

UNSEEN_PART: Final = "gpu-slices:policy:Unseen"
"""Type of what stands for a part that cannot be seen; its one property is `why`."""

_MARK: Final = "\n"


def contents(resource: Resource) -> Sequence[Resource]:
    """What rules judge of a resource. What it carries has a URN of its own: take it apart with `origin`."""
    if not carries(resource.type):
        known = shared("known", resource.props, lambda: _known(resource))
        return [resource if known is resource.props else replace(resource, props=known)]
    try:
        unfolded = shared("contents", resource.props, lambda: list(_unfolded(resource)))
    except RecursionError:
        return [resource, replace(resource, type=UNSEEN_PART, props={"why": "is nested too deep"})]
    return [_made(resource, item, props) for item, props in unfolded]


def _known(resource: Resource) -> Mapping[str, Any]:
    """Its properties, in which values that another tool fills in are not known."""
    whole = resource.plain
    found = without_placeholders(whole)
    props: Mapping[str, Any] = resource.props if found is whole else unknown_checking_proxy(as_wire(found))
    return props


def _unfolded(resource: Resource) -> Iterator[tuple[Item, Mapping[str, Any]]]:
    """Items with their properties as rules read them."""
    whole = resource.plain
    for found in unfold(resource.type, whole):
        item = Item(UNSEEN_PART, {"why": found.why}, found.place) if isinstance(found, Blind) else found
        yield item, resource.props if item.props is whole else unknown_checking_proxy(as_wire(item.props))


def _made(carrier: Resource, item: Item, props: Mapping[str, Any]) -> Resource:
    return replace(
        carrier,
        type=item.type,
        name=item.name or carrier.name,
        urn=f"{carrier.urn}{_MARK}{item.place}" if item.place else carrier.urn,
        props=props,
        dependencies=(*carrier.dependencies, *(f"{carrier.urn}{_MARK}{place}" for place in item.needs)),
    )


def origin(urn: str | None) -> tuple[str | None, str]:
    """The URN of the resource that the program registered, and the place inside it."""
    carrier, _, place = (urn or "").partition(_MARK)
    return carrier or None, place


def placed(message: str, place: str) -> str:
    """A message with the place inside the resource that it is about."""
    return f"{place}: {message}" if place else message


def of_stack(resources: Iterable[Resource]) -> list[Resource]:
    """The contents of all resources; an object that is registered too, as by a ConfigGroup, counts once."""
    found = [(inside, not origin(inside.urn)[1]) for resource in resources for inside in contents(resource)]
    registered = {identity for inside, itself in found if itself and (identity := _identity(inside))}
    return [inside for inside, itself in found if itself or _identity(inside) not in registered]


def _identity(resource: Resource) -> tuple[str, str, str] | None:
    """What tells an object of Kubernetes from all others of a cluster; None where it is not known."""
    if not resource.type.startswith("kubernetes:"):
        return None
    metadata = resource.plain.get("metadata")
    name, namespace = get(metadata, "name"), get(metadata, "namespace")
    if isinstance(name, Unknown) or isinstance(namespace, Unknown) or not text(name):
        return None
    return resource.type, text(namespace), text(name)
