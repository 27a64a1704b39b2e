"""Prices belong to a region: whoever asks for one says for which, and nobody is given another's."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from gpu import estimate, prices
from gpu.catalog import REGIONS, InstanceType
from gpu.price_file import SpotRange, SpotTable
from gpu.prices import RegionPrices, ServicePrices, of, priced_regions, product
from gpu.why import given, plus

ROOT = Path(__file__).parents[3]
#: Rooms of the program; `tools/` writes the data.
ROOMS = ("account", "cli", "components", "config", "gpu", "plan", "policy", "stacks", "twin")


@pytest.mark.parametrize("region", [*sorted(REGIONS - {*priced_regions()}), "", "no-such-1", "../price_data/us-east-1"])
def test_a_region_without_data_has_no_price_at_all(region: str) -> None:
    known = of(region)
    assert (known.region, dict(known.on_demand), known.on_demand_date) == (region, {}, None)
    assert known.node_usd_per_hour("g6.xlarge", "spot") is None
    assert known.node_usd_per_hour("m7g.large", "on-demand") is None
    assert known.services == ServicePrices()
    assert not known.spot_discount("g6").sampled


def test_a_region_has_its_own_prices() -> None:
    """List prices of 2026: GovCloud asks 26 % more for the same L4."""
    asked = {region: of(region).node_usd_per_hour("g6.xlarge", "on-demand") for region in priced_regions()}
    newer = {"us-east-1": 0.8048, "us-gov-east-1": 1.0144, "us-gov-west-1": 1.0144}
    assert {region: asked[region] for region in newer} == newer
    older = {"eu-central-1": 1.0064, "us-east-2": 0.8048, "sa-east-1": 1.368}
    assert {region: asked[region] for region in older} == older
    assert of("ap-south-2").on_demand == {}, "whose GPUs had no price on that day"
    assert of("us-east-1").node_usd_per_hour("g6.xlarge", "spot") == pytest.approx(0.4024)
    assert of("us-east-1").node_usd_per_hour("x9.huge", "spot") is None
    assert of("us-gov-east-1").services.date is None


def test_spot_of_each_zone_on_one_day() -> None:
    """ec2instances.info of 2025-05-28: g6.xlarge in eu-central-1 at 0.3957 and 0.4147."""
    known = of("eu-central-1")
    means = {zone: seen.mean for zone, seen in known.spot_zones("g6.xlarge").items()}
    assert means == {"zone 1": 0.3957, "zone 2": 0.4147}
    asked = known.spot("g6.xlarge")
    assert asked
    assert (asked.least, asked.expected, asked.most, asked.date) == (0.3957, 0.4052, 0.4147, "2025-05-28")
    (of_it,) = known.why_spot("g6.xlarge", "expected").inputs
    assert of_it.name == "g6.xlarge on Spot, mean of 2 zones"
    assert known.interruption_band("g6.xlarge") == ">20%"
    assert {table.date for table in known.tables} == {"2025-05-28"}
    assert [table.what for table in known.tables] == ["on-demand prices", "Spot prices", "Spot interruptions"]


def test_us_east_1_keeps_what_is_newer() -> None:
    """Families with a later sample have no older Spot price, and P5, whose price has moved since, has none at all."""
    known = of("us-east-1")
    assert known.on_demand_date == "2026-07-20"
    assert known.spot_seen
    families = {name.partition(".")[0] for name in known.spot_seen.usd_per_hour}
    assert not families & {"g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5en"}
    assert {"g5g", "gr6", "p3dn", "m7g", "t4g"} <= families
    assert known.interruption_band("g6.xlarge") == "5-10%"
    assert known.interruption_band("g7e.2xlarge") is None


@pytest.mark.parametrize("region", sorted({*priced_regions()} & REGIONS - {"us-east-1"}))
def test_prices_that_were_cut_later_are_no_regions(region: str) -> None:
    """AWS cut P4 and P5 by up to 44 % a week after that day, everywhere."""
    assert not [name for name in of(region).on_demand if name.startswith(("p4", "p5"))]


def test_discounts_are_told_only_of_families_that_nobody_saw_by_zone() -> None:
    known = of("us-east-1")
    assert known.estimated_families == ("g4dn", "g5", "g6", "g6e")
    asked = {f"{family}.xlarge": {"use1-az1": SpotRange(0.1, 0.2, 0.3)} for family in known.estimated_families}
    seen = replace(known, spot_seen=SpotTable(source="x", date="2026-11-29", days=30, usd_per_hour=asked))
    assert (seen.estimated_families, [table.what for table in seen.tables if "discount" in table.what]) == ((), [])


def test_a_type_is_named_without_reading_all_tables() -> None:
    assert prices.is_named_type("m7g.large")
    assert not prices.is_named_type("m7g.huge")


def test_prices_cannot_be_changed() -> None:
    known = of("us-east-1")
    with pytest.raises(TypeError):
        known.on_demand["g6.xlarge"] = 0.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        known.region = "eu-west-1"  # type: ignore[misc]


def test_what_is_not_known_stays_unknown() -> None:
    assert (product(2, 0.5, 730), product(2, None), product()) == (730.0, None, 1)
    sums = [plus(*(given("x", amount) for amount in amounts)).value for amounts in ([1.0, 2.0], [1.0, None], [])]
    assert sums == [3.0, None, 0]


def test_no_type_and_no_module_has_a_price_that_is_no_regions() -> None:
    assert not [field.name for field in fields(InstanceType) if "usd" in field.name]
    public = {name: value for name, value in vars(prices).items() if not name.startswith("_")}
    numbers = {name for name, value in public.items() if isinstance(value, int | float)}
    assert numbers == {"DAYS_PER_MONTH", "FRESH_DAYS", "HOURS_PER_DAY", "HOURS_PER_MONTH"}
    assert not [name for name, value in public.items() if isinstance(value, dict | MappingProxyType | RegionPrices)]


def test_every_estimate_is_handed_a_regions_prices() -> None:
    asking = {
        name: inspect.signature(function).parameters
        for name, function in inspect.getmembers(estimate, inspect.isfunction)
        if function.__module__ == estimate.__name__
    }
    assert set(asking) == {
        *("slot_price", "dedicated_gpu", "cheapest_gpu", "idle_floor", "kept_items", "_monitoring", "_prometheus")
    }
    for name, parameters in asking.items():
        assert parameters["prices"].default is inspect.Parameter.empty, name


def _regions_named(path: Path) -> Iterator[int]:
    """Lines in which a module asks for prices of a region that it names itself, or keeps a region's for everybody."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = {id(node) for top in tree.body if isinstance(top, ast.Assign | ast.AnnAssign) for node in ast.walk(top)}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("of", "prices.of", "played"):
            given = [each.value for each in call.args if isinstance(each, ast.Constant)]
            if id(call) in kept or any(re.fullmatch(r"[a-z]+(-[a-z]+)+-\d", str(value)) for value in given):
                yield call.lineno


def test_no_room_asks_for_the_prices_of_a_region_of_its_own_choice() -> None:
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(paths) > 100
    assert {str(path): lines for path in paths if (lines := list(_regions_named(path)))} == {}


def test_a_place_that_names_a_region_would_be_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('PRICES = of(REGION)\ndef f(): return prices.of("us-east-1")\ndef g(region): return of(region)\n')
    assert list(_regions_named(module)) == [1, 2]
