"""The prices that the twin's AWS has: those of its region, or another's, which it says."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from gpu.bill import node_peak, room_on
from gpu.prices import HOURS_PER_MONTH, of
from plan.make import make_plan
from tests.plan.conftest import ROOT, STACKS
from tests.unit.twin.cluster import Cluster
from twin.machine.state import TwinState
from twin.planning import plan_of
from twin.play.faults import Withdrawn
from twin.play.platform import system_nodes
from twin.prices import NODES_ALONE, of_another_region, played, products, spot_history
from twin.status import Report, _region, show
from twin.view import View, view
from twin.watch.page import page
from twin.watch.picture import picture
from twin.watch.terminal import _head

NOTE = "No prices of eu-central-1 are known: the twin plays those of us-east-1."


@pytest.mark.parametrize("stack", STACKS)
def test_a_node_of_the_bill_costs_the_same_in_the_twin(stack: str) -> None:
    """Both speak of the hour of a pool's node, as it is bought; the twin knows no floor and no traffic."""
    found = make_plan(ROOT, stack).figures
    assert found
    for pool in found.pools:
        assert pool.price
        hour = played(found.config.region).node_usd_per_hour(pool.price.instance_type, pool.capacity_type)
        assert hour == pytest.approx(pool.price.usd_per_hour(pool.capacity_type))


@pytest.mark.parametrize("stack", STACKS)
def test_nodes_that_stand_cost_a_month_what_the_bill_says(stack: str) -> None:
    """The twin's own view of nodes that the bill counts: system nodes of the floor, GPU nodes that always run."""
    plan = make_plan(ROOT, stack)
    found = plan.figures
    assert found
    lines = {(line.part, line.name): line.usd for line in found.bill.lines}
    prices = played(found.config.region)
    floor = view(prices, system_nodes(plan_of(plan.recording)), [], [], [])
    expected = lines["floor", "System nodes"]
    assert expected
    assert floor.usd_per_hour * HOURS_PER_MONTH == pytest.approx(expected.expected)
    for pool in found.pools:
        standing = [each for each in found.consumers if each.pool is pool and each.part == "always"]
        if not standing or any(each.hours < HOURS_PER_MONTH for each in standing):
            continue
        assert pool.price
        cluster = Cluster()
        for index in range(node_peak(standing, room_on(pool.price))):
            cluster.node(f"node-{index}", pool.name, type=pool.price.instance_type, capacity=pool.capacity_type)
        seen = view(prices, cluster.objects["Node"], cluster.objects["NodeClaim"], [], [])
        always = lines["always", f"GPU nodes, {pool.name}"]
        assert always
        assert seen.usd_per_hour * HOURS_PER_MONTH == pytest.approx(always.expected)


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1"])
def test_a_region_with_prices_plays_its_own(region: str) -> None:
    assert played(region) is of(region)
    assert of_another_region(region) == ""


@pytest.mark.usefixtures("few_prices")
def test_a_region_without_prices_plays_anothers_and_says_so() -> None:
    assert played("eu-central-1") is of("us-east-1")
    assert of_another_region("eu-central-1") == NOTE
    assert of_another_region("") == "", "no plan is there yet"


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1"])
def test_karpenter_is_told_the_regions_prices(region: str) -> None:
    answer = products(played(region), [{"Field": "productFamily", "Value": "Compute Instance"}])
    listed = {}
    for entry in map(json.loads, answer["PriceList"]):
        (term,) = entry["terms"]["OnDemand"].values()
        (dimension,) = term["priceDimensions"].values()
        listed[entry["product"]["attributes"]["instanceType"]] = float(dimension["pricePerUnit"]["USD"])
    assert listed == pytest.approx(dict(of(region).on_demand))
    history = "".join(spot_history(played(region), ["a", "b"], "2030-01-01T00:00:00.000Z"))
    shown = re.findall(r"<instanceType>g6.xlarge</instanceType>.*?<spotPrice>(.*?)</spotPrice>", history)
    expected = of(region).node_usd_per_hour("g6.xlarge", "spot")
    assert [float(price) for price in shown] == pytest.approx([expected, expected])


def test_what_spot_has_none_of_has_no_price() -> None:
    """Karpenter takes such an offering for one that is not there; on-demand stays."""
    gone = Withdrawn([("g6.*", "b")]).matches
    history = "".join(spot_history(played("us-east-1"), ["a", "b"], "2030-01-01T00:00:00.000Z", gone))
    zones = {
        kind: re.findall(rf"<instanceType>{kind}</instanceType>.*?<availabilityZone>(.*?)</availabilityZone>", history)
        for kind in ("g6.xlarge", "g5.xlarge")
    }
    assert zones == {"g6.xlarge": ["a"], "g5.xlarge": ["a", "b"]}


@pytest.mark.usefixtures("few_prices")
def test_a_node_costs_what_its_region_asks() -> None:
    cluster = Cluster()
    cluster.node("one")
    here, there, elsewhere = (cluster.scene(region=region) for region in ("us-east-1", "us-gov-west-1", "eu-central-1"))
    assert there.usd_per_hour == pytest.approx(0.5072)
    assert (here.usd_per_hour, elsewhere.usd_per_hour) == pytest.approx((0.4024, 0.4024))
    for scene, said in ((elsewhere, True), (here, False), (there, False)):
        shown = "".join(str(line) for line in _head(scene, 100))
        assert [NOTE in text for text in (page(scene), picture(scene), shown)] == [said] * 3


def test_the_status_says_whose_prices_they_are() -> None:
    for said in ("", NOTE):
        console = Console(file=io.StringIO(), width=120)
        show(Report("dev", True, None, {}, {}, View(nodes=(), pending=()), 0.5, prices=said), console)
        assert isinstance(console.file, io.StringIO)
        text = " ".join(console.file.getvalue().split())
        assert f"USD 0.000 per hour now, USD 0.5000 since the twin was started {NODES_ALONE} {said}".strip() in text
        assert text.endswith(said or NODES_ALONE)


def test_the_status_says_it_in_lines_of_a_readable_width() -> None:
    """In a pipe the table keeps to no width, and sentences still do."""
    console = Console(file=io.StringIO(), width=10_000)
    show(Report("dev", True, None, {}, {}, View(nodes=(), pending=()), 0.5, prices=NOTE), console)
    assert isinstance(console.file, io.StringIO)
    notes = console.file.getvalue().partition("since the twin was started\n")[2].splitlines()
    assert len(notes) > 2
    assert [line for line in notes if len(line) > 80 or not line.startswith("  ")] == []


def test_a_twin_whose_plan_is_still_made_has_a_status(tmp_path: Path) -> None:
    """The control plane runs before the plan is written, and somebody may look then."""
    state = TwinState(tmp_path, "dev")
    assert _region(state) == ""
    state.make()
    state.plan.write_text("{")
    assert _region(state) == ""
