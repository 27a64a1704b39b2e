"""A pool of a capacity block: what Karpenter is told, what the bill has, and what happens at its end."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from io import StringIO
from types import MappingProxyType
from typing import Any

import pytest
from rich.console import Console

from cli.render import _purchase
from cli.render_jobs import job_lines
from cli.render_work import print_work
from config.errors import ConfigError
from plan.as_json import _claims, _consumer, _pool, _work
from plan.figures import Figures, figures
from plan.make import stack_config
from plan.project import StackFile, find_project
from plan.record import Recording, record
from policy.analyzer import judge
from tests.plan.conftest import ROOT, as_judged, changed_stack
from tests.plan.test_destroy_order import NODE_CLASS, NODE_POOL
from tests.plan.test_own_nodes import WHY
from twin.playable import playable

POOL = {
    "name": "block",
    "instanceTypes": ["p5.48xlarge"],
    "maxGpus": 16,
    "sharing": {"strategy": "none"},
    "capacityType": "reserved",
    "capacityReservationType": "capacity-block",
    "capacityReservationSelectorTerms": [{"tags": {"team": "ml"}}],
    "terminationGracePeriod": "10m",
    "onDemand": WHY,
}
IMAGE = {"name": "app", "image": "ghcr.io/acme/app:1.2.3", "slots": 8}
FEE = 105_000.0


PLAIN = {"budget": {}, "examples": False, "dialogue": {}, "models": []}


def stack_file(budget: Mapping[str, Any] = MappingProxyType({}), /, **more: Any) -> StackFile:
    own = {
        **PLAIN,
        "pools": [{**POOL, **more}],
        "budget": dict(budget),
        "workloads": [
            {"name": "train", "kind": "Job", "pool": "block", "checkpoint": {}, "containers": [IMAGE]},
            {"name": "api", "pool": "block", "containers": [IMAGE]},
        ],
    }
    return changed_stack(own)


@cache
def recorded() -> Recording:
    return record(find_project(ROOT), stack_file())


@cache
def reckoned(fee: float | None = FEE) -> Figures:
    return figures(stack_config(stack_file(**({"upfrontFeeUsd": fee} if fee else {}))))


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [each for each in recorded().of_type(kind) if each.inputs["metadata"]["name"] == "block"]
    return {**found.inputs}


def requirements(node_pool: Mapping[str, Any]) -> dict[str, list[str]]:
    return {each["key"]: each["values"] for each in node_pool["spec"]["template"]["spec"]["requirements"]}


def test_karpenter_launches_into_blocks_alone_whatever_the_tags_select() -> None:
    asked = requirements(manifest(NODE_POOL))
    assert asked["karpenter.sh/capacity-type"] == ["reserved"]
    assert asked["karpenter.k8s.aws/capacity-reservation-type"] == ["capacity-block"]
    assert manifest(NODE_CLASS)["spec"]["capacityReservationSelectorTerms"] == [{"tags": {"team": "ml"}}]


def test_the_bill_has_it_once_whether_its_nodes_run_or_not() -> None:
    lines = {line.name: line for line in reckoned().bill.lines}
    block = lines["Capacity block, block"]
    assert (block.part, block.detail) == ("always", "16 GPUs, paid once, in advance, whether nodes run or not")
    assert block.usd is not None
    assert block.usd.low == block.usd.expected == block.usd.high == FEE
    assert not {"GPU nodes, block", "Reserved capacity, block"} & lines.keys()
    ceiling, volumes = reckoned().bill.ceiling, [line for name, line in lines.items() if name.startswith("Volumes")]
    assert volumes, "they are paid by the hour"
    assert ceiling is not None
    assert FEE < ceiling < FEE + 730 * 55.04, "no hour of its nodes is counted beside what was paid"


def test_what_nobody_said_is_not_known_and_not_nothing() -> None:
    (block,) = [line for line in reckoned(None).bill.lines if line.name == "Capacity block, block"]
    assert block.usd is None
    assert block.detail.endswith("; how much is not known: write upfrontFeeUsd")
    assert reckoned(None).bill.of("always") is None
    assert reckoned(None).bill.ceiling is None


def test_an_hour_of_it_has_no_price() -> None:
    pool = reckoned().config.gpu_pools["block"]
    assert pool.usd_per_slot_hour is None
    assert {each.why_at_most.value for each in reckoned().work} == {None}
    assert reckoned().comparison is None
    assert {_consumer(each)["ownUsdPerHour"] for each in reckoned().consumers} == {None}
    assert _purchase(pool) == "capacity block"
    assert pool.as_output()["capacityReservationType"] == "capacity-block"
    told = _pool(pool, reckoned().config.pools[0])
    assert (told["capacityReservationType"], told["upfrontFeeUsd"]) == ("capacity-block", FEE)


def test_neither_has_a_claim_of_its_memory_nor_a_need_that_is_met_there() -> None:
    """AWS sells the block as a whole, at a price of its day: an hour of a part of it has none."""
    own = {**POOL, "instanceTypes": ["p5.4xlarge"], "maxGpus": 2, "sharing": {"strategy": "memory"}}
    needy = {"name": "needy", "gpuMemory": "20 GiB", "pool": "block", "containers": [{**IMAGE, "slots": 1}]}
    found = figures(stack_config(changed_stack({**PLAIN, "pools": [own], "workloads": [needy]})))
    (claims,) = found.claims
    assert claims.pool.usd_per_claim_hour(claims.claims[0]) is None
    told = _claims(claims)
    assert (told["usdPerGibHour"], told["holders"][0]["usdPerHour"]) == (None, None)
    (placed,) = found.placements
    assert (placed.offer.usd_per_hour, placed.offer.why.value) == (None, None)
    slots = figures(stack_config(changed_stack({**PLAIN, "pools": [POOL], "workloads": [{**needy, "name": "slots"}]})))
    (placed,) = slots.placements
    assert (placed.offer.usd_per_hour, placed.offer.why.value) == (None, None)


def test_the_plan_says_what_happens_when_the_block_ends() -> None:
    console = Console(file=StringIO(), width=200)
    print_work(console, reckoned())
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    told = "is told to end, and its pods wait until the pool has another capacity block"
    assert f"40 minutes before the capacity block of block ends, train, api {told}." in text
    assert "block: capacity block" in text
    (job,) = job_lines(reckoned())
    assert job.startswith("train, on a capacity block: goes on, at most 10 min of work lost")
    assert {_work(each)["whenItsBlockEnds"] for each in reckoned().work} == {told}


@pytest.mark.parametrize("reason", [True, False])
def test_the_pack_demands_a_reason_as_for_all_that_is_reserved(reason: bool) -> None:
    resources = []
    for found in recorded().resources:
        inputs = copy.deepcopy(recorded().preview_inputs(found))
        if found.type == NODE_POOL and inputs["metadata"]["name"] == "block" and not reason:
            inputs["metadata"]["annotations"].pop("gpu-slices/on-demand-justification")
        resources.append(as_judged(found, inputs))
    told = [verdict for verdict in judge(resources) if verdict.mandatory]
    assert [verdict.rule for verdict in told] == ([] if reason else ["gpu-on-demand-needs-justification"])
    assert all("as capacity that is paid ahead" in verdict.message for verdict in told)


def test_the_twin_plays_it_as_on_demand() -> None:
    played = requirements(playable({"kind": "NodePool", **manifest(NODE_POOL)}, "prod", "nodes"))
    assert played["karpenter.sh/capacity-type"] == ["on-demand"]
    assert "karpenter.k8s.aws/capacity-reservation-type" not in played


def test_a_budget_of_a_month_need_not_hold_what_is_paid_once() -> None:
    emails = {"emails": ["platform@acme.dev"]}
    assert stack_config(stack_file({"monthlyUsd": 4000, **emails}, upfrontFeeUsd=FEE)).budget
    with pytest.raises(ConfigError, match=r"cannot hold: the stack costs [0-9.]+ USD a month"):
        stack_config(stack_file({"monthlyUsd": 10, **emails}, upfrontFeeUsd=FEE))
