"""What all tests of rules share: a rule that reads what it does not name fails in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from policy import framework
from policy.engine import Inputs
from policy.framework import Resource, Stack, StackRule, matches


@dataclass(frozen=True, kw_only=True)
class Named(Stack):
    """A stack that gives nothing but what its rule names: of other types it would find nothing, and nobody told."""

    rule: StackRule

    def of(self, *types: str) -> Iterator[Resource]:
        """Resources of these types, as patterns or tokens, each of which is one of the rule's."""
        missing = [given for given in types if not matches(self.rule.types, given)]
        assert not missing, f"{self.rule.name} reads {', '.join(missing)}, and does not name them in its `types`"
        return super().of(*types)


@pytest.fixture(autouse=True)
def _rules_name_what_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    real = framework._validate_stack

    def watching(rule: StackRule, inputs: Inputs) -> object:
        def check(stack: Stack, settings: framework.Settings) -> Iterator[framework.Finding]:
            yield from rule.check(Named(resources=stack.resources, rule=rule), settings)

        return real(replace(rule, check=check), inputs)

    monkeypatch.setattr(framework, "_validate_stack", watching)
