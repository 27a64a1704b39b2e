"""A stack that was destroyed can be made again under the same name: what keeps a name occupied is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from components.cluster.cluster import control_plane_log_group
from plan.monitor import Resource
from plan.record import Recording
from tests.plan.conftest import ROOT, STACKS
from tests.plan.variants import varied

#: Types in AWS whose names the program fixes, with what makes a name free again, or does not. Names that Pulumi or AWS
#: make end in random letters.
FIXED_NAMES = {
    "aws:budgets/budget:Budget": "at once",
    "aws:cloudwatch/eventRule:EventRule": "at once",
    "aws:cloudwatch/logGroup:LogGroup": "unless late logs make the group again (docs/operations.md)",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "at once, with its log group",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "at once",
    # Names of both need not be unique.
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "at once",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "at once",
    "aws:ecr/repository:Repository": "at once, with forceDelete",
    "aws:iam/role:Role": "at once",
    "aws:kms/alias:Alias": "at once; the keys stay for 30 days under names of their own",
    "aws:route53/record:Record": "at once",
    "aws:sns/topic:Topic": "at once",
    "aws:sqs/queue:Queue": "after 60 seconds",
    "eks:index:Cluster": "at once",
}


def named(plan: Recording) -> Iterator[Resource]:
    for resource in plan.resources:
        if resource.type.startswith(("aws:", "eks:")) and "name" in resource.inputs:
            yield resource


def allowed_actions(value: Any) -> Iterator[str]:
    """Actions that policies in a resource's inputs allow, whether as text or as data."""
    if isinstance(value, dict):
        if value.get("Effect") == "Allow":
            actions = value.get("Action", [])
            yield from [actions] if isinstance(actions, str) else actions
        for inner in value.values():
            yield from allowed_actions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from allowed_actions(inner)
    elif isinstance(value, str) and value.startswith('{"'):
        yield from allowed_actions(json.loads(value))


@pytest.mark.parametrize("stack", [*STACKS, "everything"])
def test_names_that_stay_occupied_are_known(stack: str, recorded: Callable[[str], Recording]) -> None:
    plan = varied(stack) if stack == "everything" else recorded(stack)
    assert {resource.type for resource in named(plan)} <= set(FIXED_NAMES)
    for repository in plan.of_type("aws:ecr/repository:Repository"):
        assert repository.inputs["forceDelete"] is True


@pytest.mark.parametrize("stack", STACKS)
def test_no_role_of_ours_makes_a_log_group_again(stack: str, recorded: Callable[[str], Recording]) -> None:
    plan = recorded(stack)
    allowed = [
        (resource.name, action)
        for resource in plan.resources
        if resource.type.startswith("aws:iam/")
        for action in allowed_actions(dict(resource.inputs))
    ]
    assert any(action == "logs:PutLogEvents" for _, action in allowed), "the flow logs' role is seen"
    assert [pair for pair in allowed if fnmatchcase("logs:CreateLogGroup", pair[1])] == []


def test_the_page_tells_of_the_group_that_eks_makes_again(recorded: Callable[[str], Recording]) -> None:
    plan = recorded("dev")
    [cluster] = plan.of_type("eks:index:Cluster")
    name = control_plane_log_group(cluster.inputs["name"])
    assert name in {group.inputs["name"] for group in plan.of_type("aws:cloudwatch/logGroup:LogGroup")}
    page = (ROOT / "docs" / "operations.md").read_text()
    group = control_plane_log_group("$cluster")
    assert f'aws logs delete-log-group --region "$region" --log-group-name "{group}"' in page


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ({"Effect": "Allow", "Action": "logs:*"}, ["logs:*"]),
        ({"Statement": [{"Effect": "Allow", "Action": ["a:B", "logs:Create*"]}]}, ["a:B", "logs:Create*"]),
        ({"policy": '{"Statement": [{"Effect": "Allow", "Action": "logs:CreateLogGroup"}]}'}, ["logs:CreateLogGroup"]),
        ({"Effect": "Deny", "Action": "logs:*"}, []),
    ],
)
def test_allowed_actions_are_found(statement: Any, seen: list[str]) -> None:
    assert list(allowed_actions(statement)) == seen
