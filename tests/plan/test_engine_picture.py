"""Our stacks in a first preview as the engine shows it to the pack: through the policy SDK, in the engine's order.

Objects of a cluster that does not exist yet have no outputs, and pulumi-eks tells no inputs, but what it makes
(`policy.engine`). Verdicts are those of `slices plan`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from plan.project import StackFile, find_project, load_stack
from plan.record import record
from policy.analyzer import Recorded, judge
from policy.engine import CONTENTS
from policy.framework import ResourceRule, StackRule, on_day
from policy.pack import RULES
from tests.day import TODAY
from tests.plan.conftest import ROOT, STACKS, as_judged
from tests.plan.mutants_gpu import MUTANTS as GPU_MUTANTS
from tests.plan.mutants_platform import MUTANTS as PLATFORM_MUTANTS
from tests.plan.mutation import Mutant, Stack
from tests.plan.test_policies import CONFIG
from tests.policy.eks_components import silent, spoken
from tests.policy.sdk import Analyzer, Said

pytestmark = pytest.mark.parts

STACK_RULES = tuple(rule for rule in RULES if isinstance(rule, StackRule))
#: A rule that looks at little, so that the engine has whom to show inputs to at little cost.
IDLE = next(rule for rule in RULES if rule.name == "ecr-immutable-scanned")
MUTANTS = [*GPU_MUTANTS, *PLATFORM_MUTANTS]
IN_DEV = {mutant.rule for mutant in MUTANTS if mutant.stack == "dev"}
OF_STACKS = [
    mutant
    for mutant in MUTANTS
    if mutant.rule in {rule.name for rule in STACK_RULES} and (mutant.stack == "dev" or mutant.rule not in IN_DEV)
]


def in_preview(plan: Stack, components: Callable[[Recorded], list[Recorded]] = silent) -> Stack:
    """A plan as the engine shows it before anything exists."""
    shown: Stack = []
    for resource in plan:
        for part in components(resource) if resource.type in CONTENTS and resource.inputs else [resource]:
            in_cluster = part.type.startswith("kubernetes:")
            shown.append(replace(part, outputs={} if in_cluster or part.type in CONTENTS else part.inputs))
    return shown


def first_preview(shown: Stack) -> list[Said]:
    """Everything that the pack says in it."""
    with on_day(TODAY):
        analyzer = Analyzer(RULES, CONFIG)
        return [*analyzer.register(*shown), *analyzer.finish(shown)]


@pytest.mark.parametrize("components", [silent, spoken], ids=["without inputs", "with inputs"])
@pytest.mark.parametrize("stack", STACKS)
def test_the_pack_says_nothing_about_our_stacks(
    stack: str, components: Callable[[Recorded], list[Recorded]], planned: Callable[[str], Stack]
) -> None:
    shown = in_preview(planned(stack), components)
    assert {resource.type for resource in shown} >= {"eks:index:Cluster", "aws:eks/cluster:Cluster"}
    assert first_preview(shown) == []
    assert judge(shown, CONFIG, today=TODAY) == []


def _with_gpus(gpus: int) -> Stack:
    """Stack dev, with so many GPUs allowed to its pools."""
    dev = load_stack(find_project(ROOT), "dev")
    pools = [{**pool, "maxGpus": gpus} for pool in json.loads(dev.values["gpu-slices:pools"])]
    values = {**dev.values, "gpu-slices:pools": json.dumps(pools)}
    config = StackFile(stack=dev.stack, values=values, secret_keys=(), problems=(), notes=())
    recording = record(find_project(ROOT), config)
    return [as_judged(found, recording.preview_inputs(found)) for found in recording.resources]


def test_five_hundred_gpus_fail_before_anything_is_built() -> None:
    (said,) = [each for each in first_preview(in_preview(_with_gpus(500))) if each.level == "mandatory"]
    assert said.rule == "gpu-ceiling-per-stack"
    assert "can have 500 GPUs" in said.message


@pytest.mark.parametrize("mutant", OF_STACKS, ids=lambda mutant: f"{mutant.rule}: {mutant.what}")
def test_no_stack_rule_is_blind_in_a_first_preview(mutant: Mutant, planned: Callable[[str], Stack]) -> None:
    shown = in_preview(mutant.mutation(planned(mutant.stack)))
    with on_day(TODAY):
        analyzer = Analyzer((IDLE, *STACK_RULES), CONFIG)
        analyzer.register(*shown)
        said = analyzer.finish(shown)
    ours = judge(shown, CONFIG, today=TODAY)
    names = {rule.name for rule in STACK_RULES}
    assert said == [Said(v.rule, v.urn or "", v.level.value, v.message) for v in ours if v.rule in names]
    assert mutant.rule in {each.rule for each in said}


def test_every_stack_rule_is_tried() -> None:
    assert {rule.name for rule in STACK_RULES} == {mutant.rule for mutant in OF_STACKS}
    assert isinstance(IDLE, ResourceRule)
