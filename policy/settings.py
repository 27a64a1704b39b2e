"""Settings of a rule, held to the schema that the pack declares to the engine.

The engine does the same with gojsonschema (pulumi/pulumi, `pkg/resource/analyzer/config.go`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend

from policy.framework import Rule

_KINDS = Draft202012Validator.TYPE_CHECKER


def _finite(kind: str) -> Any:
    """JSON carries no other number; Python's reader also takes NaN, Infinity and 1e400 for one."""
    return lambda _, value: _KINDS.is_type(value, kind) and abs(value) <= sys.float_info.max


_NUMBERS: TypeChecker = _KINDS.redefine_many({kind: _finite(kind) for kind in ("number", "integer")})
_Validator = extend(Draft202012Validator, type_checker=_NUMBERS)  # type: ignore[no-untyped-call]


def misfits(rule: Rule, settings: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with settings of a rule: the key, what it must be, what it is."""
    schema = {"type": "object", "properties": rule.schema}
    for error in _Validator(schema).iter_errors(settings):
        yield f"{'.'.join(map(str, error.absolute_path))}: {_said(error)}"


def _said(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "type":
            return f"must be of type {wanted}, is {error.instance!r}"
        case "enum":
            return f"must be one of {', '.join(map(str, wanted))}, is {error.instance!r}"
        case "minimum" | "maximum":
            least, most = schema.get("minimum", "any number"), schema.get("maximum", "any number")
            return f"must be {least} to {most}, is {error.instance!r}"
        case _:
            return error.message
