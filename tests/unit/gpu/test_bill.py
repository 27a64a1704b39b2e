"""Whole nodes, and the same work done in other ways: worked by hand, in USD at us-east-1.

On demand: g4dn.xlarge 0.526, g6.xlarge 0.8048, g5.16xlarge 4.096, p5.4xlarge 6.88 USD an hour. Spot, as expected: 59 %
less for g4dn (0.21566), half for g6 (0.4024), 51 % less for g5 (2.00704); p5 was never seen, and counts as half (3.44).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpu.bill import Consumer, NodeRoom, asked_reasons, standing_reasons, why_ceiling, why_node_hours, why_volume
from gpu.catalog import INSTANCE_TYPES
from gpu.compare import OWN_ALIKE, OWN_ON_DEMAND_ALWAYS, WRITTEN, Comparison, Way, compare
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import Mig, NoSharing, TimeSlicing

PRICES = of("us-east-1")
EIGHT = 8 * 730 / 24
SHARING = Way(shared=True, spot=False, sleeps=False)
SPOT = Way(shared=False, spot=True, sleeps=False)
SLEEP = Way(shared=False, spot=False, sleeps=True)


def pool(*types: str, **changes: Any) -> Pool:
    values: dict[str, Any] = {"name": "p", "profile": TimeSlicing(4), "max_gpus": 8, "prices": PRICES, **changes}
    return Pool(types=tuple(INSTANCE_TYPES[name] for name in types), **values)


T4, L4 = pool("g4dn.xlarge"), pool("g6.xlarge", profile=TimeSlicing(3))


def model(of_pool: Pool, need: int = 3000, hours: float = EIGHT, **changes: Any) -> Consumer:
    values: dict[str, Any] = {"kind": "model", "slots": 1, "part": "on demand", "sleeps": True, **changes}
    return Consumer(name="m", pool=of_pool, hours=hours, needs=(need,), **values)


def always(of_pool: Pool, slots: int = 1, need: int = 3000) -> Consumer:
    return model(of_pool, need, 730, slots=slots, part="always", sleeps=False)


def compared(*consumers: Consumer) -> Comparison:
    found = compare(consumers)
    assert found is not None
    return found


def usd(comparison: Comparison, way: Way) -> float:
    return comparison.ways[way].usd_per_month


def test_four_models_on_one_spot_t4_on_equal_terms() -> None:
    """One node of four slots against four: 243.33 h x 0.21566 = 52.48 against 4 x 52.48 = 209.91: 75 % less."""
    four = compared(*[model(T4)] * 4)
    assert usd(four, WRITTEN) == pytest.approx(52.477, abs=0.001)
    assert usd(four, OWN_ALIKE) == pytest.approx(209.909, abs=0.001)
    assert four.saving(WRITTEN, OWN_ALIKE) == pytest.approx(0.75)


def test_four_models_on_one_spot_t4_against_four_on_demand_ones_that_never_sleep() -> None:
    """Unequal terms: 4 x 0.526 x 730 = 1535.92. 96.6 % less, of which sharing is one part of three."""
    four = compared(*[model(T4)] * 4)
    assert usd(four, OWN_ON_DEMAND_ALWAYS) == pytest.approx(1535.92)
    assert four.saving(WRITTEN) == pytest.approx(1 - 52.477 / 1535.92, abs=1e-5)


def test_each_saving_alone_and_all_together() -> None:
    """Sharing a quarter of the nodes, Spot 41 % of the price, sleep a third of the hours: 1 - 0.25 x 0.41 / 3."""
    four = compared(*[model(T4)] * 4)
    assert four.saving(SHARING) == pytest.approx(0.75)
    assert four.saving(SPOT) == pytest.approx(0.59)
    assert four.saving(SLEEP) == pytest.approx(2 / 3)
    assert four.saving(WRITTEN) == pytest.approx(1 - 0.25 * 0.41 / 3)


def test_a_fifth_model_buys_a_whole_second_node() -> None:
    """2 x 0.21566 x 243.33 = 104.95 against 5 x 52.48: 60 % less, not 75."""
    five = compared(*[model(T4)] * 5)
    assert five.ways[WRITTEN].nodes == 2
    assert usd(five, WRITTEN) == pytest.approx(104.955, abs=0.001)
    assert five.saving(WRITTEN, OWN_ALIKE) == pytest.approx(0.6)


def test_three_models_on_an_l4_against_three_small_gpus() -> None:
    """dev: 0.4024 against 3 x 0.21566 = 0.64698 while all are awake: 37.8 % less."""
    assert compared(*[model(L4)] * 3).saving(WRITTEN, OWN_ALIKE) == pytest.approx(1 - 0.4024 / 0.64698)


def test_one_model_on_an_l4_is_dearer_than_a_t4_of_its_own() -> None:
    """0.4024 against 0.21566: 86.6 % more. Two slots pay (0.4313), so from two on; and at every use of one alone."""
    one = compared(model(L4))
    assert one.saving(WRITTEN, OWN_ALIKE) == pytest.approx(1 - 0.4024 / 0.21566)
    assert (one.pays_from, one.dearer) == ({"p": None}, ((0.0, 24.0),))
    assert compared(*[model(L4)] * 3).pays_from == {"p": 2}


def test_a_fourth_slot_on_a_second_l4_just_pays() -> None:
    """4 x 0.21566 = 0.86264 against 2 x 0.4024 = 0.8048."""
    assert compared(*[model(L4)] * 4).pays_from == {"p": 2}


def test_on_demand_pools_are_compared_with_on_demand_gpus() -> None:
    """Spot saves nothing where the pool is on-demand: 0.8048 against 3 x 0.526 = 1.578 either way, 49 % less."""
    three = compared(*[model(pool("g6.xlarge", profile=TimeSlicing(3), purchase="on-demand"))] * 3)
    assert three.saving(SPOT) == 0
    assert three.saving(WRITTEN, OWN_ALIKE) == pytest.approx(1 - 0.8048 / 1.578)


def test_what_is_not_shared_saves_nothing_by_sharing() -> None:
    """A whole L4 each, although a T4 would do: both sides are the pool's own node."""
    whole = compared(*[model(pool("g6.xlarge", profile=NoSharing()))] * 2)
    assert (whole.saving(WRITTEN, OWN_ALIKE), whole.saving(SHARING)) == (0, 0)
    assert (whole.dearer, whole.pays_from) == ((), {})
    assert usd(whole, WRITTEN) == pytest.approx(2 * 0.4024 * EIGHT)


def test_one_tenant_on_an_h100_is_dearer_than_its_own_gpu() -> None:
    """3.44 against 0.21566 an hour: sixteen times the price, at every use."""
    one = compared(model(pool("p5.4xlarge", profile=Mig("1g.10gb"))))
    assert one.saving(WRITTEN, OWN_ALIKE) == pytest.approx(1 - 3.44 / 0.21566)
    assert one.dearer == ((0.0, 24.0),)


def test_the_use_at_which_a_warm_node_pays() -> None:
    """One slot that never sleeps on an L4, and two models that do.

    Written: 0.4024 x 730 whatever is used. A GPU each: 0.21566 x (730 + 2 u), u hours a month. Equal where
    u = (0.4024 / 0.21566 - 1) x 730 / 2 = 316.06 h, which is 10.39 h a day: below it a GPU each is cheaper.
    """
    ((start, end),) = compared(always(L4), model(L4), model(L4)).dearer
    assert (start, end) == pytest.approx((0, 316.056 / 730 * 24), abs=0.001)


def test_the_use_at_which_a_second_node_no_longer_pays() -> None:
    """Three slots always on an L4, and one model: 293.75 + 0.4024 u against 0.21566 x (2190 + u).

    Equal at u = (472.295 - 293.752) / (0.4024 - 0.21566) = 956 h: more than a month has, so never dearer.
    """
    assert compared(always(L4, 3), model(L4)).dearer == ()


def test_uses_that_differ_by_less_than_is_shown_are_one() -> None:
    """Three slots kept warm for 6.518 h a month, and a model, on nodes of two slots: sharing just pays only between
    0.206 and 0.218 h a day, which are both shown as 0.2."""
    l40s = pool("g6e.xlarge", profile=TimeSlicing(2))
    warm = model(l40s, hours=6.518, slots=3, kind="warm slots", part="always", sleeps=False)
    asked = model(l40s, need=6585)
    assert compared(asked, replace(warm, needs=())).dearer == ((0.0, 24.0),)


def test_a_gpu_of_its_own_must_hold_the_model() -> None:
    """16000 MiB do not fit a T4 (14910); the cheapest that holds them on Spot is a g6.xlarge."""
    large = model(pool("g6e.xlarge", profile=TimeSlicing(2)), need=16000)
    assert large.own_usd_per_hour("spot") == pytest.approx(0.4024)
    assert compare([model(T4, need=900_000)]) is None, "no single GPU holds it"


def test_two_models_of_one_server_would_have_a_gpu_each() -> None:
    """2 x 0.21566 for one slot of a T4 with two."""
    both = Consumer(
        name="s", kind="server", pool=T4, slots=1, hours=EIGHT, part="on demand", sleeps=True, needs=(3000, 3000)
    )
    assert both.own_usd_per_hour("spot") == pytest.approx(0.43132)
    assert compared(both).ways[OWN_ALIKE].nodes == 2


def test_nodes_leave_when_the_last_of_their_slots_does() -> None:
    """Slots of four: five for 100 h and one for 40 more are 2 nodes for 100 h and 1 for 40."""
    assert why_node_hours([model(T4, hours=100, slots=5), model(T4, hours=140)], NodeRoom(4)).value == 240
    assert why_node_hours([model(T4, hours=100, slots=9)], NodeRoom(4), most_nodes=2).value == 200, "the ninth waits"


def test_what_comes_on_demand_takes_free_slots_first() -> None:
    """Two of three slots always run: the third costs nothing more, a fourth a node for its hours."""
    one, two = (asked_reasons(L4, [always(L4, 2)], [model(L4)] * count).usd for count in (1, 2))
    assert one is not None
    assert two is not None
    assert (one.expected, two.expected) == pytest.approx((0, 0.4024 * EIGHT))


def test_a_pool_that_may_buy_g5_16xlarge() -> None:
    """Low: a g6 57 % off, 0.8048 x 0.43 x 730 = 252.63. High: a g5.16xlarge, 4.096 x 0.49 x 730 = 1465.14."""
    wide = pool("g6.xlarge", "g5.xlarge", "g5.16xlarge", profile=TimeSlicing(3), max_gpus=2)
    spread = standing_reasons(wide, [always(wide, 3)]).usd
    assert spread is not None
    assert (spread.low, spread.expected, spread.high) == pytest.approx((252.627, 293.752, 1465.139), abs=0.001)
    assert why_ceiling(wide).value == pytest.approx(2 * 2.00704)


def test_a_ceiling_fills_what_whole_nodes_leave_free() -> None:
    """Nine GPUs: one p5.48xlarge of eight at 55.04 and one g6.xlarge at 0.8048, not nine of these or one of those."""
    mixed = pool("p5.48xlarge", "g6.xlarge", max_gpus=9, purchase="on-demand")
    assert why_ceiling(mixed).value == pytest.approx(55.04 + 0.8048)
    assert why_ceiling(pool("p5.48xlarge", "g6.xlarge", max_gpus=7, purchase="on-demand")).value == (
        pytest.approx(7 * 0.8048)
    )


def test_high_leaves_what_always_runs_its_gpus() -> None:
    """Sixteen H100, seven slots each; Spot that nobody saw is 6.88 or 55.04 an hour at most, 110.08 for all of them.

    Four slots always: on a p5.48xlarge 55.04 x 730 = 40,179.20. Eleven Jobs of 720 h, apart on a p5.4xlarge each, would
    be 7,920 h x 6.88 = 54,489.60; but of the month's 80,358.40 only 40,179.20 are left.
    """
    h100 = pool("p5.4xlarge", "p5.48xlarge", profile=Mig("1g.10gb"), max_gpus=16)
    four, eleven = [always(h100, 4)], [model(h100, hours=720, slots=11)]
    standing, asked = standing_reasons(h100, four, eleven).usd, asked_reasons(h100, four, eleven).usd
    assert standing is not None
    assert asked is not None
    assert (standing.high, asked.high) == pytest.approx((40_179.20, 40_179.20))
    assert asked.expected == pytest.approx(2 * 720 * 3.44), "15 slots are three p5.4xlarge, of which one always runs"


def test_high_leaves_room_for_what_is_expected_on_demand() -> None:
    """Eight H100: the p5.48xlarge would take all. Of its 40,179.20 the 4,953.60 of two more p5.4xlarge are kept."""
    h100 = pool("p5.4xlarge", "p5.48xlarge", profile=Mig("1g.10gb"), max_gpus=8)
    four, eleven = [always(h100, 4)], [model(h100, hours=720, slots=11)]
    standing, asked = standing_reasons(h100, four, eleven).usd, asked_reasons(h100, four, eleven).usd
    assert standing is not None
    assert asked is not None
    assert (standing.high, asked.high) == pytest.approx((35_225.60, 4_953.60))


def test_three_that_never_meet_have_a_node_each_at_worst() -> None:
    """High: 3 x 243.33 h instead of 243.33; two nodes have room for that, since a month has 730."""
    spread = asked_reasons(L4, [], [model(L4)] * 3).usd
    assert spread is not None
    assert spread.high == pytest.approx(3 * spread.expected)


def test_spot_that_nobody_saw_costs_the_on_demand_price_at_worst() -> None:
    """p5.4xlarge: 3.44 expected, 6.88 at most."""
    h100 = pool("p5.4xlarge", profile=Mig("1g.10gb"))
    spread = standing_reasons(h100, [always(h100)]).usd
    assert spread is not None
    assert (spread.low, spread.expected, spread.high) == pytest.approx((2511.2, 2511.2, 5022.4))


def test_on_demand_has_no_range_but_its_types() -> None:
    fixed = pool("g6.xlarge", purchase="on-demand")
    spread = standing_reasons(fixed, [always(fixed)]).usd
    assert spread is not None
    assert {round(each, 3) for each in (spread.low, spread.expected, spread.high)} == {587.504}


def test_a_volume_by_the_hour() -> None:
    """100 x 0.08 + (250 - 125) x 0.04 = 13 a month; 4000 iops are 5 more."""
    assert why_volume(100, 3000, 250, PRICES.services).value == pytest.approx(13 / 730)
    assert why_volume(100, 4000, 250, PRICES.services).value == pytest.approx(18 / 730)
    assert why_volume(100, 3000, 125, of("ap-south-2").services).value is None


def test_a_region_without_prices_has_no_bill_and_no_comparison() -> None:
    nowhere = pool("g6.xlarge", prices=of("ap-south-2"))
    assert standing_reasons(nowhere, [always(nowhere)]).usd is None
    assert asked_reasons(nowhere, [], [model(nowhere)]).usd is None
    assert (why_ceiling(nowhere).value, compare([model(nowhere)]), compare([])) == (None, None, None)


@pytest.mark.parametrize(("standing", "usd_per_hour"), [(8, 24.03744), (9, 26.04448)])
def test_one_slot_more_that_always_runs_is_dearer_at_most(standing: int, usd_per_hour: float) -> None:
    """Whole GPUs: eight on nodes of one (2.00704), and two models on two nodes of four (3.99056): 8 x 2.00704 + 2 x
    3.99056. A ninth leaves whole nodes of four for one model only, and the sum grows by its own node all the same."""
    mixed = pool("g5.16xlarge", "g5.24xlarge", profile=NoSharing(), max_gpus=16)
    asked = [model(mixed, hours=730), model(mixed, hours=730)]
    run = always(mixed, standing)
    highs = [(f(mixed, [run], asked).high.value or 0.0) / 730 for f in (standing_reasons, asked_reasons)]
    assert sum(highs) == pytest.approx(usd_per_hour)
