"""Estimates against figures worked out by hand, in USD at us-east-1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given

from gpu.catalog import FAMILIES, INSTANCE_TYPES, InstanceType, types_in
from gpu.estimate import (
    FloorInputs,
    Kept,
    SlotPrice,
    dedicated_gpu,
    idle_floor,
    slot_price,
)
from gpu.models import MODELS, ModelMemory, model_memory
from gpu.pool import Pool
from gpu.prices import CapacityType, RegionPrices, of
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.why import plus
from tests.unit.gpu.support import shared_types

PRICES, NONE = of("us-east-1"), of("ap-south-2")
DEV = FloorInputs(
    system_node_types=("m7g.large",),
    system_nodes=2,
    system_volume_gib=50,
    nat_gateways=1,
    kms_keys=2,
    interface_endpoints=0,
    zones=3,
)


def pool(
    types: Iterable[InstanceType], profile: SharingProfile, capacity_type: CapacityType, prices: RegionPrices
) -> Pool:
    return Pool(name="p", profile=profile, types=tuple(types), max_gpus=1, prices=prices, purchase=capacity_type)


def price_of(instance_type: str, profile: SharingProfile) -> SlotPrice:
    price = slot_price(INSTANCE_TYPES[instance_type], profile, PRICES)
    assert price is not None
    return price


@pytest.mark.parametrize(
    ("instance_type", "profile", "slots", "on_demand", "spot"),
    [
        ("g6.xlarge", NoSharing(), 1, 0.8048, 0.4024),  # half off
        ("g6.xlarge", TimeSlicing(4), 4, 0.2012, 0.1006),
        ("g4dn.12xlarge", Mps(3), 12, 0.326, 0.13366),  # 3.912 / 12, 59 % off
        ("p5.4xlarge", Mig("1g.10gb"), 7, 6.88 / 7, 3.44 / 7),  # not sampled: half off
        ("p4d.24xlarge", Mig("3g.20gb"), 16, 21.957642 / 16, 21.957642 / 32),
    ],
)
def test_price_of_a_slot(
    instance_type: str, profile: SharingProfile, slots: int, on_demand: float, spot: float
) -> None:
    price = price_of(instance_type, profile)
    assert price.instance_type == instance_type
    assert price.slots == slots
    assert price.on_demand_usd_per_slot_hour == pytest.approx(on_demand)
    assert price.spot_usd_per_slot_hour == pytest.approx(spot)


def test_a_node_costs_what_the_pool_pays() -> None:
    price = price_of("g6.xlarge", TimeSlicing(4))
    assert price.usd_per_hour("on-demand") == pytest.approx(0.8048)
    assert price.usd_per_hour("spot") == pytest.approx(0.4024)


@given(shared_types())
def test_slots_together_cost_what_the_node_costs(shared: tuple[InstanceType, SharingProfile]) -> None:
    instance_type, profile = shared
    price = slot_price(instance_type, profile, PRICES)
    assert (price is None) == (instance_type.name not in PRICES.on_demand)
    if price is not None:
        assert price.on_demand_usd_per_slot_hour * price.slots == pytest.approx(PRICES.on_demand[instance_type.name])
        assert 0 < price.spot_usd_per_hour < price.on_demand_usd_per_hour
        assert price.spot_source


def test_types_without_a_price_have_none() -> None:
    assert slot_price(INSTANCE_TYPES["p5e.48xlarge"], NoSharing(), PRICES) is None


def test_the_first_pod_buys_the_cheapest_spot_node() -> None:
    """On-demand g6.xlarge is cheaper than g5.xlarge, and on Spot as well: 0.4024 against 0.4929."""
    price = pool(types_in(["g5", "g6"]), TimeSlicing(3), "spot", PRICES).price
    assert price is not None
    assert price.instance_type == "g6.xlarge"
    dearer = pool(types_in(["g6e", "p5"]), NoSharing(), "spot", PRICES).price
    assert dearer is not None
    assert dearer.instance_type == "g6e.xlarge"
    assert dearer.spot_usd_per_hour == pytest.approx(1.861 * 0.38)


def test_types_without_a_price_are_not_the_cheapest() -> None:
    assert pool(types_in(["p5e"]), NoSharing(), "spot", PRICES).price is None
    both = pool(types_in(["p5e", "p5en"]), NoSharing(), "spot", PRICES).price
    assert both is not None
    assert both.instance_type == "p5en.48xlarge"


@pytest.mark.parametrize(
    ("model", "context", "instance_type"),
    [
        ("llama3.2:3b", 4096, "g4dn.xlarge"),  # 3.2 GiB: the cheapest x86 GPU; g5g is cheaper, but arm64
        ("mistral:7b", 4096, "g4dn.xlarge"),
        ("llama2:13b", 4096, "g4dn.xlarge"),  # 10.9 of 14.6 GiB
        ("phi4:14b", 16384, "g4dn.xlarge"),  # 8679 + 3200 + 922 = 12801 of 14910 MiB
        ("qwen2.5:14b", 32768, "g6.xlarge"),  # 8584 + 6144 + 922 = 15650 MiB
        ("mixtral:8x7b", 4096, "g6e.xlarge"),
        ("llama3.1:70b", 4096, "g6e.xlarge"),  # 41008 + 1280 + 922 = 43210 of 44685 MiB
        ("llama3.1:70b", 16384, "g7e.2xlarge"),
    ],
)
def test_a_model_alone_needs_a_gpu_of_its_own(model: str, context: int, instance_type: str) -> None:
    found = dedicated_gpu(model_memory(MODELS[model], context_length=context), "on-demand", PRICES)
    assert found is not None
    assert found.name == instance_type


def test_a_model_that_no_single_gpu_holds_has_none() -> None:
    assert dedicated_gpu(ModelMemory(300_000, 0, 0), "spot", PRICES) is None


def test_the_cheapest_gpu_is_that_of_the_purchase_option() -> None:
    """5.5 GiB on a g4dn.xlarge: 0.526 USD/hour on-demand, and 59 % less as Spot."""
    memory = model_memory(MODELS["mistral:7b"], context_length=4096)
    prices_by_option: dict[CapacityType, float] = {"on-demand": 0.526, "spot": 0.526 * 0.41}
    for capacity_type, usd in prices_by_option.items():
        found = dedicated_gpu(memory, capacity_type, PRICES)
        assert found is not None
        assert PRICES.node_usd_per_hour(found.name, capacity_type) == pytest.approx(usd)


def test_the_dearest_node_is_the_worst_that_a_pool_may_buy() -> None:
    types = [t for family in ("g6", "g5") for t in FAMILIES[family] if t.gpu_count == 1]
    dearest, cheapest = pool(types, Mps(3), "spot", PRICES).dearest, pool(types, Mps(3), "spot", PRICES).price
    assert dearest is not None
    assert cheapest is not None
    assert (dearest.instance_type, cheapest.instance_type) == ("g5.16xlarge", "g6.xlarge")
    assert dearest.spot_usd_per_hour > 4 * cheapest.spot_usd_per_hour


def test_families_that_nobody_saw_on_spot_are_known_as_such() -> None:
    seen = {family for family in FAMILIES if PRICES.spot_discount(family).sampled}
    assert seen == {"g4dn", "g5", "g6", "g6e"}


def test_the_idle_floor_of_a_small_stack() -> None:
    assert {item.name: round(item.usd_per_month or 0, 2) for item in idle_floor(DEV, PRICES)} == {
        "EKS control plane": 73.00,  # 0.10 x 730
        "System nodes": 119.14,  # 2 x 0.0816 x 730
        "System volumes": 8.00,  # 2 x 50 x 0.08
        "NAT gateway": 36.50,  # (0.045 + 0.005) x 730
        "KMS keys": 2.00,
    }
    assert plus(*(item.why for item in idle_floor(DEV, PRICES))).value == pytest.approx(238.636)


def test_the_idle_floor_of_a_large_stack() -> None:
    inputs = dataclasses.replace(DEV, system_node_types=("m7g.xlarge",), nat_gateways=3, interface_endpoints=8)
    floor = {item.name: round(item.usd_per_month or 0, 2) for item in idle_floor(inputs, PRICES)}
    assert floor["System nodes"] == 238.27  # 2 x 0.1632 x 730
    assert floor["NAT gateway"] == 109.50
    assert floor["Interface endpoints"] == 175.20  # 8 x 3 x 0.01 x 730


def test_the_idle_floor_says_what_it_counts() -> None:
    inputs = dataclasses.replace(DEV, interface_endpoints=8)
    assert {item.name: item.detail for item in idle_floor(inputs, PRICES)} == {
        "EKS control plane": "standard support",
        "System nodes": "2 x m7g.large, on-demand",
        "System volumes": "2 x 50 GiB gp3",
        "NAT gateway": "1 with a public IPv4 address",
        "KMS keys": "2",
        "Interface endpoints": "8 in 3 zones",
    }


def test_a_system_node_without_a_price_makes_no_sum() -> None:
    floor = idle_floor(dataclasses.replace(DEV, system_node_types=("m7g.metal",)), PRICES)
    assert [item.name for item in floor if item.usd_per_month is None] == ["System nodes"]
    assert plus(*(item.why for item in floor)).value is None


def test_a_volume_of_conversations_is_part_of_the_floor() -> None:
    (item,) = set(idle_floor(dataclasses.replace(DEV, kept=Kept(volume_gib=1)), PRICES)) - set(idle_floor(DEV, PRICES))
    assert (item.name, item.usd_per_month) == ("Conversations", PRICES.services.gp3_per_gb_month)


def test_a_region_without_data_is_priced_at_nothing() -> None:
    """The same lines, so that nobody takes an item for free that is merely not known."""
    inputs = dataclasses.replace(DEV, interface_endpoints=8, load_balancers=1, kept=Kept(volume_gib=1))
    known, unknown = idle_floor(inputs, PRICES), idle_floor(inputs, NONE)
    assert [(item.name, item.detail) for item in unknown] == [(item.name, item.detail) for item in known]
    assert {item.usd_per_month for item in unknown} == {None}
    assert slot_price(INSTANCE_TYPES["g6.xlarge"], NoSharing(), NONE) is None
    assert pool(types_in(["g6"]), NoSharing(), "on-demand", NONE).dearest is None
    assert dedicated_gpu(ModelMemory(1000, 0, 0), "spot", NONE) is None


def test_each_region_has_its_own_prices() -> None:
    """GovCloud's list price of a g6.xlarge, and no Spot price that anybody saw there."""
    price = slot_price(INSTANCE_TYPES["g6.xlarge"], TimeSlicing(4), of("us-gov-west-1"))
    assert price is not None
    assert (price.on_demand_usd_per_hour, price.on_demand_usd_per_slot_hour) == (1.0144, 0.2536)
    assert (price.spot_usd_per_hour, price.spot_seen) == (0.5072, False)
    cheapest = pool(types_in(["g5", "g6"]), NoSharing(), "on-demand", of("us-gov-west-1")).price
    assert cheapest is not None
    assert cheapest.instance_type == "g6.xlarge", "g5 is not sold there"
    floor = idle_floor(DEV, of("us-gov-west-1"))
    assert [item.name for item in floor if item.usd_per_month is not None] == ["System nodes"]


@pytest.mark.parametrize(("family", "fraction"), [("g4dn", 0.59), ("g5", 0.51), ("g6", 0.50), ("g6e", 0.62)])
def test_spot_discounts_of_sampled_families(family: str, fraction: float) -> None:
    assert PRICES.spot_discount(family).fraction == fraction
    assert "skypilot" in PRICES.spot_discount(family).source


@pytest.mark.parametrize("family", ["p5", "p6-b300", "g7e", "unknown"])
def test_spot_discounts_of_other_families_are_the_lowest_and_say_so(family: str) -> None:
    discount = PRICES.spot_discount(family)
    assert discount.fraction == min(PRICES.spot_discount(f).fraction for f in ("g4dn", "g5", "g6", "g6e"))
    assert discount.source.startswith("no sample")


def test_no_discount_is_promised_that_nobody_saw() -> None:
    """Never the 90 % of advertisements."""
    assert all(PRICES.spot_discount(t.family).fraction <= 0.62 for t in INSTANCE_TYPES.values())


def test_an_on_demand_pool_buys_the_type_with_the_cheapest_on_demand_price() -> None:
    types = types_in(names=["g5.4xlarge", "g6e.xlarge"])
    spot, on_demand = (pool(types, NoSharing(), capacity, PRICES).price for capacity in ("spot", "on-demand"))
    assert spot is not None
    assert on_demand is not None
    # 1.624 and 1.861 USD per hour; Spot is 51 and 62 % less.
    assert (spot.instance_type, on_demand.instance_type) == ("g6e.xlarge", "g5.4xlarge")
