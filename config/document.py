"""Writes docs/configuration.md from the schema: `python -m config.document`; `--check` only compares."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal

import yaml
from pydantic.fields import FieldInfo

from config import document_text as text
from config.errors import ConfigError, listed
from config.explain import sections_in, tag_of
from config.fields import Form
from config.load import LISTS, SECTIONS, parse
from config.section import Section
from config.source import locate_in
from config.wording import FORMS, UNITS

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"


def document() -> str:
    """The page."""
    errors = text.ERRORS.format(file=text.SAMPLE.rstrip(), said=_sample())
    parts = [text.HEAD, "\n".join(_overview()), errors, text.EXAMPLES]
    for key in text.KEYS:
        parts.append(f"## gpu-slices:{key}\n")
        model = SECTIONS.get(key) or LISTS.get(key)
        if model is None:
            parts.append(text.SCALARS[key])
        else:
            parts += _section(model, key + ("[]" if key in LISTS else ""), set())
        if key in text.RULES:
            parts.append("Rules:\n\n" + "\n".join(f"- {rule}" for rule in text.RULES[key]) + "\n")
    return "\n".join(parts)


def _overview() -> Iterator[str]:
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for key, (kind, default, meaning) in text.KEYS.items():
        yield f"| [`{key}`](#gpu-slices{key.lower()}) | {kind} | {default} | {meaning} |"
    yield ""


def _section(model: type[Section], path: str, described: set[type[Section]]) -> Iterator[str]:
    """A section's table, then those of the sections within it, each once. described: those that were."""
    yield f"{inspect.cleandoc(model.__doc__ or '')}\n"
    descriptions = field_texts(model)
    lines = ["| key | type | default | |", "|---|---|---|---|"]
    lines += [
        f"| `{field.alias}` | {_type(field, str(field.alias))} | {_default(field)} | {descriptions[name]} |"
        for name, field in model.model_fields.items()
    ]
    yield "\n".join(lines) + "\n"
    for field in model.model_fields.values():
        for nested in typing.cast("list[type[Section]]", sections_in(field.annotation)):
            if nested in described:
                continue
            described.add(nested)
            several = "[]" if typing.get_origin(field.annotation) is tuple else ""
            inner = f"{path}.{field.alias}{several}"
            strategy = tag_of(nested)
            yield f"### {inner}{f', strategy {strategy}' if strategy else ''}\n"
            yield from _section(nested, inner, described)


def field_texts(model: type[Section]) -> Mapping[str, str]:
    """The text under each field of a section, by the field's name."""
    source = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    (body,) = [node.body for node in source.body if isinstance(node, ast.ClassDef) and node.name == model.__name__]
    texts = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    texts[field.target.id] = " ".join(words.split())
    return texts


def _type(field: FieldInfo, key: str) -> str:
    arguments = [a for a in typing.get_args(field.annotation) if a is not NoneType]
    if typing.get_origin(field.annotation) in (typing.Union, UnionType) and len(arguments) == 1:
        return _kind(arguments[0], (), key)
    return _kind(field.annotation, field.metadata, key)


def _kind(annotation: Any, metadata: Iterable[Any], key: str) -> str:
    """In words: what a value must be."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner = [m for extra in arguments[1:] for m in (extra.metadata if isinstance(extra, FieldInfo) else [extra])]
        return _kind(arguments[0], [*inner, *metadata], key)
    if origin is tuple:
        count = _bounds(metadata).removeprefix(", ")
        return f"list{f' ({count})' if count else ''} of {_kind(arguments[0], (), key)}"
    if origin is dict:
        return "names with text values" if arguments[1] is str else "section"
    if origin is Literal:
        return listed(f"`{option}`" for option in arguments)
    if sections_in(annotation):
        return "section"
    if annotation is str or annotation is date:
        own = next((each.words for each in metadata if isinstance(each, Form)), None)
        return own or text.FORMS.get(key) or FORMS.get(key, "text").removeprefix("must be ")
    if annotation is bool:
        return "true or false"
    noun = f"{'whole number' if annotation is int else 'number'}{f' ({UNITS[key]})' if key in UNITS else ''}"
    return noun + _bounds(metadata)


def _bounds(metadata: Iterable[Any]) -> str:
    names = ("ge", "gt", "le", "min_length", "max_length")
    limits = {name: getattr(m, name) for m in metadata for name in names if getattr(m, name, None) is not None}
    least, most = limits.get("ge", limits.get("min_length")), limits.get("le", limits.get("max_length"))
    if "gt" in limits:
        return f", above {limits['gt']}, at most {most}"
    if least is None and most is None:
        return ""
    if most is None:
        return f", {least} or more"
    return f", {least} to {most}" if least is not None else f", at most {most}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default is None or default == "":
        return "none"
    if isinstance(default, Section):
        return "`{}`"
    return f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"


def _sample() -> str:
    """What somebody sees who makes a few mistakes."""
    config = yaml.safe_load(text.SAMPLE)["config"]
    raw = {key.removeprefix("gpu-slices:"): value for key, value in config.items() if key.startswith("gpu-slices:")}
    try:
        parse(raw, stack="dev", region=config["aws:region"], today=text.SAMPLE_DAY)
    except ConfigError as error:
        return str(ConfigError(error.stack, locate_in(text.SAMPLE, "Pulumi.dev.yaml", error.problems)))
    raise ValueError("the sample has no mistakes")


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether it is fresh (exit status 1 if not)."""
    return publish(TARGET, document(), arguments, "is not what the schema says: run python -m config.document")


def publish(target: Path, fresh: str, arguments: list[str], stale: str) -> int:
    """Write a generated file, or with `--check` only compare it. stale: said where it differs; the status is 1."""
    if "--check" not in arguments:
        target.write_text(fresh, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == fresh:
        return 0
    sys.stderr.write(f"{target.name} {stale}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
