"""The in-process analyzer agrees with the policy SDK's own, and refuses wrong configuration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_policy import EnforcementLevel, Severity

from policy.analyzer import PolicyConfigError, judge, read_config
from policy.framework import (
    Finding,
    Option,
    Resource,
    ResourceRule,
    Settings,
    Stack,
    StackRule,
    on_day,
)
from policy.inventory.texts import file_content
from policy.pack import RULES, policies
from policy.reading import get
from tests.day import TODAY
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE
from tests.policy.sdk import Analyzer
from tests.policy.support import UNKNOWN, recorded


def _check(resource: Resource, settings: Settings) -> Iterator[str]:
    if get(resource.props, "size") != settings["size"]:
        yield f"size is not {settings['size']}"


def _all(resource: Resource, _settings: Settings) -> Iterator[str]:
    yield str(resource.plain)


def _stack_check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    for resource in stack.of("test:*"):
        yield Finding(f"{resource.name} below {resource.parent}", resource.urn)


def _rule(**changes: Any) -> ResourceRule:
    words: dict[str, Any] = {
        "name": "test-size",
        "title": "Size",
        "description": "The size is right.",
        "why": "It must.",
        "fix": "Change it.",
        "severity": Severity.LOW,
        "level": EnforcementLevel.MANDATORY,
        "types": ("test:index:Sized",),
        "options": {"size": Option(type="integer", default=2, description="The size.")},
        "check": _check,
    }
    return ResourceRule(**{**words, **changes})


SIZE = _rule()
STACK = StackRule(
    name="test-stack",
    title="Stack",
    description="Nothing is allowed.",
    why="So.",
    fix="Remove it.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=("test:*",),
    check=_stack_check,
)
SIZED = recorded("test:index:Sized", {"size": 1})


def test_judges_as_the_sdk_itself() -> None:
    """On every case of the on-demand tables, rule by rule."""
    rules = [rule for rule in RULES if isinstance(rule, ResourceRule)]
    cases = [*BYPASSES.items(), *LEGITIMATE.items()]
    resources = [recorded(type_, inputs, name.replace(" ", "-")) for name, (type_, inputs) in cases]
    with on_day(TODAY):
        expected = Analyzer(rules).register(*resources)
    ours = [(v.rule, v.urn, v.level.value, v.message) for v in judge(resources, today=TODAY, rules=rules)]
    assert len(ours) > 40
    assert ours == expected


def test_verdict_says_all_there_is() -> None:
    (verdict,) = judge([SIZED], rules=[SIZE])
    assert (verdict.rule, verdict.title, verdict.severity) == ("test-size", "Size", "low")
    assert (verdict.resource, verdict.type, verdict.urn) == ("it", SIZED.type, SIZED.urn)
    assert (verdict.message, verdict.fix, verdict.mandatory) == ("size is not 2", "Change it.", True)


def test_levels_and_options_come_from_the_configuration() -> None:
    assert judge([SIZED], {"test-size": {"size": 1}}, rules=[SIZE]) == []
    assert judge([SIZED], {"test-size": "disabled"}, rules=[SIZE]) == []
    assert judge([SIZED], {"all": "disabled"}, rules=[SIZE]) == []
    assert [v.mandatory for v in judge([SIZED], {"all": "advisory"}, rules=[SIZE])] == [False]
    over = {"all": "advisory", "test-size": {"enforcementLevel": "mandatory", "size": 5}}
    assert [(v.mandatory, v.message) for v in judge([SIZED], over, rules=[SIZE])] == [(True, "size is not 5")]
    assert [v.mandatory for v in judge([SIZED], {"test-size": "remediate"}, rules=[SIZE])] == [True]


def test_wrong_configuration_is_refused_all_at_once() -> None:
    wrong = {"all": "strict", "no-such": "mandatory", "test-size": {"size": "big", "colour": "red"}}
    with pytest.raises(PolicyConfigError) as refused:
        judge([SIZED], wrong, rules=[SIZE])
    for part in (
        "all: 'strict' is no level",
        "no-such: no such rule",
        "size: must be of type integer",
        "colour: no such",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "option", "value", "problem"),
    [
        ("k8s-pod-security", "level", "none", "level: must be one of baseline, restricted, is 'none'"),
        ("k8s-pod-security", "exemptNamespaces", [1], "exemptNamespaces.0: must be of type string, is 1"),
        ("gpu-ceiling-per-stack", "maxGpus", -1, "maxGpus: must be 0 to any number, is -1"),
        ("gpu-ceiling-per-stack", "stackCeilings", {"prod": "x"}, "stackCeilings.prod: must be of type number"),
        ("node-imdsv2", "maxHopLimit", 65, "maxHopLimit: must be 1 to 64, is 65"),
        ("gpu-on-demand-needs-justification", "maxDays", True, "maxDays: must be of type integer, is True"),
        ("gpu-on-demand-needs-justification", "maxDays", 1.5, "maxDays: must be of type integer, is 1.5"),
        ("tags-cost-allocation", "required", None, "required: must be of type array, is None"),
    ],
)
def test_options_are_held_to_their_schema(rule: str, option: str, value: Any, problem: str) -> None:
    with pytest.raises(PolicyConfigError, match=re.escape(problem)):
        judge([], {rule: {option: value}})


def test_a_whole_number_may_be_written_with_a_point_as_on_the_engine() -> None:
    assert judge([SIZED], {"test-size": {"size": 1.0}}, rules=[SIZE]) == []


def test_whatever_a_schema_says_holds() -> None:
    named = replace(
        SIZE, options={"name": Option(type="string", default="a", description="", schema={"pattern": "^a"})}
    )
    with pytest.raises(PolicyConfigError, match=r"test-size\.name: 'b' does not match '\^a'"):
        judge([], {"test-size": {"name": "b"}}, rules=[named])


def test_a_rule_without_a_level_is_refused() -> None:
    with pytest.raises(PolicyConfigError, match="test-size: None is no level"):
        judge([], {"test-size": None}, rules=[SIZE])


def test_nothing_to_set_loads_no_validator() -> None:
    code = (
        "import sys; from policy.analyzer import judge; judge([], {'all': 'advisory'});"
        "print('jsonschema' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert out.stdout == "False\n"


def test_a_level_for_all_may_stand_as_an_object() -> None:
    config = {"all": {"enforcementLevel": "advisory"}}
    assert [v.mandatory for v in judge([SIZED], config, rules=[SIZE])] == [False]


def test_configuration_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert read_config(file) == {}
    file.write_text('{"all": "advisory"}')
    assert [v.mandatory for v in judge([SIZED], read_config(file), rules=[SIZE])] == [False]
    file.write_text("\n")
    assert read_config(file) == {}
    for wrong in ("[]", "{", "[" * 100_000):
        file.write_text(wrong)
        with pytest.raises(PolicyConfigError, match=r"config\.json"):
            read_config(file)
    with pytest.raises(PolicyConfigError, match="cannot be read: it is a directory, not a file"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PolicyConfigError, match="cannot be read: it is a named pipe, not a file"):
        read_config(tmp_path / "pipe")


def test_manifests_are_read_from_files_alone(tmp_path: Path) -> None:
    """A pipe that a program names would hang every preview, a device would fill the memory."""
    os.mkfifo(tmp_path / "pipe")
    assert file_content(tmp_path / "pipe") is None
    assert file_content("/dev/zero") is None
    (tmp_path / "a.yaml").write_text("a: 1")
    assert file_content(tmp_path / "a.yaml") == "a: 1"


def test_our_own_configuration_is_valid() -> None:
    own = read_config(Path(__file__).parents[2] / "policy" / "config.json")
    assert own
    assert judge([], own) == []


def test_unknown_values_are_violations_at_the_rules_own_level() -> None:
    (verdict,) = judge([recorded("test:index:Sized", {"size": UNKNOWN})], rules=[SIZE])
    assert verdict.mandatory
    assert "size must be a literal" in verdict.message


def test_secrets_and_assets_are_read_as_the_sdk_reads_them() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": 2}
    reference = {"4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e", "urn": "x"}
    assert judge([recorded("test:index:Sized", {"size": secret, "other": reference})], rules=[SIZE]) == []
    assert judge([recorded("test:index:Sized", {"size": reference})], rules=[SIZE])
    assert judge([recorded("test:index:Sized", {"size": pulumi.StringAsset("2")})], rules=[SIZE])


def test_stack_rules_see_parents_and_say_which_resource() -> None:
    parent = recorded("test:index:Parent", {}, "parent")
    child = recorded("test:index:Child", {}, "child", parent=parent.urn)
    other = recorded("else:index:Other", {}, "other")
    verdicts = judge([parent, child, other], rules=[STACK])
    assert [(v.resource, v.mandatory) for v in verdicts] == [("child", False), ("parent", False)]
    assert f"below {parent.urn}" in verdicts[0].message


def test_keys_that_the_engine_keeps_to_itself_are_not_judged() -> None:
    inputs = {"__size": UNKNOWN, "size": {"__of": 1}}
    (verdict,) = judge([recorded("test:index:Sized", inputs)], rules=[_rule(check=_all)])
    assert verdict.message == "{'size': {}}"


def test_the_whole_pack_is_the_default() -> None:
    assert {v.rule for v in judge([recorded(*BYPASSES["pool: no requirements"])])} >= {
        "gpu-on-demand-needs-justification"
    }
    assert len(policies()) == len(RULES)
