"""The pack: every rule of `policy.rules`, and each as a CrossGuard policy."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from pulumi_policy import Policy

import policy.rules
from policy.engine import Inputs
from policy.framework import Rule, to_policy

PACK_NAME: Final = "gpu-slices"


def _found() -> tuple[Rule, ...]:
    modules = sorted(module.name for module in pkgutil.iter_modules(policy.rules.__path__))
    rules = tuple(importlib.import_module(f"policy.rules.{name}").RULE for name in modules)
    names = [rule.name for rule in rules]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"two rules have the same name: {', '.join(sorted(repeated))}")
    return rules


#: Every rule, in the order of its module's name.
RULES: Final[tuple[Rule, ...]] = _found()


def policies() -> list[Policy]:
    """Every rule as a CrossGuard policy of one pack."""
    inputs = Inputs()
    return [to_policy(rule, inputs) for rule in RULES]
