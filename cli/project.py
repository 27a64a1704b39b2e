"""Reads `Pulumi.yaml` and `Pulumi.<stack>.yaml` and gives the program the configuration that the Pulumi CLI would give.

The CLI parses YAML with Go's yaml.v3 and hands values over as text, objects as JSON. That has edges which a plan must
show too, or it would pass where `pulumi preview` fails: an unquoted date arrives as `2027-01-31 00:00:00 +0000 UTC`,
`1.30` as `1.3`, `on` stays text, a key written twice is an error. Each of these was compared with the loader in
github.com/pulumi/pulumi/sdk/v3 (go/common/workspace, go/common/resource/config).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cli.errors import InputError

SECRET_PLACEHOLDER = "<secret>"
"""Stands for an encrypted value: decrypting it needs the stack's secrets provider."""

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Pulumi project on disk."""

    name: str
    directory: Path
    program: Path
    stack_files: Path
    schema: Mapping[str, Any]
    """The `config:` section of `Pulumi.yaml`, by key without the project's name."""

    @property
    def stacks(self) -> list[str]:
        """Names of the stacks that have a file, sorted."""
        return sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in self.stack_files.glob("Pulumi.*.yaml"))


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The configuration of one stack, as the program gets it: every value is text, objects and lists are JSON."""

    stack: str
    values: Mapping[str, str]
    secret_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What an offline run cannot know, for the reader."""
    problems: tuple[str, ...] = field(default=())
    """What the Pulumi CLI would refuse before it starts the program."""


def find_project(start: Path) -> Project:
    """The project in `start` or in the nearest directory above it. Raises InputError where there is none."""
    for directory in (start, *start.parents):
        if (directory / "Pulumi.yaml").is_file():
            return _load_project(directory)
    raise InputError(f"no Pulumi.yaml in {start} or above it: name the project's directory with -C")


def _load_project(directory: Path) -> Project:
    path = directory / "Pulumi.yaml"
    document = load_yaml(path)
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise InputError(f"{path.name}: `name` is missing")
    name = document["name"]
    schema = {str(key).removeprefix(f"{name}:"): value for key, value in (document.get("config") or {}).items()}
    main = directory / str(document.get("main", "."))
    return Project(
        name=name,
        directory=directory,
        program=main if main.suffix == ".py" else main / "__main__.py",
        stack_files=directory / str(document.get("stackConfigDir", ".")),
        schema=schema,
    )


def load_stack(project: Project, stack: str) -> StackConfig:
    """The configuration of a stack, defaults of `Pulumi.yaml` included.

    Raises InputError for an unknown stack and for YAML that cannot be read.
    """
    path = project.stack_files / f"Pulumi.{stack}.yaml"
    if stack not in project.stacks:
        raise InputError(_unknown_stack(project, stack))
    document = load_yaml(path) or {}
    config = document.get("config") or {} if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise InputError(f"{path.name}: `config:` must hold keys and values")
    notes = []
    if document.get("environment"):
        notes.append("environments of Pulumi ESC are not read offline; their values are missing here")

    values = {_full_key(project.name, str(key)): value for key, value in config.items()}
    problems = _apply_schema(project, stack, values)
    secrets = tuple(sorted(key for key, value in values.items() if _has_secret(value)))
    notes += [f"{key} is encrypted: {SECRET_PLACEHOLDER} stands for it in this plan" for key in secrets]
    return StackConfig(
        stack=stack,
        values={key: as_text(_without_secrets(value)) for key, value in sorted(values.items())},
        secret_keys=secrets,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _unknown_stack(project: Project, stack: str) -> str:
    stacks = project.stacks
    near = difflib.get_close_matches(stack, stacks, n=1)
    known = f"stacks of this project: {', '.join(stacks)}" if stacks else "this project has no Pulumi.<stack>.yaml"
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"no stack {stack!r}{meant}\n{known}"


def _full_key(project: str, key: str) -> str:
    namespace, _, rest = key.partition(":")
    return f"{namespace}:{rest.removeprefix('config:')}" if rest else f"{project}:{key}"


def _apply_schema(project: Project, stack: str, values: dict[str, Any]) -> list[str]:
    """Fill in defaults, and say what the CLI would refuse: types that do not match, keys without value or default."""
    problems = []
    for key, entry in project.schema.items():
        full = _full_key(project.name, key)
        typed = entry if isinstance(entry, dict) else {"default": entry}
        default = typed.get("default", typed.get("value"))
        if full not in values:
            if default is not None:
                values[full] = default
            elif full.startswith(f"{project.name}:"):
                problems.append(f"Stack '{stack}' is missing configuration value '{key}'")
        elif "type" in typed and not _has_secret(values[full]) and not _is_of_type(typed, values[full]):
            problems.append(f"Stack '{stack}' with configuration key '{key}' must be of type '{typed['type']}'")
    return problems


def _is_of_type(schema: Mapping[str, Any], value: Any) -> bool:
    """As `ValidateConfigValue` in the CLI; a plain value may stand for text."""
    match schema.get("type"):
        case "string":
            return not isinstance(value, list | dict)
        case "integer":
            return re.fullmatch(r"[-+]?\d+", as_text(value)) is not None
        case "boolean":
            return as_text(value) in ("true", "false")
        case "object":
            return isinstance(value, dict)
        case "array":
            items = schema.get("items") or {}
            return isinstance(value, list) and all(_is_of_type(items, item) for item in value)
        case _:
            return True


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["secure"] and isinstance(value["secure"], str)


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_secret(value) or any(_has_secret(item) for item in value.values())
    return isinstance(value, list) and any(_has_secret(item) for item in value)


def _without_secrets(value: Any) -> Any:
    if _is_secret(value):
        return SECRET_PLACEHOLDER
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def as_text(value: Any) -> str:
    """A configuration value as the program gets it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


# --- YAML as Go's yaml.v3 reads it ------------------------------------------------------------------------------------


class _Loader(_BaseLoader):  # type: ignore[misc]
    """Plain scalars as in yaml.v3, which follows YAML 1.2 where PyYAML follows 1.1; repeated keys are errors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Like PyYAML's, but a key that stands twice is an error as it is for the CLI."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        result: dict[Any, Any] = super().construct_mapping(node, deep)
        return result


def _integer(_: Any, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)


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
for _name, _pattern, _first in (
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)"), "-+0123456789"),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), "-+.0123456789"),
    ("timestamp", _DATE, "0123456789"),
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    ("merge", re.compile(r"<<"), "<"),
):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    for _character in _first:
        _Loader.yaml_implicit_resolvers.setdefault(_character.strip("\0"), []).append((_TAG + _name, _whole))
_Loader.add_constructor(_TAG + "int", _integer)
_Loader.add_constructor(_TAG + "float", _float)
_Loader.add_constructor(_TAG + "timestamp", _date)


def load_yaml(path: Path) -> Any:
    """A YAML file as the Pulumi CLI reads it. Raises InputError with file, line and column where it cannot be read."""
    try:
        return yaml.load(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), _Loader)  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        context = f" ({error.context})" if error.context else ""
        raise InputError(f"{where}: {error.problem}{context}") from error
    except yaml.YAMLError as error:  # bytes that are not text
        raise InputError(f"{path.name}: {' '.join(str(error).split())}") from error
