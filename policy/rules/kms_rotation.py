"""KMS keys rotate."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, known, text, truthy


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield symmetric encryption keys that do not rotate; AWS rotates no others."""
    kinds = (known(resource.props, name) for name in ("customerMasterKeySpec", "keySpec"))
    if any(kind is not None and text(kind) != "SYMMETRIC_DEFAULT" for kind in kinds):
        return
    if text(known(resource.props, "keyUsage", default="ENCRYPT_DECRYPT")) != "ENCRYPT_DECRYPT":
        return
    if not truthy(get(resource.props, "enableKeyRotation")):
        yield "enableKeyRotation is not true: write true."


RULE = ResourceRule(
    name="kms-rotation",
    title="KMS keys rotate",
    description="Symmetric KMS keys must have automatic rotation on.",
    why=(
        "Rotation limits how much one key material protects. AWS keeps the old material, so nothing has to be "
        "encrypted again and no ARN changes. It is off unless asked for."
    ),
    fix="Write `enableKeyRotation: true`.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=("aws:kms/key:Key",),
    scanners=Scanners(checkov=("CKV_AWS_7",), trivy=("AWS-0065",)),
    check=check,
)
