"""A release about to leave standard support is said early."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, VERSION, key, path
from policy.eks_support import NEWEST, earliest_end, support_ends
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity, today
from policy.reading import known, text


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield a version whose support ends soon, or may for all that is known here. Ended, missing and unknown ones
    are for eks-supported-version."""
    version = text(known(resource.props, *path(resource, VERSION)))
    where, ends = key(resource, VERSION), support_ends(version)
    if ends is not None and 0 <= (ends - today()).days <= settings["days"]:
        yield f"{where} {version} leaves standard support on {ends}: plan the upgrade."
        return
    earliest = earliest_end(version)
    if earliest is not None and (earliest - today()).days <= settings["days"]:
        yield (
            f"{where} {version} is newer than this project's table, which ends with {NEWEST}, and may leave standard "
            f"support from {earliest} on: see AWS' release calendar, and update this project."
        )


RULE = ResourceRule(
    name="eks-support-ends-soon",
    title="The cluster's release stays in standard support for a while",
    description="An EKS cluster's version should not leave standard support within 60 days.",
    why=(
        "An upgrade of a GPU platform takes more than an afternoon: node images, drivers, device plugin and Karpenter "
        "each support certain releases. A release that this project's table does not have yet is taken to end 100 days "
        "after the one before, at the earliest (those in it: 115 to 128 days). With `supportType: STANDARD` AWS "
        "upgrades by itself soon after that day."
    ),
    fix="Upgrade one release at a time, control plane first. Set `days` to hear of it earlier or later.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_339",)),
    options={
        "days": Option(
            type="integer",
            default=60,
            description="How many days before the end of standard support to begin.",
            schema={"minimum": 0},
        )
    },
    check=check,
)
