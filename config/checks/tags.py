"""Checks of tags: AWS's rules, and names that others write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from config.errors import Path, Problem
from config.fields import MAX_TAG_VALUE
from gpu.contract import OURS

_PATH: Path = ("tags",)
#: AWS allows 50 on a resource; Karpenter, EKS and these components add some.
MAX_TAGS = 30
#: EC2's API (CreateTags, Tag.Key), one less than elsewhere.
MAX_TAG_NAME = 127
#: AWS's rule for tags on resources of all services: letters, digits and spaces of any script, and these signs.
_ALLOWED = re.compile(r"[\w .:/=+\-@]*")
_ALLOWED_TEXT = "letters, digits, spaces and _ . : / = + - @"
#: Beginnings of names that are not for stack files. Karpenter refuses some of them in an EC2NodeClass and selects
#: subnets and security groups by others.
TAKEN = {
    "aws:": "AWS",
    "eks:": "EKS",
    OURS: "this project",
    "karpenter.sh/": "Karpenter",
    "karpenter.k8s.aws/": "Karpenter",
    "kubernetes.io/": "Kubernetes",
    "k8s.io/": "Kubernetes",
    "topology.kubernetes.io/": "Kubernetes",
    "elbv2.k8s.aws/": "the AWS Load Balancer Controller",
    "cluster.k8s.amazonaws.com/": "the VPC CNI",
}


def check_tags(tags: Any) -> Iterator[Problem]:
    """Everything that is wrong with the tags; every one is judged on its own."""
    if not isinstance(tags, dict):
        empty = "is empty; " if tags is None or tags == "" else ""
        yield Problem(_PATH, tags, f"{empty}must be a section of names with text values, such as team: research")
        return
    if len(tags) > MAX_TAGS:
        message = f"holds {len(tags)} tags; must be {MAX_TAGS} or fewer, since AWS allows 50 and some are set already"
        yield Problem(_PATH, tags, message)
    seen: dict[str, Any] = {}
    for name, value in tags.items():
        other = seen.setdefault(str(name).lower(), name)
        problem = _name_problem(name) or _value_problem(value)
        if other != name:
            problem = f"differs from {other} in capitals only, and IAM takes them for one: remove one of the two"
        if problem:
            yield Problem((*_PATH, str(name)), value, problem)


def _name_problem(name: Any) -> str | None:
    if not isinstance(name, str):
        return "has a name that is no text: put the name in quotes"
    for taken, owner in TAKEN.items():
        if name.lower().startswith(taken):
            return f"must not begin with {taken}, which belongs to {owner}"
    if not 1 <= len(name) <= MAX_TAG_NAME:
        return f"must have a name of 1 to {MAX_TAG_NAME} characters"
    if not _ALLOWED.fullmatch(name):
        return f"has a name with signs that AWS does not take; must be {_ALLOWED_TEXT}"
    return None


def _value_problem(value: Any) -> str | None:
    if value is None:
        return "is empty; must be a text"
    if isinstance(value, bool | int | float):
        return f'must be a text: write "{json.dumps(value)}"'
    if not isinstance(value, str):
        return "must be a text"
    if len(value) > MAX_TAG_VALUE:
        return f"must have at most {MAX_TAG_VALUE} characters"
    if not _ALLOWED.fullmatch(value):
        return f"holds signs that AWS does not take; must be {_ALLOWED_TEXT}"
    return None
