"""Turns pydantic's errors into problems that say what to write instead."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gpu import sharing
from stacks.errors import MISSING, Path, Problem, one_of

#: Why a value is out of range, where a number alone would not tell: (section, field, kind of error).
_REASONS: Mapping[tuple[str, str, str], str] = {
    ("TimeSlicing", "replicas", "greater_than_equal"): (
        "NVIDIA's device plugin refuses fewer; for whole GPUs write strategy: none"
    ),
    ("TimeSlicing", "replicas", "less_than_equal"): "a smaller slot holds no CUDA context",
    ("Mps", "replicas", "greater_than_equal"): (
        "NVIDIA's device plugin refuses fewer; for whole GPUs write strategy: none"
    ),
    ("Mps", "replicas", "less_than_equal"): "one MPS server takes no more clients",
    ("Dialogue", "speakers", "too_short"): "one model cannot talk to itself",
    ("Volume", "sizeGib", "greater_than_equal"): "the image and one model's weights need that much",
}

#: Keys that belong to another strategy than the one that is written, with what to say about it.
_STRATEGY_OF = {"replicas": "time-slicing or mps", "rename": "time-slicing or mps", "profile": "mig"}
_STRATEGY_KEYS = ("time-slicing", "timeSlicing", "mps", "mig", "none")

_TYPES = {
    "int_type": "must be a whole number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "tuple_type": "must be a list",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
    "date_type": "must be a date such as 2027-03-31",
}
_PATTERNS = {
    "name": "must be a DNS label: lower-case letters, digits and hyphens, beginning with a letter, at most 40",
    "admins": "must be the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/Admin",
    "viewers": "must be the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/Reader",
    "image": "must be an image with a tag or digest, such as ghcr.io/acme/app:1.2.3",
    "consolidateAfter": "must be a duration such as 5m or 1h30m",
}


def explain(error: ValidationError, model: type[BaseModel], value: Any, path: Path) -> Iterator[Problem]:
    """One problem for each of pydantic's errors; ``path`` is the key under which ``value`` stands."""
    for detail in error.errors(include_url=False):
        where, section = _resolve(model, detail["loc"])
        if detail["type"] == "missing":
            yield Problem(path + where, MISSING, f"is missing: {_purpose(section, str(where[-1]))}")
        else:
            shown = detail["input"] if where else value
            yield Problem(path + where, shown, _message(detail, section, where, path))


def _message(detail: ErrorDetails, section: type[BaseModel] | None, where: Path, path: Path) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    names = [str(part) for part in where or path if isinstance(part, str)]
    field = names[-1] if names else ""
    if kind == "extra_forbidden":
        return _unknown_key(field, section)
    if kind == "literal_error":
        return _one_of_literals(detail["input"], context["expected"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _strategy(detail["input"], kind)
    if kind.startswith(("greater_than", "less_than", "too_")):
        reason = _REASONS.get((section.__name__ if section else "", field, kind))
        return _bound(kind, context) + (f": {reason}" if reason else "")
    if kind in ("string_pattern_mismatch", "string_too_long"):
        return _PATTERNS.get(field, "is not written as it should be")
    if kind in _TYPES:
        return _TYPES[kind]
    return detail["msg"][0].lower() + detail["msg"][1:]


def _bound(kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be {context['ge']} or more"
        case "less_than_equal":
            return f"must be {context['le']} or less"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "too_short":
            return f"must have {context['min_length']} entries or more"
        case _:
            return f"must have {context['max_length']} entries or fewer"


def _one_of_literals(value: Any, expected: str) -> str:
    return one_of(value, expected.replace(" or ", ", ").replace("'", "").split(", "))


def _strategy(value: Any, kind: str) -> str:
    strategies = ["time-slicing", "mps", "mig", "none"]
    if isinstance(value, dict):
        several = [key for key in value if key in _STRATEGY_KEYS]
        if len(several) > 1:
            return f"names {len(several)} strategies; a pool has one: write strategy: and its keys, or make two pools"
        if kind == "union_tag_not_found":
            return "must have a strategy: " + one_of("", strategies).removeprefix("must be ")
        value = value.get("strategy")
    if isinstance(value, list) or (isinstance(value, str) and any(sep in value for sep in ",+&/ ")):
        return "must be one strategy; a pool has one, and MPS and MIG exclude each other: make two pools"
    return "strategy " + one_of(value, strategies)


def _unknown_key(field: str, section: type[BaseModel] | None) -> str:
    allowed = [str(info.alias) for info in section.model_fields.values()] if section else []
    owner = _STRATEGY_OF.get(field)
    if section and "strategy" in allowed and owner:
        if {section.__name__, owner} == {"Mps", "mig"}:
            return "belongs to strategy mig: NVIDIA's device plugin refuses MPS on MIG devices; make two pools"
        return f"belongs to strategy {owner}; a pool has one strategy: remove it, or make two pools"
    if section and "strategy" in allowed and field in _STRATEGY_KEYS:
        return "names a second strategy; a pool has one: remove it, or make two pools"
    return "is not a key here; " + one_of(field, allowed)


def _purpose(section: type[BaseModel] | None, field: str) -> str:
    examples = {
        "name": "every entry needs a name of its own",
        "sharing": "write how the pool's GPUs are shared, such as sharing: {strategy: time-slicing, replicas: 4}",
        "strategy": "write time-slicing, mps, mig or none",
        "replicas": f"write the number of slots per GPU, {sharing.MIN_REPLICAS} or more",
        "profile": "write a MIG profile, such as 1g.10gb",
        "maxGpus": "write the most physical GPUs that the pool may buy",
        "pool": "write the name of one of the entries of pools",
        "justification": "write why Spot does not do, and the ticket",
        "expires": "write the date until which it holds, such as 2027-03-31",
        "containers": "write at least one container",
        "image": "write an image with a tag or digest",
        "arch": "write amd64 or arm64",
        "speakers": "write the names of the models that talk",
        "monthlyUsd": "write the most that the stack may cost in a month, in USD",
        "emails": "write who is told",
    }
    return examples.get(field, f"the section {section.__name__ if section else ''} needs it")


def _resolve(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[Path, type[BaseModel] | None]:
    """The path in the file that pydantic's ``loc`` means, and the section in which its last key stands.

    ``loc`` also holds the tag of a union, which no key in the file corresponds to.
    """
    path: list[str | int] = []
    annotation: Any = model
    section: type[BaseModel] | None = model
    for part in loc:
        options = _models(annotation)
        tagged = [m for m in options if _tag(m) == part]
        if len(options) > 1 and tagged:
            annotation = section = tagged[0]
            continue
        if len(options) == 1:
            section = options[0]
        path.append(part)
        annotation = _field_type(section, part) if isinstance(part, str) else annotation
    return tuple(path), section


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Sections that an annotation can hold, looking through Optional, Annotated and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (UnionType, typing.Union, typing.Annotated, tuple):
        return [m for argument in typing.get_args(annotation) for m in _models(argument)]
    return []


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("strategy")
    return str(typing.get_args(field.annotation)[0]) if field else None


def _field_type(section: type[BaseModel] | None, alias: str) -> Any:
    for info in section.model_fields.values() if section else ():
        if info.alias == alias:
            return info.annotation
    return None
