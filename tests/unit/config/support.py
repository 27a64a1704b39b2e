"""A valid stack, and ways to spoil it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from config.errors import ConfigError, Problem
from config.load import parse
from config.schema import StackConfig
from tests.day import TODAY

#: What `Pulumi.dev.yaml` holds, without the project's name, and with a budget above all that tests add.
DEV: dict[str, Any] = {
    "cluster": {"publicAccessCidrs": ["203.0.113.0/24"]},
    "pools": [
        {
            "name": "shared",
            "instanceFamilies": ["g6", "g5"],
            "gpusPerNode": [1],
            "maxGpus": 2,
            "sharing": {"strategy": "time-slicing", "replicas": 3},
        }
    ],
    "models": [
        {"name": "mistral", "model": "mistral:7b", "pool": "shared"},
        {"name": "llama2", "model": "llama2:7b", "pool": "shared"},
        {"name": "llama3-2", "model": "llama3.2:3b", "pool": "shared"},
    ],
    "dialogue": {"speakers": ["mistral", "llama2"], "guests": ["llama3-2"]},
    "budget": {"monthlyUsd": 40_000, "emails": ["platform@example.com"]},
    "tags": {"cost-center": "research"},
}

MPS = {"strategy": "mps", "replicas": 3}
MIG = {"strategy": "mig", "profile": "1g.10gb"}
#: Changes that make the pool one of p5 nodes.
P5 = {"pools[0].instanceFamilies": ["p5"]}
ON_DEMAND = {"justification": "GPU-142: must answer during Spot shortages", "expires": "2027-03-31"}
CONTAINER = {"name": "app", "image": "ghcr.io/acme/app:1.2.3", "slots": 1}
WORKLOAD = {"name": "batch", "pool": "shared", "containers": [CONTAINER]}
ADMIN = "arn:aws:iam::111122223333:role/Admin"

#: In place of a value: the key is taken away.
GONE = object()


def changed(changes: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The dev stack with values set by path, such as `pools[0].sharing.replicas`."""
    raw = dict(copy.deepcopy(DEV if base is None else base))
    for path, value in changes.items():
        parts = [int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", path)]
        put(raw, parts, copy.deepcopy(value) if value is not GONE else GONE)
    return raw


def put(raw: Any, parts: list[Any], value: Any) -> None:
    """Set, append or take away the value at a path; sections on the way are made."""
    *way, last = parts
    for part in way:
        raw = raw.setdefault(part, {}) if isinstance(raw, dict) else raw[part]
    if value is GONE:
        del raw[last]
    elif isinstance(raw, list) and last == len(raw):
        raw.append(value)
    else:
        raw[last] = value


def problems_of(raw: Mapping[str, Any], *, region: str | None = "us-east-1", stack: str = "dev") -> list[Problem]:
    """Problems of a configuration; none when it is valid."""
    try:
        parsed(raw, region=region, stack=stack)
    except ConfigError as error:
        return list(error.problems)
    return []


def parsed(raw: Mapping[str, Any], *, region: str | None = "us-east-1", stack: str = "dev") -> StackConfig:
    """The validated configuration. Raises ConfigError."""
    return parse(raw, stack=stack, region=region, today=TODAY)
