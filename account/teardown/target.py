"""Which stack is to end, from its file: what it is called in AWS, where, and whether it may."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from account.teardown.marks import Marks
from cli.errors import InputError
from cli.project import find_project, load_stack
from stacks.errors import PROJECT
from stacks.fields import MAX_NAME, NAME
from stacks.schema import Cluster, StackConfig


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stack. directory: the project's. protected: whether its file protects the cluster from deletion."""

    stack: str
    directory: Path
    marks: Marks
    protected: bool


def read_target(directory: Path, stack: str) -> Target:
    """The stack of the project in `directory` or above it.

    Only what names the stack in AWS is read: a file of which something else has become wrong since, such as a date that
    has passed, must not keep a stack from ending. Raises InputError.
    """
    project = find_project(directory)
    if project.name != PROJECT:
        raise InputError(f"project {project.name} is not {PROJECT}: nothing is known about what its stacks leave")
    values = load_stack(project, stack).values
    region = values.get("aws:region")
    if not region:
        raise InputError(f"Pulumi.{stack}.yaml: aws:region is missing: nobody knows where to look")
    section = _section(values.get(f"{PROJECT}:cluster", "{}"))
    name, protected = section.get("name"), section.get("deletionProtection", False)
    if name is not None and not (isinstance(name, str) and re.fullmatch(NAME, name) and len(name) <= MAX_NAME):
        raise InputError(f"{PROJECT}:cluster.name = {json.dumps(name)}\n  is no name of a cluster")
    if not isinstance(protected, bool):
        raise InputError(f"{PROJECT}:cluster.deletionProtection = {json.dumps(protected)}\n  must be true or false")
    cluster = Cluster.model_construct(name=name)
    known = StackConfig.model_construct(stack=stack, region=region, cluster=cluster)
    return Target(
        stack=stack,
        directory=project.directory,
        marks=Marks(stack=stack, cluster=known.cluster_name, region=region),
        protected=protected,
    )


def _section(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{PROJECT}:cluster\n  must be a section that can be read, since it names the cluster")
    return value
