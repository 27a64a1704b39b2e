"""Every text that a stack sends to AWS keeps AWS' own rules, at the longest names that the configuration allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from plan.record import Recording
from tests.plan.aws_calls import CALLS, DOCUMENTS
from tests.plan.aws_rules import DOCUMENTED, Judged, judge
from tests.plan.conftest import STACKS
from tests.plan.longest import DOORS, longest
from tests.plan.variants import VARIANTS, varied


def judge_all(recording: Recording) -> Judged:
    """Every resource of AWS that a recording holds."""
    judged = Judged()
    for resource in recording.resources:
        if resource.type.startswith(("aws:", "eks:")):
            judge(resource.type, resource.name, recording.preview_inputs(resource), resource.inputs, judged)
    return judged


@pytest.mark.parametrize("door", DOORS)
def test_the_longest_texts_keep_the_rules(door: str) -> None:
    judged = judge_all(longest(door))
    assert not judged.faults, "\n".join(judged.faults)
    assert judged.texts > 10_000
    # Nothing is in a table that nothing uses: it would look like a rule that holds.
    assert judged.types == CALLS.keys()
    assert {type_ for type_, _ in DOCUMENTS} <= judged.types
    assert judged.documented == DOCUMENTED.keys()


@pytest.mark.parametrize("stack", STACKS)
def test_the_stacks_of_the_repository_keep_them(stack: str, recorded: Callable[[str], Recording]) -> None:
    assert not judge_all(recorded(stack)).faults


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_keep_them(variant: str) -> None:
    assert not judge_all(varied(variant)).faults


def one(type_: str, logical: str = "x", /, **inputs: Any) -> list[str]:
    """What is found in one resource."""
    return judge(type_, logical, inputs, inputs).faults


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (
            one("aws:ec2/securityGroup:SecurityGroup", description="The door's"),
            "breaks what AWS writes: Valid characters",
        ),
        (one("aws:ec2/securityGroup:SecurityGroup", description="d" * 256), "breaks what AWS writes: Up to 255"),
        (
            one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", description="a & b"),
            "Allowed characters are",
        ),
        (one("aws:iam/role:Role", name="r" * 65), "has 65 characters, and AWS takes 1 to 64"),
        (one("aws:iam/role:Role", name="a/b"), "does not match"),
        (one("aws:iam/role:Role", "logical" * 9), "has 71 characters, and AWS takes 1 to 64"),
        (one("aws:lb/loadBalancer:LoadBalancer", "internal-x"), 'must not begin with "internal-"'),
        (one("aws:lb/targetGroup:TargetGroup", "t" * 25), "maximum of 32 characters"),
        (one("aws:sqs/queue:Queue", name="a.b"), "breaks what AWS writes: Valid values"),
        (one("aws:kms/alias:Alias", name="alias/aws/x"), "cannot begin with alias/aws/"),
        (one("aws:budgets/budget:Budget", name="a:b"), "does not match"),
        (one("aws:ecr/repository:Repository", name="Dialogue"), "does not match"),
        (one("aws:eks/nodeGroup:NodeGroup", capacityType="spot"), "is none of ON_DEMAND, SPOT"),
        (one("aws:eks/cluster:Cluster"), "is in no table"),
        (one("aws:ec2/vpc:Vpc", motto="x"), "is no member of the call"),
        (one("aws:ec2/vpc:Vpc", tags={"aws:x": "y"}), "May not begin with aws:"),
        (one("aws:ec2/vpc:Vpc", tags={"x": "v" * 257}), "maximum of 256"),
        (one("aws:ec2/vpc:Vpc", tags={"x": "a;b"}), "signs that not every service takes"),
        (one("aws:ec2/vpc:Vpc", tags={str(n): "" for n in range(51)}), "are 51, more than 50"),
        (one("aws:iam/policy:Policy", policy=json.dumps({"a": "b" * 6144})), "and AWS takes 6144"),
        (one("aws:iam/policy:Policy", policy='{"Sid": "–"}'), "does not match"),
        (
            one("aws:budgets/budgetAction:BudgetAction", subscribers=[{"address": "a"}] * 12),
            "has 12 entries, and AWS takes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_judge_sees_a_text_that_aws_refuses(fault: list[str], found: str) -> None:
    assert any(found in each for each in fault), fault


#: What EC2 takes, less what Karpenter adds to the user data: the cluster's address and certificate, labels and taints.
MOST_USER_DATA = 16 * 1024 - 4 * 1024
#: Tags that Karpenter gives an instance beside those of its class (karpenter-provider-aws, pkg/utils, GetTags).
KARPENTER_TAGS = 8


@pytest.mark.parametrize("door", DOORS)
def test_what_karpenter_hands_on_keeps_them(door: str) -> None:
    classes = longest(door).of_type("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass")
    assert len(classes) == 6
    for node_class in classes:
        spec = node_class.inputs["spec"]
        faults = one("aws:ec2/vpc:Vpc", tags=spec["tags"]) + one("aws:iam/role:Role", name=spec["role"])
        assert faults == []
        assert len(spec["tags"]) + KARPENTER_TAGS <= 50
        assert len(spec.get("userData", "").encode()) <= MOST_USER_DATA
