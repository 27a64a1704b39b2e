"""Nodes reach the Kubernetes API inside the VPC."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, PRIVATE, PUBLIC, key, read
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import truthy


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield a private endpoint that is off, and a public one where none may be."""
    if not truthy(read(resource, PRIVATE)):
        yield f"{key(resource, PRIVATE)} is not true, and EKS leaves it off by itself: write true."
    public = read(resource, PUBLIC)
    if not settings["allowPublic"] and (public is None or truthy(public)):
        yield f"{key(resource, PUBLIC)} is not false, and EKS turns it on by itself: write false."


RULE = ResourceRule(
    name="eks-private-endpoint",
    title="The Kubernetes API has a private endpoint",
    description="An EKS cluster must have its private endpoint on; with `allowPublic: false` no public one.",
    why=(
        "Without a private endpoint every node talks to its control plane through the internet, and the allowlist has "
        "to admit the nodes. A public endpoint behind an allowlist is accepted by default, because people and "
        "continuous integration have to get in; the rule eks-endpoint-allowlist watches the list."
    ),
    fix="Write `endpointPrivateAccess: true`, and `endpointPublicAccess: false` where nobody needs the public one.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_39",), trivy=("AWS-0040",), cis=("5.4.2",)),
    options={
        "allowPublic": Option(
            type="boolean", default=True, description="Accept a public endpoint beside the private one."
        )
    },
    check=check,
)
