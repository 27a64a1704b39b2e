"""Finds the line of a stack file on which a problem stands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath

import yaml

from config.errors import MISSING, PROJECT, Path, Problem
from gpu.files import read_text

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def locate(stack_file: FilePath, problems: Iterable[Problem]) -> Sequence[Problem]:
    """The same problems with `file:line` filled in, in the order of the file.

    What is missing stands on the line of the section that lacks it; the value of a key that is not in the file, such as
    a default, in no line. Without a readable file nothing is filled in.
    """
    try:
        text = read_text(stack_file, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        text = ""
    return locate_in(text, stack_file.name, problems)


def locate_in(text: str, name: str, problems: Iterable[Problem]) -> Sequence[Problem]:
    """The same for the text of a stack file of that name."""
    try:
        document = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError):
        document = None
    located = []
    for problem in problems:
        line = _line(document, problem.path) if document else None
        place = f"{name}:{line}" if line else None
        if document and line and problem.value is not MISSING and _form(document, problem.path[0]) is None:
            place = f"not in {name}"
        located.append((line or sys.maxsize, replace(problem, where=place)))
    return [problem for _, problem in sorted(located, key=lambda pair: pair[0])]


def _line(document: yaml.Node, path: Path) -> int | None:
    """Line of the deepest part of the path that stands in the file; None in a file without `config:`."""
    found = _child(document, "config")
    if found is None:
        return None
    head, *rest = path
    for part in (_form(document, head), *rest):
        deeper = None if part is None else _child(found[1], part)
        if deeper is None:
            break
        found = deeper
    return int(found[0].start_mark.line) + 1


def _form(document: yaml.Node, head: str | int) -> str | int | None:
    """How the file writes a key of a stack; None where it has none.

    The CLI also takes the older `gpu-slices:config:cluster`, and `cluster` alone.
    """
    found = _child(document, "config")
    forms = [head] if ":" in str(head) else [f"{PROJECT}:{head}", f"{PROJECT}:config:{head}", head]
    return next((form for form in forms if found and _child(found[1], form)), None)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Node that marks the place (the key, or the entry itself) and the value node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
