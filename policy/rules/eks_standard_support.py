"""Clusters do not slide into extended support."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, SUPPORT, key, read
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import text


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield a support type other than STANDARD."""
    given = text(read(resource, SUPPORT))
    if given.upper() != "STANDARD":
        stands = f"is {given}" if given else "is missing, and EKS takes EXTENDED"
        yield f"{key(resource, SUPPORT)} {stands}: write STANDARD."


RULE = ResourceRule(
    name="eks-standard-support",
    title="Standard support only",
    description="An EKS cluster must have `upgradePolicy.supportType` STANDARD.",
    why=(
        "EKS makes clusters with EXTENDED: when standard support of their release ends, they stay on it and cost six "
        "times as much per hour, without a word. With STANDARD they are upgraded instead."
    ),
    fix="Write `upgradePolicy: {supportType: STANDARD}`.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    check=check,
)
