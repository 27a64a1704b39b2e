"""What a rule is, and how it becomes a CrossGuard policy.

A rule looks at the inputs of resources and yields what is wrong. It declares the resource types it looks at, so that
a large stack is not walked once per rule. A value that is not known in preview ends the check of that resource with a
violation, never with a silent pass: the policy SDK itself would turn it into an advisory note and let the update
start (pulumi-policy 1.21, `_PolicyAnalyzerServicer.Analyze`). Stack rules see inputs too: the engine gives stack
policies outputs, so resource policies keep the inputs for them (`policy.engine`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final, Literal

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

from policy.contents import contents, of_stack, origin, placed
from policy.engine import Inputs, speechless
from policy.registered import Resource, shared, shared_copies

__all__ = [
    "EnforcementLevel",
    "Finding",
    "Option",
    "Resource",
    "ResourceRule",
    "Rule",
    "Scanners",
    "Severity",
    "Stack",
    "StackRule",
    "by_resource",
    "matches",
    "on_day",
    "shared_copies",
    "to_policy",
    "today",
]

Settings = Mapping[str, Any]
"""A rule's configuration, defaults filled in."""

_DAY: ContextVar[date | None] = ContextVar("day", default=None)


def today() -> date:
    """The day (UTC) on which rules judge expiry dates."""
    return _DAY.get() or datetime.now(UTC).date()


@contextmanager
def on_day(day: date | None) -> Iterator[None]:
    """Judge as if it were `day`; `None` keeps the real day."""
    token = _DAY.set(day)
    try:
        yield
    finally:
        _DAY.reset(token)


@dataclass(frozen=True, kw_only=True)
class Scanners:
    """Ids of the same check elsewhere: Checkov (`CKV_...`), Trivy (`AWS-0000`), CIS EKS benchmark 1.8 (`5.4.1`)."""

    checkov: tuple[str, ...] = ()
    trivy: tuple[str, ...] = ()
    cis: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a rule, as JSON schema; set it with `--policy-pack-config`."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"]
    default: Any
    description: str
    schema: Mapping[str, Any] = field(default_factory=dict)

    def as_schema(self) -> dict[str, Any]:
        """The option as a JSON schema property."""
        return {"type": self.type, "default": self.default, "description": self.description, **self.schema}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Every resource of the stack that the rule asked for."""

    resources: Sequence[Resource]

    def of(self, *types: str) -> Iterator[Resource]:
        """Resources whose type matches one of `types` (shell-style patterns)."""
        return (resource for resource in self.resources if matches(types, resource.type))


@dataclass(frozen=True)
class Finding:
    """A stack rule's violation: what is wrong, what to write instead, and the URN it is about."""

    message: str
    urn: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """What every rule says of itself.

    `types` are shell-style patterns over type tokens (`kubernetes:karpenter.sh/*:NodePool`); resources of other types
    never reach the rule. `description` says what is forbidden, `why` the reason, `fix` how to satisfy it.
    """

    name: str
    title: str
    description: str
    why: str
    fix: str
    severity: Severity
    level: EnforcementLevel
    types: tuple[str, ...]
    scanners: Scanners = Scanners()
    options: Mapping[str, Option] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, dict[str, Any]]:
        """The options as properties of a JSON schema."""
        return {name: option.as_schema() for name, option in self.options.items()}

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """`given`, with this rule's defaults where it says nothing (the engine fills them; tests and plans do not)."""
        return {**{name: option.default for name, option in self.options.items()}, **given}


@dataclass(frozen=True, kw_only=True, eq=False)
class ResourceRule(Rule):
    """A rule about one resource at a time; `check` yields messages."""

    check: Callable[[Resource, Settings], Iterable[str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class StackRule(Rule):
    """A rule about how resources fit together; `check` yields findings."""

    check: Callable[[Stack, Settings], Iterable[Finding]]


@cache
def _beginning(pattern: str) -> str:
    """What stands before the first wildcard: few patterns share it with a type, and only these must be compiled."""
    return re.split(r"[*?[]", pattern, maxsplit=1)[0]


@cache
def matches(types: tuple[str, ...], type_: str) -> bool:
    """Whether the type token is one of `types` (shell-style patterns, case matters)."""
    return any(type_.startswith(_beginning(pattern)) and fnmatchcase(type_, pattern) for pattern in types)


def not_literal(error: UnknownValueError) -> str:
    """The violation for a value that must be known in preview and is not."""
    return (
        f"{'.'.join(error.props) or 'a value'} must be a literal: it depends on another resource's output, so nothing "
        "can be checked before the update. Write the value itself, or read it from the stack's configuration."
    )


def _validate_resource(rule: ResourceRule, inputs: Inputs) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        inputs.keep(args.urn, args.props)
        if speechless(args.resource_type, args.props):
            return
        whole = Resource(
            type=args.resource_type, name=args.name, urn=args.urn, props=args.props, parent=args.opts.parent
        )
        settings = rule.settings(args.get_config())
        for resource in contents(whole):
            if matches(rule.types, resource.type):
                place = origin(resource.urn)[1]
                try:
                    for message in rule.check(resource, settings):
                        report(placed(message, place), None)
                except UnknownValueError as error:
                    report(placed(not_literal(error), place), None)
                except RecursionError:
                    report(placed(TOO_DEEP, place), None)

    return validate


TOO_DEEP: Final = "cannot be judged: it is nested too deep. Write it in fewer levels, or as resources of their own."


UNSEEN: Final = (
    "cannot be judged: all rules about single resources are disabled, and the engine shows inputs to them alone. "
    "Leave one of them on; as advisory it stops nothing."
)


def _written(resources: Sequence[PolicyResource], written: Mapping[str, Mapping[str, Any]]) -> Iterator[Resource]:
    """A stack's resources with their inputs, in an order of their own: the engine's is another each time (a map of
    Go's), and findings must not hang on it."""
    for seen in sorted(resources, key=lambda seen: seen.urn):
        yield Resource(
            type=seen.resource_type,
            name=seen.name,
            urn=seen.urn,
            # What is read or imported only, or not a target of this update, has no inputs here and stands in AWS or in
            # the cluster already: its outputs are complete.
            props=written.get(seen.urn, seen.props),
            parent=seen.parent.urn if seen.parent else None,
            dependencies=tuple(other.urn for other in seen.dependencies),
        )


def _validate_stack(rule: StackRule, inputs: Inputs) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        written = inputs.read()
        if args.resources and not written:
            report(UNSEEN, None)
            return
        try:
            # One list is shown to all rules offline; the engine shows each of them another.
            everything = shared("stack", args.resources, lambda: of_stack(_written(args.resources, written)))
            resources = [resource for resource in everything if matches(rule.types, resource.type)]
            for finding in rule.check(Stack(resources=resources), rule.settings(args.get_config())):
                urn, place = origin(finding.urn)
                report(placed(finding.message, place), urn)
        except UnknownValueError as error:
            report(not_literal(error), None)
        except RecursionError:
            report(TOO_DEEP, None)

    return validate


def by_resource(resources: Iterable[Resource], check: Callable[[Resource], Iterable[Finding]]) -> Iterator[Finding]:
    """What `check` finds about each resource. A value that is not known ends the check of that resource alone."""
    for resource in resources:
        try:
            yield from check(resource)
        except UnknownValueError as error:
            yield Finding(not_literal(error), resource.urn)


_FRAMEWORK: Final = "CIS Amazon EKS Benchmark"


def to_policy(rule: Rule, inputs: Inputs) -> Policy:
    """The rule as the CrossGuard policy that the engine, and `policy.analyzer`, run.

    All policies of a pack share `inputs`: resource rules write them, stack rules read them. Raises TypeError for a rule
    of neither kind.
    """
    if isinstance(rule, ResourceRule):
        return ResourceValidationPolicy(validate=_validate_resource(rule, inputs), **_described(rule))
    if isinstance(rule, StackRule):
        return StackValidationPolicy(validate=_validate_stack(rule, inputs), **_described(rule))
    raise TypeError(f"rule {rule.name} is neither a ResourceRule nor a StackRule")


@cache
def _described(rule: Rule) -> Mapping[str, Any]:
    """What a policy says of itself, whatever it is shown."""
    cis = rule.scanners.cis
    return {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": rule.level,
        "display_name": rule.title,
        "severity": rule.severity,
        "remediation_steps": rule.fix,
        "tags": [*rule.scanners.checkov, *rule.scanners.trivy],
        "config_schema": PolicyConfigSchema(rule.schema) if rule.options else None,
        "framework": PolicyComplianceFramework(name=_FRAMEWORK, version="1.8", specification=", ".join(cis))
        if cis
        else None,
    }
