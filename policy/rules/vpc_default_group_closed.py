"""A default security group admits nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield directions with rules; absent and empty lists both close the group."""
    for direction in ("ingress", "egress"):
        if get(resource.props, direction):
            yield f"{direction} has rules: leave it out, or write an empty list."


RULE = ResourceRule(
    name="vpc-default-group-closed",
    title="The default security group is closed",
    description="An `aws.ec2.DefaultSecurityGroup` must have no rules.",
    why=(
        "Whatever is started without a security group gets the VPC's default one. Closed, such a mistake shows at "
        "once, because nothing works; open, it stays and admits everything that made the same mistake."
    ),
    fix="Leave `ingress` and `egress` out, and give each resource a security group of its own.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",),
    scanners=Scanners(checkov=("CKV2_AWS_12",), trivy=("AWS-0173",)),
    check=check,
)
