"""Every VPC writes flow logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Finding, Scanners, Settings, Severity, Stack, StackRule
from policy.reading import present
from policy.vpcs import belongs

_VPC: Final = ("aws:ec2/vpc:Vpc", "aws-native:ec2:Vpc")
_LOG: Final = ("aws:ec2/flowLog:FlowLog", "aws-native:ec2:FlowLog")


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield VPCs that no flow log depends on. A log of a subnet or an interface does not count."""
    logs = [log for log in stack.of(*_LOG) if present(log.props, "vpcId") or present(log.props, "resourceId")]
    for vpc in stack.of(*_VPC):
        if not any(belongs(log, vpc) for log in logs):
            yield Finding("has no flow log: add an aws.ec2.FlowLog with this VPC's id as vpcId.", vpc.urn)


RULE = StackRule(
    name="vpc-flow-logs",
    title="VPCs have flow logs",
    description="Every VPC of the stack must have a flow log.",
    why=(
        "Without them nobody can say, after an incident, which addresses a node talked to. They also show what "
        "crosses zones and NAT gateways, which is money."
    ),
    fix="Add an `aws.ec2.FlowLog` with `vpc_id=vpc.id`, to CloudWatch Logs or to S3.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*_VPC, *_LOG),
    scanners=Scanners(checkov=("CKV2_AWS_11",), trivy=("AWS-0178",)),
    check=check,
)
