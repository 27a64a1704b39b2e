"""Writes docs/stack.schema.json, by which editors complete and check stack files: `python -m config.json_schema`.

JSON Schema 2020-12, from the pydantic models, with the text under each field as its description. What concerns several
values (does a model fit its slot?) is not in it: `slices plan` says that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from config import document_text, schema
from config.document import field_texts, publish
from config.errors import PROJECT
from config.explain import sections_in
from config.load import OPTIONAL
from config.section import Section
from gpu.catalog import FAMILIES, INSTANCE_TYPES, REGIONS, UNSUPPORTED_FAMILIES

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "stack.schema.json"
_STATED: Final = ("stack", "region")
#: What pydantic writes of a limit on a value that something else reads first.
_LIMITS: Final[Mapping[str, str]] = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}
#: What `pulumi config set --secret` writes.
_ENCRYPTED: Final = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}

_NULL: Final = {"type": "null"}
#: A section that is absent when it is empty.
_NOTHING: Final = {"type": "object", "maxProperties": 0}


def stack_schema() -> dict[str, Any]:
    """The schema of a file `Pulumi.<stack>.yaml`."""
    made = _standard(schema.StackConfig.model_json_schema(by_alias=True))
    sections = {model.__name__: model for model in within(schema.StackConfig)}
    for name, section in made["$defs"].items():
        _describe(section, sections[name])
    buys = made["$defs"]["GpuPool"]["properties"]
    buys["instanceFamilies"]["items"]["enum"] = [name for name in FAMILIES if name not in UNSUPPORTED_FAMILIES]
    buys["instanceTypes"]["items"]["enum"] = [
        t.name for t in INSTANCE_TYPES.values() if t.family not in UNSUPPORTED_FAMILIES
    ]
    keys = {
        f"{PROJECT}:{key}": {"description": document_text.KEYS[key][2], "anyOf": [*_forms(key, value), _ENCRYPTED]}
        for key, value in made["properties"].items()
        if key not in _STATED
    }
    config = {
        "type": "object",
        "properties": {"aws:region": {"description": "Region of the stack.", "enum": sorted(REGIONS)}, **keys},
        # Other projects and providers have keys of their own.
        "patternProperties": {f"^(?!{PROJECT}:)": True},
        "additionalProperties": False,
        "required": ["aws:region", f"{PROJECT}:pools"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of gpu-slices",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": made["$defs"],
    }


def _forms(key: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    """What a key may hold."""
    return [_untitled(value), *([_NOTHING] if key in OPTIONAL else [])]


def within(model: type[Section]) -> Iterator[type[Section]]:
    """The sections within a section, at any depth."""
    for field in model.model_fields.values():
        for found in sections_in(field.annotation):
            section = cast("type[Section]", found)
            yield section
            yield from within(section)


def _describe(found: dict[str, Any], section: type[Section]) -> None:
    texts = field_texts(section)
    found.pop("title", None)
    for name, field in section.model_fields.items():
        prop = _untitled(found["properties"][str(field.alias)])
        found["properties"][str(field.alias)] = {"description": texts[name], **prop}


def _untitled(value: dict[str, Any]) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != "title"}


def _standard(value: Any) -> Any:
    """The same with the limits' own names, and without null: what may be left out is not written empty (`Section`)."""
    if isinstance(value, dict):
        return {_LIMITS.get(key, key): _standard(inner) for key, inner in _without_null(value).items()}
    return [_standard(inner) for inner in value] if isinstance(value, list) else value


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    """A field that may be None, as the other thing that it may be."""
    if _NULL not in value.get("anyOf", ()):
        return value
    rest = {key: inner for key, inner in value.items() if key != "anyOf" and (key, inner) != ("default", None)}
    left = [each for each in value["anyOf"] if each != _NULL]
    return {**left[0], **rest} if len(left) == 1 else {"anyOf": left, **rest}


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` say whether it is fresh (exit status 1 if not)."""
    fresh = json.dumps(stack_schema(), indent=1, ensure_ascii=False) + "\n"
    return publish(TARGET, fresh, arguments, "is not what the models say: run make docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
