"""Logs are encrypted with a key of one's own."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import known, present, text


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield log groups without a key. An unknown ARN counts as given."""
    if not present(resource.props, "kmsKeyId") or not text(known(resource.props, "kmsKeyId", default="unknown")):
        yield "kmsKeyId is missing: give the ARN of a KMS key whose policy admits logs.<region>.amazonaws.com."


RULE = ResourceRule(
    name="logs-encryption",
    title="Log groups have a KMS key",
    description="A CloudWatch log group should be encrypted with a KMS key of the account.",
    why=(
        "CloudWatch encrypts all logs with a key of its own. Audit logs name users and objects, and with a key of "
        "your own you can see who reads them, and cut them off."
    ),
    fix="Set `kmsKeyId` to the ARN of a KMS key.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=("aws:cloudwatch/logGroup:LogGroup",),
    scanners=Scanners(checkov=("CKV_AWS_158",), trivy=("AWS-0017",)),
    check=check,
)
