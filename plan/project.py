"""Reads `Pulumi.yaml` and `Pulumi.<stack>.yaml` and gives the program the configuration that the Pulumi CLI would give.

What it does with keys and types was compared with the loader in github.com/pulumi/pulumi/sdk/v3 (go/common/workspace,
go/common/resource/config); `plan.stack_yaml` reads the text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import PROJECT, meant_first
from plan.errors import InputError
from plan.stack_yaml import as_text, load_yaml

SECRET_PLACEHOLDER = "<secret>"
"""Stands for an encrypted value: decrypting it needs the stack's secrets provider."""


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

    def refuse_unknown(self, stack: str) -> None:
        """Raises InputError for a stack that has no file, with those that have one."""
        if stack not in self.stacks:
            raise InputError(_unknown_stack(self, stack))


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """What `Pulumi.<stack>.yaml` gives the program: every value is text, objects and lists are JSON."""

    stack: str
    values: Mapping[str, str]
    secret_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What an offline run cannot know, for the reader."""
    problems: tuple[str, ...] = field(default=())
    """What the Pulumi CLI would refuse before it starts the program."""

    def values_of(self, project: str) -> dict[str, Any]:
        """A project's own values by key without its name, as its program reads them."""
        prefix = f"{project}:"
        return {key.removeprefix(prefix): _read(text) for key, text in self.values.items() if key.startswith(prefix)}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


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
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise InputError(f"{path.name}: `config:` must hold keys and values")
    schema = {str(key).removeprefix(f"{name}:"): value for key, value in config.items()}
    main = directory / str(document.get("main", "."))
    return Project(
        name=name,
        directory=directory,
        program=main if main.suffix == ".py" else main / "__main__.py",
        stack_files=directory / str(document.get("stackConfigDir", ".")),
        schema=schema,
    )


def load_stack(project: Project, stack: str) -> StackFile:
    """The configuration of a stack, defaults of `Pulumi.yaml` included.

    Raises InputError for an unknown stack and for YAML that cannot be read.
    """
    path = project.stack_files / f"Pulumi.{stack}.yaml"
    project.refuse_unknown(stack)
    document = load_yaml(path) or {}
    config = document.get("config") or {} if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise InputError(f"{path.name}: `config:` must hold keys and values")
    _refuse_keys_beside(path, document)
    notes = []
    if document.get("environment"):
        notes.append("environments of Pulumi ESC are not read offline; their values are missing here")

    values: dict[str, Any] = {}
    for key, value in config.items():
        full = _full_key(project.name, str(key))
        if full in values:
            raise InputError(f"{path.name}: {full} stands twice, once as {key}")
        values[full] = value
    problems = _apply_schema(project, stack, values)
    secrets = tuple(sorted(key for key, value in values.items() if _has_secret(value)))
    notes += [f"{key} is encrypted: {SECRET_PLACEHOLDER} stands for it in this plan" for key in secrets]
    return StackFile(
        stack=stack,
        values={key: as_text(_without_secrets(value)) for key, value in sorted(values.items())},
        secret_keys=secrets,
        notes=tuple(notes),
        problems=tuple(problems),
    )


#: Keys of a stack file (sdk/go/common/workspace/project.go, ProjectStack).
_STACK_KEYS = ("config", "environment", "secretsprovider", "encryptedkey", "encryptionsalt")


def _refuse_keys_beside(path: Path, document: Mapping[Any, Any]) -> None:
    """The CLI passes over other keys in silence: a key that is not indented would have no effect, and nobody knew."""
    for key in document:
        if key not in _STACK_KEYS:
            near = difflib.get_close_matches(str(key), _STACK_KEYS, n=1)
            if ":" in str(key):
                remedy = "it belongs under `config:`, indented"
            else:
                remedy = meant_first(near[0] if near else None, f"keys are {', '.join(_STACK_KEYS)}")
            raise InputError(f"{path.name}: `{key}` is no key of a stack file: {remedy}")


#: A stack that `slices init` takes: its cluster, gpu-slices-STACK, has 40 characters at most.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,28}")


def _unknown_stack(project: Project, stack: str) -> str:
    stacks = project.stacks
    near = difflib.get_close_matches(stack, stacks, n=1) or [name for name in stacks if name.lower() == stack.lower()]
    known = f"stacks of this project: {', '.join(stacks)}" if stacks else "this project has no Pulumi.<stack>.yaml"
    meant = f"; did you mean {near[0]}?" if near else ""
    found = f"no stack {stack!r}{meant}\n{known}"
    if not near and project.name == PROJECT and _NAME.fullmatch(stack):
        found += f"\n`slices init {stack}` writes one of that name"
    return found


def _full_key(project: str, key: str) -> str:
    namespace, _, rest = key.partition(":")
    if ":" in rest.removeprefix("config:"):
        raise InputError(f"{key} is no configuration key: write namespace:name")
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
