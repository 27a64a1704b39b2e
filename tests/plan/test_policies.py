"""Our own stacks satisfy the pack, and the pack notices when one of them is bent.

Each mutant is a recorded plan with one thing changed. A rule without a mutant fails the last test.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from config.wording import EXAMPLES
from gpu.sharing import AMIS, Ami, Strategy
from policy.analyzer import judge, read_config
from policy.pack import RULES
from tests.day import TODAY
from tests.plan.conftest import ROOT, STACKS, as_judged
from tests.plan.mutants_gpu import MUTANTS as GPU_MUTANTS
from tests.plan.mutants_gpu import ollama
from tests.plan.mutants_platform import MUTANTS as PLATFORM_MUTANTS
from tests.plan.mutation import Mutant, Stack
from tests.plan.variants import changed_dev

CONFIG = read_config(ROOT / "policy" / "config.json")
MUTANTS = [*GPU_MUTANTS, *PLATFORM_MUTANTS]


def violated(resources: Stack) -> set[str]:
    return {verdict.rule for verdict in judge(resources, CONFIG, today=TODAY)}


@pytest.mark.parametrize("stack", [*STACKS, "memory"])
def test_every_stack_satisfies_every_rule(stack: str, planned: Callable[[str], Stack]) -> None:
    verdicts = judge(planned(stack), CONFIG, today=TODAY)
    assert [f"{verdict.rule}: {verdict.resource}: {verdict.message}" for verdict in verdicts] == []


@pytest.mark.parametrize(
    ("ami", "strategy"),
    # Bottlerocket's host has a device plugin: with claims the configuration refuses it.
    [(ami, strategy) for ami in AMIS for strategy in EXAMPLES if (ami, strategy) != ("bottlerocket", "memory")],
)
def test_every_way_to_share_satisfies_every_rule(strategy: Strategy, ami: Ami) -> None:
    """The pack reads back what the program writes, also of a strategy that no stack of ours has."""
    pool = {"name": "p", "instanceTypes": ["p5.4xlarge"], "maxGpus": 8, "ami": ami}
    sharing = yaml.safe_load(EXAMPLES[strategy])
    recording = changed_dev({"pools": [{**pool, "sharing": sharing}], "models": [], "dialogue": {}, "examples": False})
    resources = [as_judged(found, recording.preview_inputs(found)) for found in recording.resources]
    assert [f"{verdict.rule}: {verdict.message}" for verdict in judge(resources, CONFIG, today=TODAY)] == []


@pytest.mark.parametrize("mutant", GPU_MUTANTS, ids=lambda mutant: f"{mutant.rule}: {mutant.what} in {mutant.stack}")
def test_every_mutant_is_caught(mutant: Mutant, planned: Callable[[str], Stack]) -> None:
    """Those of the platform are caught by their rule *alone*: `test_platform_mutants`."""
    assert mutant.rule in violated(mutant.mutation(planned(mutant.stack)))


def test_the_ollama_server_that_is_bent_above_is_good_as_it_stands(planned: Callable[[str], Stack]) -> None:
    assert violated(ollama()(planned("dev"))) == set()


def test_every_rule_has_a_mutant() -> None:
    assert {rule.name for rule in RULES} - {mutant.rule for mutant in MUTANTS} == set()
