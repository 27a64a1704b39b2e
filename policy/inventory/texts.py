"""Data inside text: YAML and JSON documents, files beside the program, and what a template engine fills in.

What an engine fills in may be anything: it becomes `Unknown`, unless the values that it takes are at hand.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from gpu.files import read_text
from gpu.sharing.yaml_text import documents, untagged
from policy.placeholders import GO, PLACEHOLDER, without_placeholders
from policy.reading import Unknown, plain


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the one in C, where there is one
    """Safe YAML that keeps what stands behind a tag it does not know."""


Loader.add_multi_constructor("!", lambda loader, _suffix, node: untagged(loader, node))

#: Where relative paths begin: the CLI runs a pack in the program's folder, or in the pack's own.
ROOTS: Final = (Path(), Path(__file__).resolve().parents[2])

#: A value that is filled in elsewhere. No document has it.
_FILLED: Final = "gpu-slices-filled-in-elsewhere"
_SOMETHING: Final = "{{ filled.in }}"


def parsed(text: str, loader: Any = Loader) -> list[Any]:
    """YAML or JSON documents in a text, as plain data; none if it is neither (a shell script).

    A text that is YAML only after something was filled in is read with `Unknown` in those places.
    """
    try:
        return _plain(documents(text, loader))
    except (ValueError, RecursionError):  # the last for an alias inside what it names
        pass
    try:
        marked = PLACEHOLDER.sub(_FILLED, text)
        return _unmarked(_plain(documents(marked, loader))) if marked != text else []
    except (ValueError, RecursionError):
        return []


def _plain(found: list[Any]) -> list[Any]:
    return [plain(document) for document in found if isinstance(document, Mapping | list)]


def first(text: str, loader: Any = Loader) -> Any:
    """The first document of a text; None if it has none."""
    return next(iter(parsed(text, loader)), None)


def content_of(asset: pulumi.Asset) -> str | None:
    """Text of an asset; None if it cannot be read here: a file that is elsewhere, or an address."""
    if isinstance(asset, pulumi.StringAsset):
        return asset.text
    return file_content(asset.path) if isinstance(asset, pulumi.FileAsset) else None


def file_content(path: Any) -> str | None:
    """Text of a local file; None if there is none that can be read: a pipe or a device would never end."""
    for root in ROOTS:
        try:
            return read_text(root / str(path))
        except (OSError, ValueError):
            continue
    return None


_ENCODED: Final = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{24,}={0,2}(?![\w+/=])")
_DECODES: Final = re.compile(
    r"base64['\"]?\s+(--?\w+\s+)*(-d|-D|--decode)\b|b64decode|FromBase64String|openssl\s+\S*64\s+-d"
)


def decoded(command: str) -> list[str]:
    """Texts that a command takes out of base64: they run, or are applied, as if they stood there."""
    if "64" not in command or not _DECODES.search(command):
        return []
    return list(filter(None, map(_from_base64, _ENCODED.findall(command))))


def _from_base64(written: str) -> str:
    try:
        return base64.b64decode(written, validate=True).decode()
    except ValueError:
        return ""


Resolve = Callable[[str], Any]
"""The value of an expression of a template; None where it is not known."""

#: An action on a line of its own: it steers, or its output is a block.
_LINE: Final = re.compile(r"^([ \t]*(?:- )?)\{\{-?\s*((?:(?!\{\{).)*?)\s*-?\}\}[ \t]*$", re.MULTILINE | re.DOTALL)
#: What steers, or puts out a template of its own.
_STEERS: Final = re.compile(r"(if|else|end|range|with|define|block|template|include|tpl|break|continue|\$|/\*)")
_EDGES: Final = re.compile(r"^[\s-]*\{\{-?\s*|\s*-?\}\}\s*$")
_BLOCK: Final = re.compile(r"toYaml\s+(\S+)(?:\s*\|\s*n?indent\s+\d+)?$")


def rendered(text: str, resolve: Resolve) -> list[Any]:
    """The documents of a Go template as far as its values are at hand; what is not is `Unknown`.

    Both sides of a condition and the body of a loop count as being there.
    """

    def on_a_line(found: re.Match[str]) -> str:
        lead, action = found[1], found[2]
        block = _BLOCK.match(action)
        if not block:
            if _STEERS.match(action):
                return f"{lead}{_FILLED}" if lead.endswith("- ") else ""
            return lead + inline(found)
        value = resolve(block[1])
        if value is None:
            return ""
        dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
        return f"{lead}{dumped}" if lead.endswith("- ") else f"{lead}{_INLINE}{dumped}"

    def inline(found: re.Match[str]) -> str:
        expression = _EDGES.sub("", found[0])
        value = resolve(expression)
        if value is None or isinstance(value, Mapping | list):
            return _FILLED
        written = json.dumps(value) if isinstance(value, bool | int | float) else str(value)
        return json.dumps(written) if "quote" in expression or "\n" in written else written

    flat = GO.sub(inline, _LINE.sub(on_a_line, text))
    flat = re.sub(rf":[ \t]*\n[ \t]*{_INLINE}", ": ", flat).replace(_INLINE, "")
    return [_unmarked(document) for document in parsed(flat + "\n")]


def _unmarked(value: Any) -> Any:
    """Plain data in which what was filled in is `Unknown`, and in texts of many words a placeholder as before."""
    if isinstance(value, str) and _FILLED in value:
        return without_placeholders(value.replace(_FILLED, _SOMETHING))
    if isinstance(value, Mapping):
        return {key: _unmarked(element) for key, element in value.items()}
    return [_unmarked(element) for element in value] if isinstance(value, list) else value


_INLINE: Final = "gpu-slices-inline "
_PATH: Final = re.compile(r"\$?\.Values((?:\.[A-Za-z0-9_]+)+)$")
_LITERAL: Final = re.compile(r'"([^"]*)"|`([^`]*)`|(-?\d+(?:\.\d+)?|true|false)$')
_PASS: Final = frozenset({"quote", "squote", "toString", "trim", "int", "int64"})


def of_values(values: Mapping[str, Any]) -> Resolve:
    """Expressions that read a chart's values: `.Values.a.b`, `default "x" .Values.a`, pipes of `quote` and the like."""

    def look_up(path: str) -> Any:
        found: Any = values
        for key in path.strip(".").split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if isinstance(found, Unknown) else found

    def term(word: str) -> Any:
        path, written = _PATH.match(word), _LITERAL.match(word)
        if path:
            return look_up(path[1])
        return next((group for group in written.groups() if group is not None), None) if written else None

    def resolve(expression: str) -> Any:
        head, *pipes = (part.strip() for part in expression.split("|"))
        words = head.split()
        if words[:1] == ["default"] and len(words) == 3:
            found = term(words[2])
            found = term(words[1]) if found in (None, "") else found
        elif len(words) == 2 and words[0] in _PASS:
            found = term(words[1])
        else:
            found = term(head)
        for pipe in pipes:
            name, _, argument = pipe.partition(" ")
            if name == "default":
                found = term(argument.strip()) if found in (None, "") else found
            elif name not in _PASS:
                return None
        return found

    return resolve
