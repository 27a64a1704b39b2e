"""Turns pydantic's errors into problems that say what to write instead."""

from __future__ import annotations

import json
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config import sharing_words
from config.errors import MISSING, Path, Problem, listed, meant_first, nearest, one_of
from config.wording import ELSEWHERE, FORMS, PURPOSES, REASONS, SAMPLES, SYNONYMS, TYPES, UNITS, VALUE_SYNONYMS, WISHES

#: What is no section at all. An empty value of a top-level key arrives as an empty text.
_WHOLE = ("model_type", "model_attributes_type", "dict_type")
#: Lists of words, which people write as one line.
_WORDS = ("command", "args")


def explain(error: ValidationError, model: type[BaseModel], value: Any, path: Path) -> Iterator[Problem]:
    """One problem for each of pydantic's errors; ``path`` is the key under which ``value`` stands."""
    for detail in error.errors(include_url=False):
        where, section = resolve(model, detail["loc"])
        kind, shown = detail["type"], detail["input"] if where else value
        if kind.startswith("union_tag") or (kind in _WHOLE and where[-1:] == ("sharing",)):
            yield from _strategy(shown, path + where)
        elif kind == "missing":
            purpose = PURPOSES.get(str(where[-1]), "this section needs it")
            yield Problem(path + where, MISSING, f"is missing: {purpose}")
        elif kind == "invalid_key" or (kind == "string_unicode" and not where):
            yield Problem(path + where, MISSING, "is not a key here: keys are texts")
        elif kind == "extra_forbidden" and section:
            key = str(where[-1])
            yield Problem(path + where, shown, _unknown_key(key, section), meant=meant_key(key, section))
        else:
            empty = "is empty; " if shown is None or (shown == "" and kind in _WHOLE) else ""
            yield Problem(path + where, shown, empty + _message(detail, section, path + where, shown))


def _message(detail: ErrorDetails, section: type[BaseModel] | None, path: Path, value: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    owner = section.__name__ if section else ""
    if kind == "literal_error":
        return _one_of_literals(value, context["expected"])
    if kind.startswith(("greater_than", "less_than", "too_")) or kind == "string_too_long":
        bound = FORMS.get(key) if kind == "string_too_long" else None
        reason = REASONS.get((owner, key, kind))
        return bound or _bound(kind, context) + (f": {reason}" if reason else "")
    if kind == "string_pattern_mismatch":
        return FORMS[key]
    if kind == "empty" and key in SAMPLES:
        return f"write {SAMPLES[key]}, or remove the key"
    if kind in TYPES:
        return _type(kind, key, value)
    return detail["msg"][0].lower() + detail["msg"][1:]


def _type(kind: str, key: str, value: Any) -> str:
    wanted = TYPES[kind] if kind != "string_type" else FORMS.get(key, TYPES[kind])
    if kind == "int_type" and key in UNITS:
        wanted = f"{wanted} of {UNITS[key]}"
    if key in SAMPLES and (kind in _WHOLE or kind == "tuple_type"):
        return f"{wanted}, such as {SAMPLES[key] if kind in _WHOLE else f'[{SAMPLES[key]}]'}"
    match kind, value:
        case "tuple_type", str() if key in _WORDS:
            return f"{wanted}: write {json.dumps(_words(value), ensure_ascii=False)}"
        case "int_type" | "float_type" | "bool_type", str() if _is_of(kind, value):
            return f"{wanted}: leave the quotes out"
        case "tuple_type", str():
            return f"{wanted}: write {json.dumps(value.split(', '), ensure_ascii=False)}"
        case "tuple_type", int() | float():
            return f"{wanted}: write {json.dumps([value])}"
        case "string_type", int() | float() if wanted == TYPES[kind] and not isinstance(value, bool):
            return f'{wanted}: write "{value}"' if abs(value) < 1e15 else wanted
    return wanted


def _words(text: str) -> Sequence[str]:
    """The words of a command line."""
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is never closed
        return text.split()


def _is_of(kind: str, text: str) -> bool:
    """Whether a text would be right without its quotes."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    wanted = {"int_type": int, "float_type": int | float, "bool_type": bool}[kind]
    return isinstance(read, wanted) and (kind == "bool_type" or not isinstance(read, bool))


def _bound(kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be {context['ge']} or more"
        case "less_than_equal":
            return f"must be {context['le']:.15g} or less"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "too_short":
            least = context["min_length"]
            return f"must have at least {'one entry' if least == 1 else f'{least} entries'}"
        case "too_long":
            return f"must have at most {context['max_length']} entries"
        case _:
            return f"must have at most {context['max_length']} characters"


def _one_of_literals(value: Any, expected: str) -> str:
    options = expected.replace(" or ", ", ").replace("'", "").split(", ")
    if isinstance(value, list):
        return f"must be {listed(options)}, not a list"
    if str(value) in options:
        return f"must be {listed(options)}: leave the quotes out"
    meant = VALUE_SYNONYMS.get(value.lower()) if isinstance(value, str) else None
    return one_of(meant if meant in options else value, options)


def _strategy(value: Any, path: Path) -> Iterator[Problem]:
    """What is wrong with the choice of a strategy, and with the keys of the one that is meant."""
    problem, meant = sharing_words.strategy_problem(value, path)
    yield problem
    if meant is not None:
        try:
            meant.model_validate({**value, "strategy": meant.model_fields["strategy"].annotation.__args__[0]})  # type: ignore[union-attr]
        except ValidationError as error:
            yield from explain(error, meant, value, path)


def _unknown_key(key: str, section: type[BaseModel]) -> str:
    allowed = keys_of(section)
    special = _special(key, section)
    return special[0] if special else f"is not a key here: {keys_hint(key, allowed)}"


def meant_key(key: str, section: type[BaseModel]) -> str | None:
    """The key of a section that an unknown key most likely stands for, or under which it should stand."""
    special = _special(key, section)
    return special[1] if special else nearest_key(key, keys_of(section))


def _special(key: str, section: type[BaseModel]) -> tuple[str, str | None] | None:
    """Message and meant key, for keys of which more is known than their spelling."""
    name = section.__name__
    if wish := WISHES.get(name, {}).get(key):
        return wish, None
    return sharing_words.misplaced(key, name, keys_of(section)) or ELSEWHERE.get((name, key))


def nearest_key(key: str, allowed: Sequence[str]) -> str | None:
    """The allowed key that another tool's word or a misspelt key stands for, or None."""
    synonym = SYNONYMS.get(key)
    return synonym if synonym in allowed else nearest(key, allowed)


def keys_hint(key: str, allowed: Sequence[str]) -> str:
    """`did you mean b? Keys are a, b and c`."""
    meant = nearest_key(key, allowed)
    known = f"keys are {listed(allowed, 'and')}" if len(allowed) > 1 else f"the key is {listed(allowed)}"
    return meant_first(meant, known)


def keys_of(section: type[BaseModel]) -> list[str]:
    """The keys of a section as they stand in stack files."""
    return [str(info.alias) for info in section.model_fields.values()]


def resolve(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[Path, type[BaseModel] | None]:
    """The path in the file that pydantic's ``loc`` means, and the section in which its last key stands.

    ``loc`` also holds the tag of a union, which no key in the file corresponds to.
    """
    path: list[str | int] = []
    annotation: Any = model
    section: type[BaseModel] | None = model
    for part in loc:
        options = sections_in(annotation)
        tagged = [m for m in options if tag_of(m) == part]
        if len(options) > 1 and tagged:
            annotation = section = tagged[0]
            continue
        if len(options) == 1:
            section = options[0]
        path.append(part)
        annotation = _field_type(section, part) if isinstance(part, str) else annotation
    return tuple(path), section


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Sections that an annotation can hold, looking through Optional, Annotated and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (UnionType, typing.Union, typing.Annotated, tuple):
        return [m for argument in typing.get_args(annotation) for m in sections_in(argument)]
    return []


def tag_of(model: type[BaseModel]) -> str | None:
    """The strategy that a section of `sharing` stands for."""
    field = model.model_fields.get("strategy")
    return str(typing.get_args(field.annotation)[0]) if field else None


def _field_type(section: type[BaseModel] | None, alias: str) -> Any:
    for info in section.model_fields.values() if section else ():
        if info.alias == alias:
            return info.annotation
    return None
