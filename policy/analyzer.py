"""Runs the pack over recorded resources in this process: no CLI, no server.

It takes the way the policy SDK's own analyzer takes (`pulumi_policy.policy._PolicyAnalyzerServicer`): deserialise,
wrap in the unknown-checking proxy, call the same policies' `validate`, apply levels and configuration. What the engine
adds there, filling defaults and refusing wrong configuration, is done here as well. Stack policies are given what the
engine gives them: outputs, of which an object in a cluster that is not there yet has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyCustomTimeouts,
    PolicyResourceOptions,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import (
    SPECIAL_ARCHIVE_SIG,
    SPECIAL_ASSET_SIG,
    SPECIAL_SECRET_SIG,
    SPECIAL_SIG_KEY,
    deserialize_properties,
)
from pulumi_policy.policy import PolicyResource
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from gpu.files import read_text
from policy.contents import contents
from policy.engine import Inputs
from policy.framework import ResourceRule, Rule, matches, on_day, to_policy
from policy.inventory import carries
from policy.pack import RULES
from policy.registered import Resource, is_plain, shared_copies

UNKNOWN: Final = UNKNOWN_STRING_VALUE
"""The wire form of a value that is not known in preview."""


#: What the SDK can deserialise in a policy.
_SIGNATURES: Final = frozenset({SPECIAL_ARCHIVE_SIG, SPECIAL_ASSET_SIG, SPECIAL_SECRET_SIG})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A resource as a program registered it. `inputs` are in wire form: camelCase keys, unknown values as `UNKNOWN`.

    `outputs` are what the engine shows stack policies, in the same form: nothing, as in a first preview, unless given.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    parent: str | None = None
    dependencies: tuple[str, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One violation. `urn` is None where the stack as a whole is at fault; `fix` is the rule's general remedy."""

    rule: str
    title: str
    level: EnforcementLevel
    severity: str
    urn: str | None
    resource: str
    type: str
    message: str
    fix: str

    @property
    def mandatory(self) -> bool:
        """Whether it stops an update."""
        return self.level is EnforcementLevel.MANDATORY


class PolicyConfigError(ValueError):
    """The pack's configuration names a rule or an option that does not exist, or has a value of the wrong type."""


@dataclass(frozen=True, kw_only=True)
class _Setup:
    level: EnforcementLevel
    settings: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> dict[str, Any]:
    """The configuration in a JSON file, as the CLI reads it with `--policy-pack-config`; nothing if there is no file.

    Raises PolicyConfigError if it is not a JSON object.
    """
    try:
        content = read_text(path)
        found = json.loads(content) if content.strip() else {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PolicyConfigError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PolicyConfigError(f"{path.name}: {error}") from error
    if not isinstance(found, dict):
        raise PolicyConfigError(f"{path.name}: must be an object of rules")
    return found


def disabled_rules(config: Mapping[str, Any]) -> int:
    """How many rules of the pack a configuration turns off. Raises PolicyConfigError as `judge`."""
    return sum(setup.level is EnforcementLevel.DISABLED for setup in _setups(RULES, config).values())


def judge(
    resources: Sequence[Recorded],
    config: Mapping[str, Any] | None = None,
    *,
    today: date | None = None,
    rules: Sequence[Rule] | None = None,
) -> list[Verdict]:
    """Every violation of `rules` (default: the whole pack) among `resources`, resource by resource, stack rules last.

    `config` has the form of the CLI's `--policy-pack-config`: `{"all": "advisory", "rule": "disabled", "other":
    {"enforcementLevel": "mandatory", "option": 1}}`. Raises PolicyConfigError, naming every mistake at once.
    """
    all_rules = RULES if rules is None else tuple(rules)
    setups = _setups(all_rules, config) if config else _setups_without_config(all_rules)
    active = tuple(rule for rule in all_rules if setups[rule.name].level is not EnforcementLevel.DISABLED)
    inputs = Inputs()
    of_stack = [rule for rule in active if not isinstance(rule, ResourceRule)]
    policies: dict[str, Policy] = {}

    def policy_of(rule: Rule) -> Policy:
        """Made when it is asked for the first time: most programs have nothing for most rules."""
        if rule.name not in policies:
            policies[rule.name] = to_policy(rule, inputs)
        return policies[rule.name]

    verdicts: list[Verdict] = []
    with on_day(today), shared_copies():
        watched = [given for given in resources if carries(given.type) or _rules_of(active, given.type)]
        for given in watched:
            resource = _seen(given, given.inputs)
            for rule in _asked(active, given, resource.props):
                policy = policy_of(rule)
                if isinstance(policy, ResourceValidationPolicy):
                    args = _resource_args(resource, setups[rule.name])
                    policy.validate(
                        args, _reporter(rule, setups[rule.name], verdicts, {resource.urn: resource}, resource.urn)
                    )
            if not any(isinstance(rule, ResourceRule) for rule in all_rules):
                inputs.keep(resource.urn, resource.props)  # stack rules chosen by hand stand for a pack with others
        seen = [_seen(resource, resource.outputs) for resource in watched]
        by_urn = {resource.urn: resource for resource in seen}
        _link(by_urn, resources)
        for rule in of_stack:
            policy = policy_of(rule)
            if isinstance(policy, StackValidationPolicy):
                stack_args = StackValidationArgs(seen, setups[rule.name].settings)
                policy.validate(stack_args, _reporter(rule, setups[rule.name], verdicts, by_urn, None))
    return verdicts


@cache
def _rules_of(rules: tuple[Rule, ...], type_: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if matches(rule.types, type_))


def _asked(rules: tuple[Rule, ...], given: Recorded, props: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Rules about single resources that look at what it says or carries."""
    whole = Resource(type=given.type, name=given.name, urn=given.urn, props=props, parent=given.parent)
    return _shown(rules, frozenset(inside.type for inside in contents(whole)))


@cache
def _shown(rules: tuple[Rule, ...], types: frozenset[str]) -> tuple[Rule, ...]:
    """Rules about single resources that look at one of the types, or any one: the engine shows each to all."""
    about_one = tuple(rule for rule in rules if isinstance(rule, ResourceRule))
    found = {rule for type_ in types for rule in _rules_of(about_one, type_)}
    return tuple(rule for rule in about_one if rule in found) or about_one[:1]


def _seen(resource: Recorded, values: Mapping[str, Any]) -> PolicyResource:
    options = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [], resource.parent)
    props: Any
    if _known(values):
        props = dict(values)
        is_plain(props)
    else:
        props = unknown_checking_proxy(deserialize_properties(_wire(values)))
    return PolicyResource(resource.type, props, resource.urn, resource.name, options, None, None, [], {})


#: What the engine or the SDK treats in a way of its own: unknown values, special objects, internal keys.
_TREATED: Final = (f'"{UNKNOWN}"', f'"{SPECIAL_SIG_KEY}"', '"__')


def _known(values: Mapping[str, Any]) -> bool:
    """Whether the values are just what a rule would read behind the SDK's proxies, which are a third of its time."""
    try:
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError):
        return False
    return not any(mark in text for mark in _TREATED)


def _link(by_urn: Mapping[str, PolicyResource], recorded: Sequence[Recorded]) -> None:
    """Give stack rules the parents and dependencies, as far as any rule watches those resources."""
    for given in recorded:
        resource = by_urn.get(given.urn)
        if resource is not None:
            resource.parent = by_urn.get(given.parent or "")
            resource.dependencies = [by_urn[urn] for urn in given.dependencies if urn in by_urn]


def _resource_args(resource: PolicyResource, setup: _Setup) -> ResourceValidationArgs:
    return ResourceValidationArgs(
        resource.resource_type, resource.props, resource.urn, resource.name, resource.opts, None, setup.settings
    )


def _reporter(
    rule: Rule, setup: _Setup, verdicts: list[Verdict], seen: Mapping[str, PolicyResource], default_urn: str | None
) -> ReportViolation:
    def report(message: str, urn: str | None = None) -> None:
        about = urn or default_urn
        resource = seen.get(about) if about else None
        verdicts.append(
            Verdict(
                rule=rule.name,
                title=rule.title,
                level=setup.level,
                severity=rule.severity.value,
                urn=about,
                resource=resource.name if resource else "",
                type=resource.resource_type if resource else "",
                message=message,
                fix=rule.fix,
            )
        )

    return report


#: Levels below which values are not known. The engine's own messages have fewer than this (protobuf's limit is 100).
_DEEPEST: Final = 100


def _wire(value: Any, depth: int = 0) -> Any:
    """Recorded inputs as the engine would send them: plain dicts and lists, and no live SDK objects."""
    if depth > _DEEPEST:
        return UNKNOWN
    if isinstance(value, str):  # most values are, and asking whether they are a Mapping takes longer
        return value
    if isinstance(value, Mapping):
        if value.get(SPECIAL_SIG_KEY, SPECIAL_SECRET_SIG) not in _SIGNATURES:
            return UNKNOWN  # a resource reference or an output
        # The engine keeps keys of its own kind to itself (`plugin/property_filter.go`, SkipInternalKeys).
        return {str(key): _wire(element, depth + 1) for key, element in value.items() if not str(key).startswith("__")}
    if isinstance(value, list | tuple):
        return [_wire(element, depth + 1) for element in value]
    if isinstance(value, pulumi.Output | pulumi.Resource) or type(value).__name__ == "Unknown":
        return UNKNOWN
    return value


@cache
def _setups_without_config(rules: tuple[Rule, ...]) -> Mapping[str, _Setup]:
    return _setups(rules, {})


def _setups(rules: tuple[Rule, ...], config: Mapping[str, Any]) -> dict[str, _Setup]:
    wrong: list[str] = []
    names = {rule.name for rule in rules}
    wrong += [f"{name}: no such rule" for name in config if name not in names and name != "all"]
    given = config.get("all")
    given = given["enforcementLevel"] if isinstance(given, Mapping) and list(given) == ["enforcementLevel"] else given
    everywhere = _level(given, "all", wrong) if "all" in config else None
    setups = {rule.name: _setup(rule, config.get(rule.name, {}), everywhere, wrong) for rule in rules}
    if wrong:
        raise PolicyConfigError("policy configuration: " + "; ".join(wrong))
    return setups


def _setup(rule: Rule, given: Any, everywhere: EnforcementLevel | None, wrong: list[str]) -> _Setup:
    level = everywhere or rule.level
    if not isinstance(given, Mapping):
        return _Setup(level=_level(given, rule.name, wrong))
    settings = {name: value for name, value in given.items() if name != "enforcementLevel"}
    known = ", ".join(rule.options) or "none"
    wrong += [f"{rule.name}.{name}: no such option; it has {known}" for name in settings if name not in rule.options]
    if settings:
        from policy.settings import misfits  # noqa: PLC0415  loads jsonschema: 25 ms

        wrong += [f"{rule.name}.{problem}" for problem in misfits(rule, settings)]
    if "enforcementLevel" in given:
        level = _level(given["enforcementLevel"], rule.name, wrong)
    return _Setup(level=level, settings=settings)


def _level(value: Any, where: str, wrong: list[str]) -> EnforcementLevel:
    try:
        level = EnforcementLevel(value)
    except ValueError:
        wrong.append(f"{where}: {value!r} is no level; write advisory, mandatory or disabled")
        return EnforcementLevel.MANDATORY
    # No rule of the pack changes resources; the SDK treats a remediation that still violates as mandatory.
    return EnforcementLevel.MANDATORY if level is EnforcementLevel.REMEDIATE else level
