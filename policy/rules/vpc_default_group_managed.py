"""Every VPC's default security group is taken over, so that it can be closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Finding, Scanners, Settings, Severity, Stack, StackRule
from policy.reading import get, present, truthy
from policy.vpcs import belongs

_VPC: Final = "aws:ec2/vpc:Vpc"
_GROUP: Final = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield VPCs whose default group nobody declares."""
    groups = [group for group in stack.of(_GROUP) if present(group.props, "vpcId")]
    for vpc in stack.of(_VPC):
        closed = truthy(get(vpc.plain, "disallowSecurityGroupDefaultRules"))  # ACK's way to have none of its rules
        if not closed and not any(belongs(group, vpc) for group in groups):
            yield Finding("has the default security group that AWS makes, which admits its own members.", vpc.urn)


RULE = StackRule(
    name="vpc-default-group-managed",
    title="The default security group is declared",
    description="Every VPC of the stack must have an `aws.ec2.DefaultSecurityGroup`, which closes the default group.",
    why="AWS makes a default group with every VPC and lets its members talk to each other and to the internet.",
    fix="Add an `aws.ec2.DefaultSecurityGroup` with `vpc_id=vpc.id` and nothing else.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(_VPC, _GROUP),
    scanners=Scanners(checkov=("CKV2_AWS_12",), trivy=("AWS-0173",)),
    check=check,
)
