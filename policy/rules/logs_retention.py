"""Logs are kept for a year, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, text, whole


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield log groups that keep too little, or everything for ever."""
    given = get(resource.props, "retentionInDays")
    days, least = whole(given), settings["minDays"]
    if given is not None and days is None:
        yield f"retentionInDays is {text(given) or 'empty'}, which is no number of days: write {least:g} or more."
    elif not days:
        if not settings["allowForEver"]:
            yield f"retentionInDays is not set, so logs are kept, and paid, for ever: write {least:g} or more."
    elif days < least:
        yield f"retentionInDays is {days}: write {least:g} or more."


RULE = ResourceRule(
    name="logs-retention",
    title="Log groups keep a year",
    description="A CloudWatch log group should keep its logs for at least a year, and name an end.",
    why=(
        "Break-ins are found after months; audit and flow logs that are gone by then are no help. CloudWatch keeps "
        "everything for ever unless told otherwise, and the bill grows every month."
    ),
    fix="Write `retentionInDays: 365`. Set `minDays` lower for programs whose logs nobody has to keep.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=("aws:cloudwatch/logGroup:LogGroup",),
    scanners=Scanners(checkov=("CKV_AWS_66", "CKV_AWS_338")),
    options={
        "minDays": Option(
            type="integer", default=365, description="Days that logs must be kept.", schema={"minimum": 1}
        ),
        "allowForEver": Option(type="boolean", default=False, description="Accept groups that keep logs for ever."),
    },
    check=check,
)
