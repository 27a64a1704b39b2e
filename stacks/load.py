"""Reads a stack's configuration into a StackConfig, or says everything that is wrong with it.

Validation happens here and nowhere else: once, at the edge. Each key, and each entry of a list, is validated on its
own, so that a mistake in one does not hide a mistake in another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path as FilePath
from typing import Any

import pulumi
from pydantic import BaseModel, ValidationError

from stacks import checks, schema
from stacks.errors import MISSING, PROJECT, ConfigError, Path, Problem, one_of
from stacks.explain import explain
from stacks.source import locate

#: Top-level keys whose value is one section, and those whose value is a list of sections.
SECTIONS: Mapping[str, type[BaseModel]] = {
    "cluster": schema.Cluster,
    "network": schema.Network,
    "gpuSharing": schema.GpuSharing,
    "dialogue": schema.Dialogue,
    "budget": schema.Budget,
}
LISTS: Mapping[str, type[BaseModel]] = {
    "cpuPools": schema.CpuPool,
    "pools": schema.GpuPool,
    "models": schema.Model,
    "workloads": schema.Workload,
}
SCALARS = ("examples", "tags")
KEYS = (*SECTIONS, *LISTS, *SCALARS)

#: Sections that are absent when they are empty, which is what Pulumi.yaml's defaults make them.
OPTIONAL = ("dialogue", "budget")

#: Field of StackConfig for each key that is spelt differently.
_FIELDS = {"cpuPools": "cpu_pools", "gpuSharing": "gpu_sharing"}


def load_pulumi_config(today: date | None = None) -> schema.StackConfig:
    """The current stack's configuration, as Pulumi hands it to the program. Raises ConfigError."""
    config = pulumi.Config(PROJECT)
    raw = {key: value for key in KEYS if (value := _value(config, key)) is not MISSING}
    # pulumi.Config can only be asked for known keys. The engine also gives all of them in this variable; without it
    # misspelt keys would pass in silence.
    for full_key in json.loads(os.environ.get("PULUMI_CONFIG", "{}")):
        namespace, _, key = full_key.partition(":")
        if namespace == PROJECT and key not in KEYS:
            raw[key] = MISSING
    stack_file = FilePath.cwd() / f"Pulumi.{pulumi.get_stack()}.yaml"
    try:
        return parse(raw, stack=pulumi.get_stack(), region=pulumi.Config("aws").get("region"), today=today)
    except ConfigError as errors:
        raise ConfigError(errors.stack, locate(stack_file, errors.problems)) from None


def _value(config: pulumi.Config, key: str) -> Any:
    text = config.get(key)
    if text is None:
        return MISSING
    try:
        return json.loads(text)
    except (json.JSONDecodeError, TypeError):
        return text  # a plain string, which the schema then judges


def parse(raw: Mapping[str, Any], *, stack: str, region: str | None, today: date | None = None) -> schema.StackConfig:
    """Validates a whole configuration. ``raw`` holds the values by key without the project's name.

    Raises ConfigError with every problem, in the order of the keys.
    """
    problems = [
        Problem((key,), raw[key], "is not a key of this project; " + one_of(key, KEYS))
        for key in raw
        if key not in KEYS
    ]
    parts: dict[str, Any] = {}
    for key, model in SECTIONS.items():
        if key in raw and not (key in OPTIONAL and raw[key] == {}):
            parts[key] = _validated(model, raw[key], (key,), problems)
    for key, model in LISTS.items():
        if key in raw:
            parts[key] = tuple(_entries(model, raw[key], key, problems))
    problems += _scalars(raw, parts)
    problems += checks.check(parts, region, today or date.today())
    if problems:
        raise ConfigError(stack, sorted(problems, key=_order))
    fields = {_FIELDS.get(key, key): value for key, value in parts.items()}
    return schema.StackConfig.model_construct(stack=stack, region=region, **fields)


def _validated(model: type[BaseModel], value: Any, path: Path, problems: list[Problem]) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems += explain(error, model, value, path)
        return None


def _entries(model: type[BaseModel], value: Any, key: str, problems: list[Problem]) -> Iterator[Any]:
    """Valid entries, and None where an entry is not valid, so that positions stay what they are in the file."""
    if not isinstance(value, list):
        problems.append(Problem((key,), value, "must be a list: begin each entry with '- '"))
        return
    for index, entry in enumerate(value):
        yield _validated(model, entry, (key, index), problems)


def _scalars(raw: Mapping[str, Any], parts: dict[str, Any]) -> Iterator[Problem]:
    if "examples" in raw:
        parts["examples"] = raw["examples"]
        if not isinstance(raw["examples"], bool):
            yield Problem(("examples",), raw["examples"], "must be true or false")
    if "tags" in raw:
        tags = raw["tags"]
        if not isinstance(tags, dict) or not all(isinstance(v, str) for v in tags.values()):
            yield Problem(("tags",), tags, "must be names with text values, such as team: research")
            return
        parts["tags"] = tags
        for name in tags:
            if name.lower().startswith("aws:"):
                yield Problem(("tags", name), tags[name], "must not begin with aws:, which AWS keeps for itself")


def _order(problem: Problem) -> tuple[int, tuple[str, ...]]:
    head = problem.path[0]
    rank = KEYS.index(str(head)) if head in KEYS else -1
    return rank, tuple(f"{part:06d}" if isinstance(part, int) else str(part) for part in problem.path[1:2])
