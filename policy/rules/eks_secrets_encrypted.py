"""Kubernetes secrets are encrypted with a key of one's own."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, KEY, key, path
from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import known, present, strings, text


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield a missing key, or a configuration that leaves secrets out. An unknown ARN counts as given."""
    where = path(resource, KEY)
    arn = text(known(resource.props, *where, default="unknown")).strip()
    if not present(resource.props, *where) or not arn:
        yield f"{key(resource, KEY)} is missing: give the ARN of a KMS key."
    elif len(where) > 1:
        resources = known(resource.props, *where[:-2], "resources")
        if resources is not None and "secrets" not in strings(resources):
            yield f"{where[0]}.resources does not name secrets: write [secrets]."


RULE = ResourceRule(
    name="eks-secrets-encrypted",
    title="Kubernetes secrets are encrypted with a KMS key",
    description="An EKS cluster must encrypt its secrets with a KMS key of the account.",
    why=(
        "EKS encrypts etcd with a key that AWS owns. Only a key of one's own can be audited, restricted and cut off, "
        "and whoever reads a copy of the store without it reads nothing."
    ),
    fix="Set `encryptionConfigKeyArn` (eks.Cluster) or `encryptionConfig.provider.keyArn` to the ARN of a KMS key.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_58",), trivy=("AWS-0039",), cis=("5.3.1",)),
    check=check,
)
