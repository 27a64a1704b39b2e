"""Cluster access is not given to a whole account, nor to its root user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity, matches
from policy.inventory.texts import first
from policy.reading import each, get, known, strings, text

_ROOT: Final = re.compile(r"arn:aws[\w-]*:iam::\d{12}:root|\d{12}|\*")


_AWS_AUTH: Final = ("kubernetes:core/v1:ConfigMap", "kubernetes:core/v1:ConfigMapPatch")


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield entries whose principal is the root user, an account or everybody."""
    if matches(_AWS_AUTH, resource.type):
        yield from _aws_auth(resource)
        return
    principal = text(known(resource.props, "principalArn"))
    if _ROOT.fullmatch(principal):
        policy = text(get(resource.props, "policyArn")).rpartition("/")[2]
        yield f"principalArn is {principal}{f', with {policy}' if policy else ''}: name the role that needs access."


def _aws_auth(resource: Resource) -> Iterator[str]:
    """The older way: a ConfigMap of texts (EKS user guide, Grant IAM users access with a ConfigMap)."""
    metadata = resource.plain.get("metadata")
    if (text(get(metadata, "name")), text(get(metadata, "namespace"))) != ("aws-auth", "kube-system"):
        return
    data = resource.plain.get("data")
    for name, key in (("mapUsers", "userarn"), ("mapRoles", "rolearn"), ("mapAccounts", "")):
        written = get(data, name)
        for one in each(first(written) if isinstance(written, str) else None):
            principal = text(get(one, key)) if key else next(iter(strings(one)), "")
            if _ROOT.fullmatch(principal):
                yield f"data.{name} has {principal}: name the role that needs access."


RULE = ResourceRule(
    name="eks-no-root-access",
    title="Cluster access is for roles",
    description=(
        "EKS access entries and policy associations, and the ConfigMap `aws-auth`, must not name an account, its root "
        "user or everybody."
    ),
    why=(
        "The root user cannot be limited, has no session that ends, and is shared by whoever has the account's mail. "
        "An entry for it makes the cluster as open as the account's worst kept password."
    ),
    fix="Name an IAM role, one for each kind of person or pipeline, in `principalArn`.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=("aws:eks/accessEntry:AccessEntry", "aws:eks/accessPolicyAssociation:AccessPolicyAssociation", *_AWS_AUTH),
    check=check,
)
