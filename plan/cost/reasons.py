"""Why a bill changed: keys of the stack file, versions and files of the program that differ between two revisions."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import PROJECT


@dataclass(frozen=True, slots=True)
class Reason:
    """What differs; before and after are None where there was or is nothing."""

    what: str
    before: str | None = None
    after: str | None = None


# --- Stack files ------------------------------------------------------------------------------------------------------


def of_configuration(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Reason]:
    """Keys that differ, as deep as both have them. Values are text, objects and lists JSON, as Pulumi hands them over.

    Entries of a list are told by their `name` (`pools[shared].capacityType`), so that one more moves no other.
    """
    for key in dict.fromkeys([*before, *after]):
        name = key.removeprefix(f"{PROJECT}:")
        yield from _differences(name, _read(before.get(key)), _read(after.get(key)))


class _Nothing:
    """Where there is no value."""


_NOTHING = _Nothing()


def _read(text: str | None) -> Any:
    if text is None:
        return _NOTHING
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _differences(path: str, before: Any, after: Any) -> Iterator[Reason]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(f"{path}.{key}", before.get(key, _NOTHING), after.get(key, _NOTHING))
        return
    first, second = _named(before), _named(after)
    if first is not None and second is not None and (first or second):
        for name in dict.fromkeys([*first, *second]):
            yield from _differences(f"{path}[{name}]", first.get(name, _NOTHING), second.get(name, _NOTHING))
        if list(first) != list(second) and first == second:
            yield Reason(path, ", ".join(first), ", ".join(second))
        return
    yield Reason(path, _written(before), _written(after))


def _named(value: Any) -> dict[str, Any] | None:
    """Entries by name; None where it is no list of named entries."""
    if value is _NOTHING:
        return {}
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "name" in entry for entry in value):
        return None
    found = {str(entry["name"]): entry for entry in value}
    return found if len(found) == len(value) else None


def _written(value: Any) -> str | None:
    if value is _NOTHING:
        return None
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(str(_written(each)) for each in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


# --- The program ------------------------------------------------------------------------------------------------------


def of_versions(before: str, after: str) -> Iterator[Reason]:
    """Constants of two texts of `versions.py` that differ, such as `KARPENTER_VERSION` or `AL2023_KUBELETS['1.36']`.

    A text that is no Python has none.
    """
    first, second = _constants(before), _constants(after)
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            yield Reason(name, first.get(name), second.get(name))


def _constants(text: str) -> dict[str, str]:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, str] = {}
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            found |= _values(statement.target.id, statement.value)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found |= _values(statement.targets[0].id, statement.value)
    return found


def _values(name: str, value: ast.expr) -> dict[str, str]:
    """A constant's parts by what leads to them."""
    found: dict[str, str] = {}
    if isinstance(value, ast.Dict):
        for key, each in zip(value.keys, value.values, strict=True):
            if key is not None:  # not one that is taken over: it has a name of its own
                found |= _values(f"{name}[{ast.unparse(key)}]", each)
    elif isinstance(value, ast.Call) and value.keywords:
        for keyword in value.keywords:
            found |= _values(f"{name}.{keyword.arg}", keyword.value)
    elif isinstance(value, ast.Call) and len(value.args) == 1 and isinstance(value.args[0], ast.Dict):
        found |= _values(name, value.args[0])
    else:
        found[name] = value.value if _is_text(value) else ast.unparse(value)  # type: ignore[attr-defined]
    return found


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
