"""The control plane writes all its logs."""

from __future__ import annotations

from collections.abc import Iterator

from policy.control_plane import CLUSTER_TYPES, LOGS, key, read
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import each, get, strings, text


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield the log types that are not on."""
    given = read(resource, LOGS)
    on = {*strings(given), *(text(get(entry, "type")) for entry in each(given))}
    missing = [name for name in settings["logTypes"] if name not in on]
    if missing:
        yield f"{key(resource, LOGS)} lacks {', '.join(missing)}: add what is missing."


RULE = ResourceRule(
    name="eks-control-plane-logs",
    title="The control plane writes all its logs",
    description="An EKS cluster must have all five control plane log types on.",
    why=(
        "EKS writes none by itself, and logs that were off cannot be fetched later: without audit and authenticator "
        "nobody can say who did what, without scheduler and controllerManager why a GPU pod did not start."
    ),
    fix="Write `enabledClusterLogTypes: [api, audit, authenticator, controllerManager, scheduler]`.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_37",), trivy=("AWS-0038",), cis=("2.1.1",)),
    options={
        "logTypes": Option(
            type="array",
            default=["api", "audit", "authenticator", "controllerManager", "scheduler"],
            description="Log types that must be on.",
            schema={"items": {"type": "string"}},
        )
    },
    check=check,
)
