"""The resources of a plan as a tree of components; many siblings of one type take one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.text import Text
from rich.tree import Tree

from cli.console import kind
from plan.monitor import Resource
from plan.record import Recording

FOLD_FROM = 4
"""Siblings of one type are counted instead of listed from this number on."""


def resource_tree(recording: Recording, *, show_all: bool = False) -> Tree:
    """All resources below the stack. show_all: list every resource by name."""
    children: dict[str, list[Resource]] = {}
    for resource in recording.resources:
        children.setdefault(resource.parent, []).append(resource)
    finished = _finished(recording.resources)
    for siblings in children.values():
        siblings.sort(key=lambda resource: finished[resource.urn])
    known = recording.by_urn
    roots = [resource for parent, below in children.items() if parent not in known for resource in below]
    tree = Tree(Text(f"{recording.project}-{recording.stack}", style="bold"), guide_style="dim")
    _grow(tree, roots, children, fold_from=len(recording.resources) + 1 if show_all else FOLD_FROM)
    return tree


def _finished(resources: Sequence[Resource]) -> dict[str, int]:
    """When each resource and all below it are there: what is built on something stands below it in the tree."""
    parents = {resource.urn: resource.parent for resource in resources}
    finished: dict[str, int] = {}
    for position, resource in enumerate(resources):
        urn = resource.urn
        while urn in parents:
            finished[urn] = position
            urn = parents[urn]
    return finished


def count_by_package(resources: Sequence[Resource]) -> Mapping[str, int]:
    """How many resources of which kind, most first; components are told apart from what they consist of."""
    counts = Counter(_package(resource) for resource in resources)
    return dict(counts.most_common())


def _package(resource: Resource) -> str:
    if resource.type.startswith("pulumi:providers:"):
        return "providers"
    if not resource.custom and not resource.remote:
        return "components"
    return "Helm releases" if resource.type.startswith("kubernetes:helm.sh/") else resource.type.partition(":")[0]


def _grow(
    branch: Tree, siblings: Sequence[Resource], children: Mapping[str, Sequence[Resource]], fold_from: int
) -> None:
    groups: dict[str, list[Resource]] = {}
    for resource in siblings:
        groups.setdefault(resource.type, []).append(resource)
    for group in groups.values():
        if len(group) >= fold_from:
            branch.add(_folded(group, children))
            continue
        for resource in group:
            below = children.get(resource.urn, ())
            _grow(branch.add(_line(resource)), below, children, fold_from)


def _line(resource: Resource) -> Text:
    text = Text.assemble((kind(resource.type), "" if resource.custom else "bold"), " ", (resource.name, "cyan"))
    chart = resource.inputs.get("chart") if resource.type.startswith("kubernetes:helm.sh/") else None
    if chart:
        text.append(f"  {str(chart).rpartition('/')[2]} {resource.inputs.get('version', '')}".rstrip(), style="dim")
    if resource.remote:
        text.append("  its parts show in `pulumi preview`", style="dim")
    return text


def _folded(group: Sequence[Resource], children: Mapping[str, Sequence[Resource]]) -> Text:
    first, last = group[0], group[-1]
    text = Text.assemble(
        (kind(first.type), "" if first.custom else "bold"),
        (f" ×{len(group)} ", "bold"),
        (first.name, "cyan"),
        " … ",
        (last.name, "cyan"),
    )
    below = sum(_descendants(resource.urn, children) for resource in group)
    if below:
        text.append(f"  with {below} resources", style="dim")
    return text


def _descendants(urn: str, children: Mapping[str, Sequence[Resource]]) -> int:
    return sum(1 + _descendants(child.urn, children) for child in children.get(urn, ()))
