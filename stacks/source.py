"""Finds the line of a stack file on which a problem stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath

import yaml

from stacks.errors import PROJECT, Path, Problem

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def locate(stack_file: FilePath, problems: Iterable[Problem]) -> Iterator[Problem]:
    """The same problems with `file:line` filled in, as far as the file holds their keys."""
    try:
        document = yaml.compose(stack_file.read_text(encoding="utf-8"), Loader=_LOADER)
    except (OSError, yaml.YAMLError):
        document = None
    for problem in problems:
        line = _line(document, problem.path) if document else None
        yield replace(problem, where=f"{stack_file.name}:{line}") if line else problem


def _line(document: yaml.Node, path: Path) -> int | None:
    """Line of the deepest part of the path that stands in the file; None when even its key is missing."""
    config = _child(document, "config")
    if config is None:
        return None
    head, *rest = path
    found = _child(config[1], str(head) if ":" in str(head) else f"{PROJECT}:{head}")
    if found is None:
        return None
    for part in rest:
        deeper = _child(found[1], part)
        if deeper is None:
            break
        found = deeper
    return int(found[0].start_mark.line) + 1


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Node that marks the place (the key, or the entry itself) and the value node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
