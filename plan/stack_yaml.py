"""YAML as the Pulumi CLI reads it, which is Go's yaml.v3; what has no JSON, or too much of it, is refused.

The CLI parses YAML with Go's yaml.v3 and hands values over as text, objects as JSON. That has edges which a plan must
show too, or it would pass where `pulumi preview` fails: an unquoted date arrives as `2027-01-31 00:00:00 +0000 UTC`,
`1.30` as `1.3`, `on` stays text, a key written twice is an error. Each of these was compared with the loader in
github.com/pulumi/pulumi/sdk/v3 (go/common/workspace, go/common/resource/config).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from gpu.files import read_bytes
from gpu.sharing.yaml_text import MOST_LEVELS, MOST_VALUES, refuse_depth
from plan.errors import InputError

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def as_text(value: Any) -> str:
    """A configuration value as the program gets it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class _Loader(_BaseLoader):  # type: ignore[misc]
    """Plain scalars as in yaml.v3, which follows YAML 1.2 where PyYAML follows 1.1; repeated keys are errors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Like PyYAML's, but a key that stands twice is an error as it is for the CLI."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        result: dict[Any, Any] = super().construct_mapping(node, deep)
        return {key if isinstance(key, str) else as_text(key) or "null": value for key, value in result.items()}


def _integer(_: Any, node: yaml.ScalarNode) -> int | str:
    text = node.value.replace("_", "")
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    try:
        return sign * int(digits, 8 if re.fullmatch(r"0[0-7]+", digits) else 0)
    except ValueError:  # `0b_`, or more digits than Python reads
        return str(node.value)


def _float(_: Any, node: yaml.ScalarNode) -> int | float:
    number = float(node.value)
    return int(number) if number.is_integer() else number


def _date(_: Any, node: yaml.ScalarNode) -> str:
    """A date the way Go prints it, which is what a program gets for one without quotes."""
    found = _DATE.fullmatch(node.value)
    assert found is not None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    fraction = (fraction or "").rstrip("0")
    offset = "+0000 UTC" if zone in (None, "Z") else f"{zone.replace(':', '')} {zone.replace(':', '')}"
    time = f"{int(hour or 0):02}:{int(minute or 0):02}:{int(second or 0):02}"
    return f"{year}-{int(month):02}-{int(day):02} {time}{'.' + fraction if fraction else ''} {offset}"


_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|\s)(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d+))?(Z|[-+]\d\d:\d\d)?)?"
)
_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, re.Pattern[str]] = {}
for _name, _pattern, _first in (
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)"), "-+0123456789"),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), "-+.0123456789"),
    ("timestamp", _DATE, "0123456789"),
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    ("merge", re.compile(r"<<"), "<"),
):
    _whole = _SCALARS[_name] = re.compile(rf"(?:{_pattern.pattern})\Z")
    for _character in _first:
        _Loader.yaml_implicit_resolvers.setdefault(_character.strip("\0"), []).append((_TAG + _name, _whole))
_Loader.add_constructor(_TAG + "int", _integer)
_Loader.add_constructor(_TAG + "float", _float)
_Loader.add_constructor(_TAG + "timestamp", _date)


_EXPLICIT = re.compile(r"(?:str|int|float|bool|null|timestamp|merge|map|seq)")


def load_yaml(path: Path) -> Any:
    """A YAML file as the Pulumi CLI reads it. Raises InputError with file, line and column where it cannot be read."""
    try:
        text = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
        refuse_depth(text, _Loader)
        loader = _Loader(text)  # a subclass of the safe loader
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _unfolded(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise InputError(f"{path.name}: is nested too deep") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        raise InputError(f"{where}: {error.problem}{_context(error)}{_remedy(error, text)}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path.name} holds what is no text: {' '.join(str(error).split())}") from error


def _context(error: yaml.MarkedYAMLError) -> str:
    """What was being read, with the line in which it begins where that is another one: the mistake is mostly there."""
    if not error.context:
        return ""
    began, seen = error.context_mark, error.problem_mark
    line = f" that begins in line {began.line + 1}" if began and seen and began.line < seen.line else ""
    return f" ({error.context}{line})"


def _remedy(error: yaml.MarkedYAMLError, text: bytes) -> str:
    """What people did where the scanner stops, which speaks of its own grammar; nothing where that is open."""
    lines, mark = text.decode(errors="replace").splitlines(), error.problem_mark
    if mark is None or mark.line >= len(lines):
        return ""
    problem, sign = str(error.problem), lines[mark.line][mark.column : mark.column + 1]
    if "cannot start any token" in problem:
        return (
            "; it is a tab: indent with spaces" if sign == "\t" else f"; put a text that begins with {sign} in quotes"
        )
    if "mapping values are not allowed" in problem:
        return "; is a colon missing in the line above, or is this one indented too far?"
    return ""


def _unfolded(node: yaml.Node, known: dict[yaml.Node, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and levels of a node without aliases. Raises ConstructorError for what has no JSON, or too much of it."""
    if node in known:
        found = known[node]
        if found is None:
            raise yaml.constructor.ConstructorError(None, None, "an anchor holds itself", node.start_mark)
        return found
    known[node] = None
    _refuse_other_types(node)
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.CollectionNode):
        parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    inside = [_unfolded(part, known) for part in parts]
    size, levels = 1 + sum(size for size, _ in inside), 1 + max((levels for _, levels in inside), default=0)
    if size > MOST_VALUES:  # yaml.v3 refuses files that unfold by aliases ("excessive aliasing") as well
        raise yaml.constructor.ConstructorError(None, None, "aliases make it too large", node.start_mark)
    if levels > MOST_LEVELS:
        raise yaml.constructor.ConstructorError(None, None, "is nested too deep", node.start_mark)
    known[node] = size, levels
    return size, levels


def _refuse_other_types(node: yaml.Node) -> None:
    """Tags that somebody wrote: of types without JSON, or of ones that the value is not."""
    name = node.tag.removeprefix(_TAG)
    if node.tag.startswith(_TAG):
        if not _EXPLICIT.fullmatch(name):
            raise yaml.constructor.ConstructorError(
                None, None, f"!!{name} is no type of a configuration", node.start_mark
            )
        pattern = _SCALARS.get(name)
        if pattern and not (isinstance(node, yaml.ScalarNode) and pattern.match(node.value)):
            raise yaml.constructor.ConstructorError(None, None, f"is no !!{name}", node.start_mark)
