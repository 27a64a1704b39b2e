"""The floor, lever by lever, and the lean one: worked by hand, USD a month at us-east-1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from config.bill import bill
from config.consumers import consumers
from config.floor import gateway_on_spot, gives_up
from config.idle_floor import floor_items
from config.schema import StackConfig
from gpu.prices import HOURS_PER_MONTH
from tests.unit.config.support import GONE, ON_DEMAND, changed, parsed, problems_of

LEAN = {"cluster.floor": "lean"}
DAYS = HOURS_PER_MONTH / 24
CONTROL_PLANE = "EKS control plane"


def config(**changes: Any) -> StackConfig:
    return parsed(changed({"dialogue": GONE, "network": {"zoneIds": ["use1-az1", "use1-az2"]}, **changes}))


def floor(**changes: Any) -> dict[str, float]:
    return {item.name: item.usd_per_month or 0.0 for item in floor_items(config(**changes))}


def above(**changes: Any) -> float:
    """The floor above the control plane."""
    return sum(usd for name, usd in floor(**changes).items() if name != CONTROL_PLANE)


def test_the_lean_floor_is_at_most_one_and_a_half_dollars_a_day() -> None:
    """A t4g.large on Spot, 0.01568 x 730 = 11.45, its volume 4.00, its address 3.65, two keys: 21.10 a month are 0.69 a
    day. Were it the dearest of its types, m7g.large, at the most of a zone, 0.0434 x 730 = 31.68: 1.36 a day."""
    assert floor(**LEAN) == pytest.approx(
        {
            CONTROL_PLANE: 73.0,
            "System nodes": 0.01568 * 730,
            "System volumes": 4.0,
            "Public addresses": 3.65,
            "KMS keys": 2.0,
        }
    )
    assert above(**LEAN) / DAYS == pytest.approx(0.69, abs=0.005)
    stack = config(**LEAN)
    highest = sum(each.usd.high for each in bill(stack, consumers(stack)).lines if each.part == "floor" and each.usd)
    assert (highest - 73) / DAYS == pytest.approx(1.36, abs=0.005)
    assert above() / DAYS > 5


def test_system_nodes_on_spot_have_a_range() -> None:
    """EKS may take any of t4g.large, m6g.large and m7g.large. On 2025-05-28 zones asked 0.0096 to 0.0182 for the first,
    0.01568 in the mean, and up to 0.0434 for the last."""
    stack = config(**LEAN)
    (nodes,) = [each for each in bill(stack, consumers(stack)).lines if each.name == "System nodes"]
    assert nodes.usd is not None
    assert (nodes.usd.low, nodes.usd.expected, nodes.usd.high) == pytest.approx(
        (0.0096 * 730, 0.01568 * 730, 0.0434 * 730)
    )
    on_demand = config(**{"cluster.systemNodes": {"instanceTypes": ["t4g.large", "m7g.large"]}})
    (nodes,) = [each for each in bill(on_demand, consumers(on_demand)).lines if each.name == "System nodes"]
    assert nodes.usd is not None
    assert nodes.usd.low == nodes.usd.high == pytest.approx(2 * 0.0672 * 730), "on-demand the first is taken first"


def test_what_is_written_holds() -> None:
    assert config(**LEAN, **{"network.nat": "single"}).network.nat == "single"
    found = config(**LEAN, **{"cluster.systemNodes": {"desired": 2}, "serving": {"replicas": 2}})
    nodes = found.cluster.system_nodes
    assert (nodes.min, nodes.desired, nodes.max, nodes.capacity_type) == (1, 2, 3, "spot")
    assert found.serving.replicas == 2
    assert config(**LEAN).serving.replicas == 1


def test_nothing_is_filled_in_otherwise() -> None:
    assert config().model_dump() == config(**{"cluster.floor": "standard"}).model_dump()
    assert (gives_up(config()), len(gives_up(config(**LEAN)))) == ((), 2)


def test_what_the_file_keeps_is_not_given_up() -> None:
    (kept_nat,) = gives_up(config(**LEAN, **{"network.nat": "single"}))
    assert kept_nat.startswith("a second system node")
    for nodes in ({"desired": 2}, {"capacityType": "on-demand"}):
        (kept_nodes,) = gives_up(config(**LEAN, **{"cluster.systemNodes": nodes}))
        assert kept_nodes.startswith("the NAT gateway")


FIRM = {"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND}
CRITICAL = {**FIRM, "models[1].importance": "critical", "models[1].minScale": 1}


def test_a_critical_model_behind_a_system_node_on_spot_is_told() -> None:
    said = gateway_on_spot(config(**LEAN, **CRITICAL))
    assert said.startswith("gpu-slices:cluster.floor = lean: requests to llama2, importance: critical,")
    assert "on one system node on Spot" in said
    assert said.endswith(
        "gpu-slices:cluster.systemNodes: {capacityType: on-demand, desired: 2} and gpu-slices:serving.replicas: 2"
    )
    nodes = {"cluster.systemNodes": {"capacityType": "spot"}}
    said = gateway_on_spot(config(**CRITICAL, **nodes))
    assert said.startswith("gpu-slices:cluster.systemNodes.capacityType = spot:")
    assert said.endswith("{capacityType: on-demand, desired: 2}")


def test_so_is_a_critical_knative_service() -> None:
    container = {"name": "app", "image": "ghcr.io/acme/rank:1.4.0", "slots": 1, "ports": [{"containerPort": 8000}]}
    work = {"name": "rank", "pool": "shared", "kind": "KnativeService", "minScale": 1, "containers": [container]}
    said = gateway_on_spot(config(**LEAN, **FIRM, workloads=[{**work, "importance": "critical"}]))
    assert "requests to rank, importance: critical, come through Knative's gateway" in said
    assert "nobody reaches it." in said
    assert gateway_on_spot(config(**LEAN, **FIRM, workloads=[work])) == ""


def test_what_it_says_to_write_ends_it() -> None:
    mended = {"cluster.systemNodes": {"capacityType": "on-demand", "desired": 2}, "serving.replicas": 2}
    stack = config(**LEAN, **CRITICAL, **mended)
    assert gateway_on_spot(stack) == ""
    assert (stack.cluster.system_nodes.desired, stack.serving.replicas) == (2, 2)
    assert gateway_on_spot(config(**LEAN, **FIRM)) == gateway_on_spot(config(**CRITICAL)) == ""


def test_mistakes_beside_the_choice_are_those_of_the_file() -> None:
    (problem,) = problems_of(changed({**LEAN, "network": "none"}))
    assert problem.path == ("network",)
    (problem,) = problems_of(changed({"cluster.floor": "leen"}))
    assert "did you mean lean?" in problem.message
    (problem,) = problems_of(changed({**LEAN, "cluster.systemNodes": 1}))
    assert problem.path == ("cluster", "systemNodes")


def test_without_nat_nodes_pay_for_addresses_and_traffic_is_free() -> None:
    """A node for 243.33 h a month: 1.22 for its address, where NAT took 16.70 for images and weights."""
    stack = config(**{"network.nat": "none"})
    lines = {(line.part, line.name): line.usd for line in bill(stack, consumers(stack)).lines}
    usd = lines["on demand", "Public addresses, shared"]
    assert usd
    assert usd.expected == pytest.approx(8 * DAYS * 0.005)
    assert usd.high > usd.expected
    assert not [name for part, name in lines if part == "traffic and logs" and name != "Logs"]


#: Each lever of the table: what is written, on top of the stack that has none of them.
LEVERS: dict[str, dict[str, Any]] = {
    "network: { nat: none }": {"network.nat": "none"},
    "network: { nat: per-zone }": {"network.nat": "per-zone"},
    "network: { interfaceEndpoints: true }": {"network.interfaceEndpoints": True},
    "systemNodes: { instanceTypes: [t4g.large] }": {"cluster.systemNodes": {"instanceTypes": ["t4g.large"]}},
    "systemNodes: { capacityType: spot }": {"cluster.systemNodes": {"capacityType": "spot"}},
    "systemNodes: { desired: 1 }": {"cluster.systemNodes": {"desired": 1}, "serving": {"replicas": 1}},
    "floor: lean": LEAN,
}


@pytest.mark.parametrize("lever", LEVERS)
def test_the_table_of_levers_says_what_each_costs(lever: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "costs.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{re.escape(lever)}`[^|]*\| ([-+][\d.]+) \|", text, re.MULTILINE)
    assert row, lever
    assert float(row[1]) == pytest.approx(above(**LEVERS[lever]) - above(), abs=0.006)


def test_endpoints_pay_only_above_a_traffic_that_nobody_here_has() -> None:
    """Eight in two zones are 116.80 a month; a GB costs 0.045 by NAT and 0.01 by them, so above 3,337 GB a month."""
    endpoints = floor(**{"network.interfaceEndpoints": True})["Interface endpoints"]
    assert endpoints == pytest.approx(8 * 2 * 0.01 * 730)
    assert endpoints / (0.045 - 0.01) == pytest.approx(3337, abs=1)


def test_on_a_cluster_that_is_there_only_the_choice_itself_is_refused() -> None:
    """And none of the keys that it would fill in, which nobody wrote."""
    existing = {"existing": {"chartVersion": "1.15.0", "nodeRole": "nodes", "featureGates": ["nodeOverlay"]}}
    cluster = {"existing": "prod", "version": "1.36", "floor": "lean"}
    found = problems_of(changed({"dialogue": GONE, "budget": GONE, "cluster": cluster, "karpenter": existing}))
    assert [problem.path for problem in found] == [("cluster", "floor")]


def test_nodes_of_a_cluster_that_is_there_are_not_reckoned() -> None:
    """Knative's pods may be more than two of our own nodes would hold: nobody could write more of them."""
    existing = {"existing": {"chartVersion": "1.15.0", "nodeRole": "nodes", "featureGates": ["nodeOverlay"]}}
    changes = {"cluster": {"existing": "prod"}, "karpenter": existing, "budget": GONE, "serving": {"replicas": 5}}
    assert config(**changes, network={}).serving.replicas == 5
