"""What policy tests share: one call that judges inputs the way the analyzer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policy.analyzer import UNKNOWN, Recorded, Verdict, judge
from policy.framework import Rule
from tests.day import TODAY

__all__ = ["UNKNOWN", "judged", "recorded", "violations"]


def recorded(
    type_: str,
    inputs: Mapping[str, Any],
    name: str = "it",
    parent: str | None = None,
    dependencies: tuple[str, ...] = (),
) -> Recorded:
    """A resource as a program would have registered it."""
    urn = f"urn:pulumi:dev::test::{type_}::{name}"
    return Recorded(type=type_, name=name, urn=urn, inputs=inputs, parent=parent, dependencies=dependencies)


def judged(rule: Rule, *resources: Recorded, **options: Any) -> list[Verdict]:
    """Verdicts of one rule on a stack of `resources`, on 2026-11-21."""
    return judge(list(resources), {rule.name: options} if options else None, today=TODAY, rules=[rule])


def violations(rule: Rule, type_: str, inputs: Mapping[str, Any], **options: Any) -> list[str]:
    """Messages of one rule about one resource."""
    return [verdict.message for verdict in judged(rule, recorded(type_, inputs), **options)]
