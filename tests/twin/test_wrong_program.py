"""A selector, tag, role, gate or name that is wrong in the program fails here, with the reason Karpenter gives."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from twin.errors import TwinError
from twin.machine.state import TwinState
from twin.plan import TwinPlan

Mutation = Callable[[TwinPlan], TwinPlan]


def change_object(kind: str, name: str, change: Callable[[dict[str, Any]], None]) -> Mutation:
    return _mutation("planned", lambda thing: thing.name == f"{kind} {name}", "manifest", change)


def change_cloud(type_: str, change: Callable[[dict[str, Any]], None]) -> Mutation:
    return _mutation("cloud", lambda resource: resource.type == type_, "inputs", change)


def change_release(chart: str, change: Callable[[dict[str, Any]], None]) -> Mutation:
    return _mutation("planned", lambda thing: thing.chart == chart, "values", change)


def _mutation(
    things: str, meant: Callable[[Any], bool], part: str, change: Callable[[dict[str, Any]], None]
) -> Mutation:
    """Changes a part of those of the plan's things that are meant."""

    def mutate(plan: TwinPlan) -> TwinPlan:
        before = getattr(plan, things)
        after = tuple(one(thing) if meant(thing) else thing for thing in before)
        assert after != before
        changed: dict[str, Any] = {things: after}
        return replace(plan, **changed)

    def one(thing: Any) -> Any:
        changed = copy.deepcopy(dict(getattr(thing, part) or {}))
        change(changed)
        return replace(thing, **{part: changed})

    return mutate


def _misspell_discovery(inputs: dict[str, Any]) -> None:
    tags = inputs.get("tags") or {}
    if "karpenter.sh/discovery" in tags:
        tags["karpenter.sh/discovery"] = "gpu-slices-locale"


@pytest.fixture(autouse=True)
def _as_it_was(twin: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]) -> Iterator[None]:
    yield
    bring_up(twin, plan)


@pytest.mark.parametrize(
    ("mutation", "reason"),
    [
        pytest.param(
            change_object(
                "EC2NodeClass",
                "mps",
                lambda m: m["spec"].update(subnetSelectorTerms=[{"tags": {"karpenter.sh/discovery": "misspelt"}}]),
            ),
            "SubnetsReady.*SubnetsNotFound",
            id="subnet selector",
        ),
        pytest.param(
            change_object(
                "EC2NodeClass",
                "mps",
                lambda m: m["spec"].update(securityGroupSelectorTerms=[{"tags": {"karpenter.sh/discovery": "no"}}]),
            ),
            "SecurityGroupsReady.*SecurityGroupsNotFound",
            id="security group selector",
        ),
        pytest.param(
            change_cloud("aws:ec2/subnet:Subnet", _misspell_discovery),
            "SubnetsReady.*SubnetsNotFound",
            id="tag of the subnets",
        ),
        pytest.param(
            change_cloud("aws:ec2/tag:Tag", lambda inputs: inputs.update(value="misspelt")),
            "SecurityGroupsReady.*SecurityGroupsNotFound",
            id="tag of the cluster's security group",
        ),
        pytest.param(
            change_object("EC2NodeClass", "mps", lambda m: m["spec"].update(role="misspelt")),
            "InstanceProfileReady",
            id="role of the nodes",
        ),
        pytest.param(
            change_object(
                "EC2NodeClass", "mps", lambda m: m["spec"].update(amiSelectorTerms=[{"alias": "al2023@v20200101"}])
            ),
            "failed to discover any AMIs for alias",
            id="image",
        ),
        pytest.param(
            change_object("NodePool", "mps", lambda m: m["spec"]["template"]["spec"]["nodeClassRef"].update(name="no")),
            "NodeClassReady.*NodeClassNotFound",
            id="reference to the node class",
        ),
        pytest.param(
            change_object("NodeOverlay", "mps-1gpu", lambda m: m["spec"].update(capacity={"cpu": "7"})),
            "NodeOverlay mps-1gpu: .*(cpu|restricted)",
            id="overlay that the definition forbids",
        ),
        pytest.param(
            change_release("karpenter", lambda v: v["settings"]["featureGates"].update(nodeOverlay=False)),
            "NodeOverlay .* is not Ready",
            id="feature gate",
        ),
        pytest.param(
            change_release("karpenter", lambda v: v["settings"].update(clusterName="misspelt")),
            "Karpenter does not start.*misspelt",
            id="name of the cluster",
        ),
    ],
)
def test_a_mistake_is_reported_in_karpenters_words(
    mutation: Mutation, reason: str, twin: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    # Short, for each of them waits to its end; again, with patience, where the machine was too busy for Karpenter.
    said = refusal(bring_up, twin, mutation(plan), 12.0)
    if not re.search(reason, said, re.DOTALL):
        said = refusal(bring_up, twin, mutation(plan), 90.0)
    assert re.search(reason, said, re.DOTALL), said


def refusal(bring_up: Callable[..., TwinPlan], twin: TwinState, plan: TwinPlan, seconds: float) -> str:
    """Why a plan does not come up."""
    try:
        bring_up(twin, plan, ready_seconds=seconds)
    except TwinError as error:
        return str(error)
    return ""
