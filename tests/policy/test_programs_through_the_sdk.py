"""What the pack says of carried resources through the policy SDK is what it says offline."""

from __future__ import annotations

import pytest

from policy.analyzer import judge
from policy.framework import on_day
from policy.pack import RULES
from policy.rules.pool_gpu_limit import RULE as LIMIT
from tests.day import TODAY
from tests.policy import corpus
from tests.policy.sdk import Analyzer
from tests.policy.support import recorded

pytestmark = pytest.mark.parts

_EVERY = 5
"""One program in so many is judged both ways."""


def test_programs_are_judged_alike() -> None:
    for program in (*corpus.bypasses(), *corpus.legitimate())[::_EVERY]:
        offline = judge(list(program.resources), today=TODAY)
        with on_day(TODAY):
            analyzer = Analyzer(RULES)
            said = [*analyzer.register(*program.resources), *analyzer.finish(program.resources)]
        assert sorted((one.rule, one.urn, one.message) for one in said) == sorted(
            (one.rule, one.urn or "", one.message) for one in offline
        ), program.name


def test_a_child_that_is_registered_too_counts_once() -> None:
    requirements = [{"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5"]}]
    pool = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "gpu"},
        "spec": {"template": {"spec": {"requirements": requirements}}},
    }
    group = recorded("kubernetes:yaml/v2:ConfigGroup", {"objs": [pool]}, "group")
    child = recorded("kubernetes:karpenter.sh/v1:NodePool", pool, "group:gpu", parent=group.urn)
    analyzer = Analyzer([*(rule for rule in RULES if rule.name == "contents-can-be-seen"), LIMIT])
    analyzer.register(group, child)
    (said,) = analyzer.finish([group, child])
    assert said.urn == child.urn
    assert "without end" in said.message
