"""Reads a stack's configuration into a StackConfig, or says everything that is wrong with it.

Validation happens here and nowhere else: once, at the edge. What is wrong with one value does not hide what is wrong
with another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from config import checks, schema
from config.checks.budget import check_budget
from config.checks.region import UNREAD, check_region, is_unread, known_region
from config.checks.tags import check_tags
from config.errors import MISSING, PROJECT, ConfigError, Path, Problem, is_ours_misspelt
from config.explain import keys_hint, nearest_key
from config.floor import filled
from config.partial import read
from config.placing import place
from config.section import Section
from config.wording import TOP_ELSEWHERE

#: Top-level keys whose value is one section, and those whose value is a list of sections.
SECTIONS: Mapping[str, type[Section]] = {
    "cluster": schema.Cluster,
    "network": schema.Network,
    "karpenter": schema.Karpenter,
    "gpuSharing": schema.GpuSharing,
    "serving": schema.Serving,
    "dialogue": schema.Dialogue,
    "budget": schema.Budget,
    "monitoring": schema.Monitoring,
    "usage": schema.Usage,
}
LISTS: Mapping[str, type[Section]] = {
    "cpuPools": schema.CpuPool,
    "pools": schema.GpuPool,
    "models": schema.Model,
    "workloads": schema.Workload,
}

#: In the order in which Pulumi.yaml describes them.
KEYS = (
    "cluster",
    "network",
    "karpenter",
    "cpuPools",
    "pools",
    "gpuSharing",
    "models",
    "serving",
    "workloads",
    "dialogue",
    "budget",
    "monitoring",
    "usage",
    "examples",
    "tags",
)

#: Sections that are absent when they are empty, which is what Pulumi.yaml's defaults make them.
OPTIONAL = ("dialogue", "budget")

#: Field of StackConfig for each key that is spelt differently.
_FIELDS = {"cpuPools": "cpu_pools", "gpuSharing": "gpu_sharing"}


def parse(raw: Mapping[str, Any], *, stack: str, region: str | None, today: date | None = None) -> schema.StackConfig:
    """Validates a whole configuration. ``raw`` holds the values by key without the project's name.

    Raises ConfigError with every problem, in the order of ``raw``.
    """
    problems = [_unknown(key, raw[key]) for key in raw if key not in KEYS]
    values = _values(filled(raw), problems)
    problems += check_region(region)
    said = _parts(values, stack, region, today or date.today())
    of_pools, slots = checks.check_pools(said)
    parts, unmet = place(said, slots)
    problems += [*of_pools, *unmet, *checks.check(parts, slots)]
    if problems:
        once = _each_once(problems)
        raise ConfigError(stack, sorted(once, key=lambda problem: _position(raw, problem.path)))
    values |= {"models": parts.models, "workloads": parts.workloads}
    fields = {_FIELDS.get(key, key): value for key, value in values.items()}
    config = schema.StackConfig.model_construct(stack=stack, region=region, **fields)
    if short := list(check_budget(config)):
        raise ConfigError(stack, short)
    return config


def _parts(values: Mapping[str, Any], stack: str, region: str | None, today: date) -> checks.Parts:
    return checks.Parts(
        stack=stack,
        region=known_region(region),
        today=today,
        cluster=values["cluster"],
        network=values["network"],
        karpenter=values["karpenter"],
        cpu_pools=values["cpuPools"],
        pools=values["pools"],
        gpu_sharing=values["gpuSharing"],
        models=values["models"],
        serving=values["serving"],
        workloads=values["workloads"],
        dialogue=values["dialogue"],
        budget=values["budget"],
        monitoring=values["monitoring"],
        usage=values["usage"],
        examples=values["examples"],
    )


def _unknown(key: str, value: Any) -> Problem:
    if is_ours_misspelt(key):
        meant = key.partition(":")[2]
        message = f"belongs to nobody here: keys of this project begin with {PROJECT}:; did you mean {PROJECT}:{meant}?"
        return Problem((key,), value, message, meant=meant)
    if is_unread(key):
        return Problem((key,), value, UNREAD)
    if key in TOP_ELSEWHERE:
        return Problem((key,), value, TOP_ELSEWHERE[key])
    message = f"is not a key of this project: {keys_hint(key, KEYS)}"
    return Problem((key,), value, message, meant=nearest_key(key, KEYS))


def _each_once(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Without keys that are missing only because they are misspelt: that is said already."""
    meant = {(*problem.path[:-1], problem.meant) for problem in problems if problem.meant}
    return [problem for problem in problems if problem.value is not MISSING or problem.path not in meant]


def _values(raw: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The value of every key, valid as far as it can be; None where it is not. Appends what is wrong."""
    values: dict[str, Any] = {}
    misspelt = {problem.meant for problem in problems} - raw.keys()
    for key in KEYS:
        field = schema.StackConfig.model_fields[_FIELDS.get(key, key)]
        if key not in raw or (key in OPTIONAL and raw[key] == {}):
            values[key] = None if key in misspelt else field.get_default(call_default_factory=True)
        elif key in SECTIONS:
            values[key] = read(SECTIONS[key], raw[key], (key,), problems)
        elif key in LISTS:
            values[key] = _entries(LISTS[key], raw[key], key, problems)
        elif key == "tags":
            values[key] = raw[key]
            problems += check_tags(raw[key])
        else:
            values[key] = raw[key]
            problems += _boolean(key, raw[key])
    if not values["pools"] and values["pools"] is not None:
        where = raw.get("pools", MISSING)
        verb = "is missing" if where is MISSING else "is empty"
        problems.append(Problem(("pools",), where, f"{verb}: write at least one GPU pool"))
        values["pools"] = None
    return values


def _entries(model: type[Section], value: Any, key: str, problems: list[Problem]) -> Sequence[Section | None] | None:
    """Entries, each valid as far as it can be; None where an entry is none, so that positions stay as in the file."""
    if not isinstance(value, list):
        empty = "is empty; " if value is None or value == "" else ""
        problems.append(Problem((key,), value, f"{empty}must be a list: begin each entry with '- '"))
        return None
    return tuple(read(model, entry, (key, index), problems) for index, entry in enumerate(value))


def _boolean(key: str, value: Any) -> list[Problem]:
    if isinstance(value, bool):
        return []
    empty = "is empty; " if value is None or value == "" else ""
    quotes = ": leave the quotes out" if value in ("true", "false") else ""
    return [Problem((key,), value, f"{empty}must be true or false{quotes}")]


def _position(raw: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """Where a path stands in the configuration; missing keys come at the end of their section."""
    if path[0] not in KEYS and path[0] not in raw:
        return (-1,)
    position = []
    here: Any = raw
    for part in path:
        if isinstance(here, Mapping):
            position.append(list(here).index(part) if part in here else len(here))
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            position.append(part)
            here = here[part]
        else:
            break
    return tuple(position)
