"""Validates sections, and keeps what is right of a section in which something is wrong.

Without that a mistake in one key would hide those that concern other keys of the same entry. In a section that was
kept in part, reading a value that is wrong raises BrokenValueError: a check ends there, and nothing is said twice.
"""

from __future__ import annotations

import typing
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from config.errors import Path, Problem
from config.explain import explain, meant_key, sections_in, tag_of
from config.section import Section
from config.wording import SHARING_KEYS, STRATEGY_KEYS

S = TypeVar("S", bound=Section)


def read(model: type[S], value: Any, path: Path, problems: list[Problem]) -> S | None:
    """The section that ``value`` holds, whole or in part; None where it is no section. Appends what is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems += explain(error, model, value, path)
        return _salvage(model, value)


def _salvage(model: type[S], value: Any) -> S | None:
    if not isinstance(value, dict):
        return None
    known: dict[str, Any] = {}
    aliases = {field.alias for field in model.model_fields.values()}
    meant = {meant_key(key, model) for key in value if isinstance(key, str) and key not in aliases}
    for name, field in model.model_fields.items():
        if field.alias in value:
            known |= _salvage_field(model, name, value[field.alias])
        elif not field.is_required() and field.alias not in meant:
            known[name] = field.get_default(call_default_factory=True)
    written = {name for name, field in model.model_fields.items() if name in known and field.alias in value}
    section = model.model_construct(_fields_set=written, **known)
    for name in model.model_fields:
        if name not in known:
            section.__dict__.pop(name, None)  # a default that stands for a wrong value would mislead
    return section


def _salvage_field(model: type[Section], name: str, value: Any) -> dict[str, Any]:
    """The field's value by its name; empty when nothing of it is right."""
    field = model.model_fields[name]
    try:
        return {name: getattr(_alone(model, name).model_validate({field.alias: value}), name)}
    except ValidationError:
        pass
    nested: list[type[Section]] = [m for m in sections_in(field.annotation) if issubclass(m, Section)]
    if len(nested) > 1:
        tag = value.get("strategy") if isinstance(value, dict) else None
        nested = [m for m in nested if tag_of(m) == tag and not _of_two_strategies(m, value)]
    if not nested:
        return {}
    if typing.get_origin(field.annotation) is not tuple:
        part = _salvage(nested[0], value)
        return {} if part is None else {name: part}
    if isinstance(value, list) and value:
        return {name: tuple(read(nested[0], entry, (), []) for entry in value)}
    return {}


def _of_two_strategies(strategy: type[Section], sharing: dict[str, Any]) -> bool:
    """Whether `sharing` holds keys of another strategy: then nobody knows which slots are meant."""
    foreign = sharing.keys() - {field.alias for field in strategy.model_fields.values()}
    return not foreign.isdisjoint((*SHARING_KEYS, *STRATEGY_KEYS))


@cache
def _alone(model: type[Section], name: str) -> type[Section]:
    """A section that has nothing but this field."""
    field = model.model_fields[name]
    return create_model(model.__name__, __base__=Section, **{name: (field.annotation, field)})  # type: ignore[call-overload,no-any-return]
