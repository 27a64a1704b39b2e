"""Checks of names: each is used once, and what is referred to exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config.checks.parts import Named, Parts, attempt, name_of, names_of
from config.errors import Problem, one_of
from config.schema import Dialogue, Model, Workload
from config.services import ollama_name
from gpu.models import find_model

#: Taken by the device plugin's configuration for GPU nodes of no pool.
_RESERVED = "default"


def check_names(parts: Parts) -> Iterator[Problem]:
    """NodePools share one name space, models and workloads another; references name entries that exist."""
    yield from _unique({"cpuPools": parts.cpu_pools, "pools": parts.pools}, "pool")
    yield from _unique({"models": parts.models, "workloads": parts.workloads}, "model or workload")
    for index, pool in enumerate(parts.pools or ()):
        if name_of(pool) == _RESERVED:
            yield Problem(("pools", index, "name"), _RESERVED, "is taken by GPU nodes of no pool: choose another name")
    known, complete = names_of(parts.pools)
    if complete:
        for key, entries in (("models", parts.models), ("workloads", parts.workloads)):
            yield from _pools_of(key, entries or (), known)
    if parts.dialogue:
        yield from attempt(_talking("speakers", parts.dialogue, parts.models))
        yield from attempt(_talking("guests", parts.dialogue, parts.models))


def _unique(lists: Mapping[str, Sequence[Named | None] | None], what: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key, entries in lists.items():
        for index, entry in enumerate(entries or ()):
            name = name_of(entry)
            if name in seen:
                yield Problem((key, index, "name"), name, f"is the name of another {what} already: {seen[name]}")
            elif name:
                seen[name] = f"{key}[{index}]"


def _pools_of(key: str, entries: Sequence[Model | Workload | None], known: Sequence[str]) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        if entry:
            yield from attempt(_pool_of(key, index, entry, known))


def _pool_of(key: str, index: int, entry: Model | Workload, known: Sequence[str]) -> Iterator[Problem]:
    if entry.pool not in known:
        yield Problem((key, index, "pool"), entry.pool, f"is no GPU pool of this stack: {one_of(entry.pool, known)}")


def _talking(field: str, dialogue: Dialogue, models: Sequence[Model | None] | None) -> Iterator[Problem]:
    names = dialogue.speakers if field == "speakers" else dialogue.guests
    before = dialogue.speakers if field == "guests" else ()
    known, complete = names_of(models)
    for index, name in enumerate(names):
        yield from attempt(_talks(field, index, name, models or ()))
        if name in names[:index] or name in before:
            yield Problem(("dialogue", field, index), name, "is listed twice")
        elif complete and name not in known:
            allowed = one_of(name, known) if known else "write it under models"
            yield Problem(("dialogue", field, index), name, f"is no model of this stack: {allowed}")


def _talks(field: str, index: int, name: str, models: Sequence[Model | None]) -> Iterator[Problem]:
    """Models for embeddings answer no question."""
    for model in models:
        if name_of(model) != name or model is None:
            continue
        spec = find_model(ollama_name(model))
        if spec and spec.purpose == "embedding":
            message = f"cannot talk: {spec.name} is a model for embeddings (/api/embed)"
            yield Problem(("dialogue", field, index), name, message)
