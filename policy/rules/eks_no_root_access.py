"""Cluster access is not given to a whole account, nor to its root user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import get, known, text

_ROOT: Final = re.compile(r"arn:aws[\w-]*:iam::\d{12}:root|\d{12}|\*")


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield access entries and policy associations whose principal is the root user, an account or everybody."""
    principal = text(known(resource.props, "principalArn"))
    if _ROOT.fullmatch(principal):
        policy = text(get(resource.props, "policyArn")).rpartition("/")[2]
        yield f"principalArn is {principal}{f', with {policy}' if policy else ''}: name the role that needs access."


RULE = ResourceRule(
    name="eks-no-root-access",
    title="Cluster access is for roles",
    description="EKS access entries and policy associations must not name an account, its root user or everybody.",
    why=(
        "The root user cannot be limited, has no session that ends, and is shared by whoever has the account's mail. "
        "An entry for it makes the cluster as open as the account's worst kept password."
    ),
    fix="Name an IAM role, one for each kind of person or pipeline, in `principalArn`.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=("aws:eks/accessEntry:AccessEntry", "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"),
    check=check,
)
