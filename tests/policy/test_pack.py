"""The pack as a whole: what every rule must have, and that no input breaks one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi_policy import StackValidationPolicy

from policy import document
from policy.analyzer import judge
from policy.framework import EnforcementLevel, Finding, Rule, Settings, Severity, Stack, StackRule
from policy.pack import RULES, policies
from tests.day import TODAY
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE
from tests.policy.support import UNKNOWN, recorded

TESTS = Path(__file__).parent
EVERY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@EVERY_RULE
def test_every_rule_says_what_why_and_how(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    for sentence in (rule.description, rule.why, rule.fix):
        assert sentence.strip().endswith("."), sentence
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.types
    assert rule.level in {EnforcementLevel.MANDATORY, EnforcementLevel.ADVISORY}


@EVERY_RULE
def test_scanner_ids_look_like_the_scanners_own(rule: Rule) -> None:
    assert all(re.fullmatch(r"CKV2?_(AWS|K8S)_\d+", found) for found in rule.scanners.checkov)
    assert all(re.fullmatch(r"(AWS|KSV)-?\d{4}", found) for found in rule.scanners.trivy)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", found) for found in rule.scanners.cis)


@EVERY_RULE
def test_every_option_has_a_default_of_its_type(rule: Rule) -> None:
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    for name, option in rule.options.items():
        assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name)
        assert isinstance(option.default, kinds[option.type])  # type: ignore[arg-type]
        assert option.description.endswith(".")


def test_no_module_of_the_pack_hides_one_of_pythons() -> None:
    """The engine runs `policy/` as a folder, which then stands before Python's own modules on the path."""
    names = {path.stem for path in (TESTS.parents[1] / "policy").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names & (sys.stdlib_module_names - {"__main__"}) == set()


def test_every_rule_has_a_test_of_its_own() -> None:
    modules = {path.stem for path in (TESTS.parent.parent / "policy" / "rules").glob("[!_]*.py")}
    assert len(modules) == len(RULES)
    assert [name for name in modules if not (TESTS / f"test_{name}.py").exists()] == []


def test_policies_carry_the_rules_words() -> None:
    for rule, policy in zip(RULES, policies(), strict=True):
        assert (policy.name, policy.description, policy.remediation_steps) == (rule.name, rule.description, rule.fix)
        assert policy.enforcement_level is rule.level


def test_the_document_is_what_the_rules_say() -> None:
    assert document.main(["--check"]) == 0
    page = document.TARGET.read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"### {rule.name}\n" not in page] == []


KEYS = sorted(
    {
        "amiType", "annotations", "capacityType", "containers", "data", "env", "image", "instanceType", "instanceTypes",
        "key", "kind", "labels", "limits", "metadata", "name", "nodeClassRef", "nodeSelector", "operator", "policy",
        "requirements", "resources", "rules", "sharing", "spec", "tags", "taints", "template", "userData", "value",
        "values", "version", "volumeMounts", "volumes", "nvidia.com/gpu", "karpenter.sh/capacity-type",
    }
)  # fmt: skip
SCALARS = st.sampled_from(
    ["g5.xlarge", "In", "Gt", "spot", "", "4", "x: [", '{"a": 1}', "nvidia.com/gpu", "ollama/ollama:latest", UNKNOWN]
) | st.one_of(st.none(), st.booleans(), st.integers(-1, 10), st.floats(0, 2))
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)
TYPES = sorted(
    {re.sub(r"\*", "v1", pattern) for rule in RULES for pattern in rule.types}
    | {type_ for type_, _ in [*BYPASSES.values(), *LEGITIMATE.values()]}
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(type_=st.sampled_from(TYPES), inputs=st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=5))
def test_no_input_breaks_a_rule(type_: str, inputs: dict[str, Any]) -> None:
    """Other people's programs put any shape anywhere; an exception would stop their update without a word."""
    judge([recorded(type_, inputs), recorded(type_, {"spec": inputs}, "other")], today=TODAY)


def test_a_rule_looks_at_the_types_it_declares_alone() -> None:
    for rule, policy in zip(RULES, policies(), strict=True):
        if "*" not in rule.types and not isinstance(policy, StackValidationPolicy):
            assert judge([recorded("gcp:index:Other", {"spec": {"price": "1"}})], rules=[rule]) == []


def test_a_rule_that_reads_what_it_does_not_name_fails_in_every_test() -> None:
    """The engine would show it none, so that it would pass what it was written for (`conftest.py`)."""

    def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
        yield from (Finding("seen", resource.urn) for resource in stack.of("aws:kms/*", "aws:sqs/queue:Queue"))

    words = dict.fromkeys(("title", "description", "why", "fix"), "It.")
    rule = StackRule(
        name="it-reads",
        severity=Severity.LOW,
        level=EnforcementLevel.ADVISORY,
        types=("aws:kms/*",),
        check=check,
        **words,  # type: ignore[arg-type]
    )
    with pytest.raises(AssertionError, match="it-reads reads aws:sqs/queue:Queue, and does not name them"):
        judge([recorded("aws:kms/key:Key", {})], rules=[rule])
