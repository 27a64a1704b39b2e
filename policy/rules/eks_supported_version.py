"""Clusters run a release in standard support."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, VERSION, key, read
from policy.eks_support import minor, support_ends
from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity, today
from policy.reading import text
from versions import EKS_DEFAULT_VERSION


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield a version that is missing, is none, or has left standard support."""
    version = text(read(resource, VERSION))
    name = key(resource, VERSION)
    if not version:
        yield f"{name} is missing, so the day of the update decides which release it is: write {EKS_DEFAULT_VERSION}."
        return
    ends = support_ends(version)
    if minor(version) is None:
        yield f"{name} is {version!r}, which is no EKS release: write one such as {EKS_DEFAULT_VERSION}."
    elif ends is not None and ends < today():
        best = support_ends(EKS_DEFAULT_VERSION)
        remedy = f"write {EKS_DEFAULT_VERSION}"
        if best is not None and best < today():
            remedy = f"so did {EKS_DEFAULT_VERSION}, the newest that this project knows; update it"
        yield f"{name} {version} left standard support by {ends}: {remedy}."


RULE = ResourceRule(
    name="eks-supported-version",
    title="The cluster's release is in standard support",
    description="An EKS cluster must name its Kubernetes version, and that must be in standard support.",
    why=(
        "A control plane in extended support costs six times as much, and after that AWS upgrades it on a day of its "
        "own choice. The dates stand in this project's table of versions; newer releases pass, and "
        "`eks-support-ends-soon` says so."
    ),
    fix="Write a `version` that AWS supports, as text in quotes: YAML reads 1.30 as 1.3.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_339",)),
    check=check,
)
