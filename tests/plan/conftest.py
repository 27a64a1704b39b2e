"""Recordings of the whole program for each stack of the repository."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from plan.monitor import Resource
from plan.project import StackFile, find_project, load_stack
from plan.record import Recording, record
from policy.analyzer import Recorded

ROOT = Path(__file__).parents[2]
STACKS = ("dev", "staging", "prod", "local")


def owned(config: Mapping[str, str]) -> dict[str, str]:
    """A stack's configuration with values of one's own for the examples, which an update refuses."""
    return {
        key: text.replace("203.0.113.", "8.8.8.").replace("@example.com", "@gpu-slices.dev")
        for key, text in config.items()
    }


def changed_stack(values: Mapping[str, Any], stack: str = "dev") -> StackFile:
    """A stack of the repository with other values of some keys. values: by key, without the project's name."""
    config = load_stack(find_project(ROOT), stack)
    # Days are texts in JSON.
    changed = {f"gpu-slices:{key}": json.dumps(value, default=str) for key, value in values.items()}
    return StackFile(stack=stack, values={**config.values, **changed})


@cache
def _recording(stack: str) -> Recording:
    project = find_project(ROOT)
    return record(project, load_stack(project, stack))


@pytest.fixture
def recorded() -> Callable[[str], Recording]:
    """The recording of a stack, made once a session."""
    return _recording


@pytest.fixture
def planned() -> Callable[[str], list[Recorded]]:
    """A stack's resources as the pack gets them in a preview: a list of one's own, of resources that all share."""
    return lambda stack: list(_planned(stack))


@cache
def _planned(stack: str) -> tuple[Recorded, ...]:
    recording = _recording(stack)
    return tuple(as_judged(found, recording.preview_inputs(found)) for found in recording.resources)


def as_judged(resource: Resource, inputs: Mapping[str, Any]) -> Recorded:
    """A recorded resource as the pack takes it."""
    return Recorded(
        type=resource.type,
        name=resource.name,
        urn=resource.urn,
        inputs=inputs,
        parent=resource.parent,
        dependencies=resource.dependencies,
    )
