"""Messages are encrypted at rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, known, present, text, truthy

_QUEUE: Final = "aws:sqs/queue:Queue"
_TOPIC: Final = "aws:sns/topic:Topic"


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield queues and topics that say nothing of encryption. An unknown key counts as given."""
    props = resource.props
    if present(props, "kmsMasterKeyId") and text(known(props, "kmsMasterKeyId", default="unknown")):
        return
    if resource.type == _TOPIC:
        yield "kmsMasterKeyId is missing: give a KMS key."
    elif not truthy(get(props, "sqsManagedSseEnabled")):
        yield "neither kmsMasterKeyId nor sqsManagedSseEnabled is set: give a KMS key, or write true."


RULE = ResourceRule(
    name="sqs-encryption",
    title="Queues and topics are encrypted",
    description="SQS queues must be encrypted with a KMS key or by SQS, SNS topics with a KMS key.",
    why=(
        "Karpenter's interruption queue tells which instances AWS takes back, and alarm topics tell what is wrong. "
        "New queues are encrypted by SQS unless a program says otherwise, so saying it keeps it so."
    ),
    fix=(
        "Set `kmsMasterKeyId` to a key of your own whose policy admits events.amazonaws.com (EventBridge cannot use "
        "alias/aws/sqs, and drops the messages without a word), or for queues `sqsManagedSseEnabled: true`."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(_QUEUE, _TOPIC),
    scanners=Scanners(checkov=("CKV_AWS_26", "CKV_AWS_27"), trivy=("AWS-0095", "AWS-0096")),
    check=check,
)
