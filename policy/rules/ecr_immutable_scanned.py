"""Image tags do not move, and pushed images are scanned."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, text, truthy


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield repositories whose tags can be overwritten, or whose images nobody looks at."""
    mutability = text(get(resource.props, "imageTagMutability"))
    if not mutability.upper().startswith("IMMUTABLE"):
        yield f"imageTagMutability is {mutability or 'missing, which means MUTABLE'}: write IMMUTABLE."
    if not truthy(get(resource.props, "imageScanningConfiguration", "scanOnPush")):
        yield "imageScanningConfiguration.scanOnPush is not true: write true."


RULE = ResourceRule(
    name="ecr-immutable-scanned",
    title="Image tags stay, and images are scanned",
    description="An ECR repository should have immutable tags and scan images when they are pushed.",
    why=(
        "A tag that moves makes two nodes run two programs under one name, and lets whoever can push change what runs "
        "in the cluster. Scans tell of known flaws before a pod does."
    ),
    fix=(
        "Write `imageTagMutability: IMMUTABLE` and `imageScanningConfiguration: {scanOnPush: true}`. Where the "
        "registry scans all repositories by its own configuration, disable this rule."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.ADVISORY,
    types=("aws:ecr/repository:Repository",),
    scanners=Scanners(checkov=("CKV_AWS_51", "CKV_AWS_163"), trivy=("AWS-0030", "AWS-0031"), cis=("5.1.1",)),
    check=check,
)
