"""A verdict of the policy pack as JSON, for machines."""

from __future__ import annotations

from typing import Any

from policy.analyzer import Verdict


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict; `urn` is null where everything together is at fault."""
    return {
        "rule": verdict.rule,
        "title": verdict.title,
        "level": verdict.level.value,
        "severity": verdict.severity,
        "urn": verdict.urn,
        "type": verdict.type,
        "resource": verdict.resource,
        "message": verdict.message,
        "fix": verdict.fix,
    }
