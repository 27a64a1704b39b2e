"""Values of a `helm_release` of Terraform's: YAML texts, of which later ones win, and single settings over them.

As Helm reads them: helm 3, `pkg/strvals` for names such as `nodeSelector.kubernetes\\.io/arch` and `args[0]`,
`pkg/chartutil` for what wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from gpu.sharing.yaml_text import NoYamlError, placed_documents
from policy.analyzer import UNKNOWN
from policy.sources.program import objects

_STEP: Final = re.compile(r"((?:[^.\[\\]|\\.)+)|\[(\d{1,4})\]|\.")


def release_values(values: Mapping[str, Any]) -> Any:
    """The values that a release gets; UNKNOWN where one of its texts is not known, or no YAML."""
    merged: dict[str, Any] = {}
    for given in _listed(values.get("values")):
        found = _document(given)
        if found is UNKNOWN:
            return UNKNOWN
        merged = _over(merged, found)
    for setting in objects(values.get("set")):
        _set(merged, setting.get("name"), _typed(setting.get("value"), setting.get("type")))
    for setting in objects(values.get("set_list")):
        _set(merged, setting.get("name"), setting.get("value"))
    for setting in objects(values.get("set_sensitive")):
        _set(merged, setting.get("name"), UNKNOWN)
    return merged


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _document(given: Any) -> Any:
    if given == UNKNOWN or not isinstance(given, str):
        return UNKNOWN
    try:
        found = [document.value for document in placed_documents(given)]
    except NoYamlError:
        return UNKNOWN
    first = found[0] if found else {}
    return first if isinstance(first, dict) else {} if first is None else UNKNOWN


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others over them: maps are joined, null takes away, all else is replaced."""
    joined = dict(below)
    for key, value in above.items():
        held = joined.get(key)
        if value is None:
            joined.pop(key, None)
        else:
            joined[key] = _over(held if isinstance(held, dict) else {}, value) if isinstance(value, dict) else value
    return joined


def _typed(value: Any, type_: Any) -> Any:
    """A setting's value: without `type = "string"` Helm reads numbers, booleans and null in it."""
    if not isinstance(value, str) or type_ in ("string", "literal") or value == UNKNOWN:
        return value
    words = {"true": True, "false": False, "null": None}
    return words[value] if value in words else int(value) if re.fullmatch(r"0|-?[1-9]\d{0,17}", value) else value


def _set(values: dict[str, Any], name: Any, value: Any) -> None:
    """Put a value where its name says. A list that is too short grows; a name that Helm refuses sets nothing."""
    steps = _steps(name)
    if not steps:
        return
    holder: Any = values
    for step, following in pairwise(steps):
        fresh: Any = [] if isinstance(following, int) else {}
        held = _get(holder, step)
        if not isinstance(held, type(fresh)):
            held = fresh
            _put(holder, step, held)
        holder = held
    _put(holder, steps[-1], value)


def _steps(name: Any) -> list[str | int]:
    if not isinstance(name, str) or not isinstance(name[:1], str) or name[:1] in ("", "[", "."):
        return []
    found = list(_STEP.finditer(name))
    if "".join(step[0] for step in found) != name:
        return []
    return [int(step[2]) if step[2] else re.sub(r"\\(.)", r"\1", step[1]) for step in found if step[0] != "."]


def _get(holder: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return holder[step] if step < len(holder) else None
    return holder.get(step)


def _put(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(step, int):
        holder.extend([None] * (step + 1 - len(holder)))
    holder[step] = value
