"""What IAM decides of identity policies, as far as ours go: a deny that matches wins, then an allow must match.

Left: `@cloud-copilot/iam-simulate` is under the AGPL; moto's `IAMPolicyStatement` denies where a deny's conditions do
not match; `pbac` reads one condition of each operator. What is not known here raises, so that nothing is decided by
chance. Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

Context = Mapping[str, str]

_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, pattern: fnmatchcase(value, _literal(pattern)),
    "ArnEquals": lambda value, pattern: fnmatchcase(value, _literal(pattern)),
    "ArnLike": lambda value, pattern: fnmatchcase(value, _literal(pattern)),
}


def decide(
    policies: Iterable[Mapping[str, Any]], action: str, resource: str, context: Context
) -> Literal["allowed", "denied", "not allowed"]:
    """The decision on one action on one resource. Raises ValueError for an element or operator that is not known."""
    matching = [
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _matches(statement, action, resource, context)
    ]
    if "Deny" in matching:
        return "denied"
    return "allowed" if "Allow" in matching else "not allowed"


def _matches(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"not known here: {unknown}")
    return (
        any(fnmatchcase(action.lower(), _literal(each).lower()) for each in _listed(statement["Action"]))
        and any(fnmatchcase(resource, _literal(each)) for each in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, _listed(wanted), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    """A key that the request does not have fulfils none of the operators without `IfExists`."""
    if operator == "ForAllValues:StringEquals":
        return key not in context or context[key] in wanted
    if operator not in _OPERATORS:
        raise ValueError(f"not known here: {operator}")
    return key in context and any(_OPERATORS[operator](context[key], each) for each in wanted)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _literal(pattern: str) -> str:
    """IAM's patterns have `*` and `?`, and no classes."""
    return pattern.replace("[", "[[]")
