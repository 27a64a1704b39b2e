"""Which stack is to end, from its file: what it is called in AWS, where, and whether it may."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from account.teardown.marks import DoorRecord, Marks
from config.errors import PROJECT
from config.schema import Cluster, StackConfig
from gpu.contract import STACK_TAG
from gpu.naming import MAX_NAME, NAME
from plan.errors import InputError
from plan.project import Project, find_project, load_stack

#: Beginning of the name that people call the door by (components.serving.dialogue.SERVICE, which loads Pulumi).
DIALOGUE_HOST: Final = "dialogue"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stack. directory: the project's. protected: whether its file protects the cluster from deletion."""

    stack: str
    directory: Path
    marks: Marks
    protected: bool


#: The form of AWS' regions: us-east-1, us-gov-west-1, ap-southeast-7.
_REGION = r"[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}"


def read_target(directory: Path, stack: str) -> Target:
    """The stack of the project in `directory` or above it.

    Only what names the stack in AWS is read: a file of which something else has become wrong since, such as a date that
    has passed, must not keep a stack from ending. Raises InputError.
    """
    project, values, region = _read(directory, stack)
    section = _section("cluster", "since it names the cluster", values)
    if section.get("existing") is not None:
        raise InputError(_on_existing(stack, region, section["existing"]))
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
        marks=Marks(stack=stack, cluster=known.cluster_name, region=region, door=_door(values)),
        protected=protected,
    )


def read_region(directory: Path, stack: str) -> str:
    """The stack's region, also of one on a cluster that is there. Raises InputError."""
    return _read(directory, stack)[2]


def _read(directory: Path, stack: str) -> tuple[Project, Mapping[str, str], str]:
    """Project, the file's values by key, and the region."""
    project = find_project(directory)
    if project.name != PROJECT:
        raise InputError(f"project {project.name} is not {PROJECT}: nothing is known about what its stacks leave")
    values = load_stack(project, stack).values
    region = values.get("aws:region")
    if not region:
        raise InputError(f"Pulumi.{stack}.yaml: aws:region is missing: nobody knows where to look")
    if not re.fullmatch(_REGION, region):
        raise InputError(
            f"Pulumi.{stack}.yaml: aws:region = {json.dumps(region)}\n  is no region: nothing can be found there"
        )
    return project, values, region


def _on_existing(stack: str, region: str, cluster: object) -> str:
    """What is said in place of looking: by a cluster's marks this command would find what is others'."""
    tag = f"Key={STACK_TAG},Values={stack}"
    return (
        f"stack {stack} is on the existing cluster {cluster}, and slices teardown looks for what a cluster leaves: it "
        "would find what is others'.\n  pulumi destroy takes away all that is the stack's, its nodes as well. To look: "
        f"aws resourcegroupstaggingapi get-resources --region {region} --tag-filters {tag}"
    )


def _door(values: Mapping[str, str]) -> DoorRecord | None:
    """The record that the program writes for the door, where the file names a zone for it (components.serving.door)."""
    why = "since it names the door's record"
    door = _section("serving", why, values).get("door")
    if door is not None and not isinstance(door, dict):
        raise InputError(f"{PROJECT}:serving.door = {json.dumps(door)}\n  must be a section that can be read, {why}")
    zone, domain = (door or {}).get("hostedZoneId"), (door or {}).get("domain")
    if zone is None or domain is None:
        return None
    for key, value in (("hostedZoneId", zone), ("domain", domain)):
        if not isinstance(value, str) or not value:
            raise InputError(f"{PROJECT}:serving.door.{key} = {json.dumps(value)}\n  must be text, {why}")
    return DoorRecord(zone, f"{DIALOGUE_HOST}.{domain}")


def _section(key: str, why: str, values: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        value = json.loads(values.get(f"{PROJECT}:{key}", "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{PROJECT}:{key}\n  must be a section that can be read, {why}")
    return value
