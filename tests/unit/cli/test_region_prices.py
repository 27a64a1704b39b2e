"""What a plan says of money follows the stack's region: all of it, and nothing where nothing is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config import pools
from gpu import prices
from plan.as_json import plan_json
from plan.figures import prices_note
from tests.unit.cli.money import amounts
from tests.unit.cli.plans import CONFIG, plan_of
from tests.unit.cli.test_render import printed

HERE, THERE = "us-east-1", "us-west-2"
_UNIT_PRICES = [name for name in prices.ServicePrices.__dataclass_fields__ if name not in ("date", "source", "kept")]


@pytest.fixture
def twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything costs twice as much in the other region."""
    known, services = prices.of(HERE), prices.of(HERE).services
    doubled = {name: 2 * usd for name, usd in known.on_demand.items()}
    about = {"source": "test", "sourceVersion": "v0", "pricesDate": "2031-01-01", "linuxUsdPerHour": doubled}
    (tmp_path / f"{THERE}.json").write_text(json.dumps(about))
    more: dict[str, Any] = {name: prices.product(2, getattr(services, name)) for name in _UNIT_PRICES}
    monkeypatch.setattr(prices, "_FOLDER", tmp_path)
    monkeypatch.setattr(prices, "_SERVICES", {THERE: replace(services, date="2031-01-02", **more)})
    monkeypatch.setattr(prices, "_SPOT", {THERE: known.spot_discounts})
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for cached in (prices._files, prices.of, prices.named_types, pools._resolved):
        cached.cache_clear()


#: As many zones in both, since traffic between them costs.
_ZONES = {HERE: ["use1-az1", "use1-az2"], THERE: ["usw2-az1", "usw2-az2"]}


def plan_document(region: str) -> dict[str, Any]:
    network = {"network": {"zoneIds": _ZONES[region]}}
    found: dict[str, Any] = json.loads(plan_json(plan_of({**CONFIG, **network}, region=region)))
    return found


def test_where_all_costs_twice_as_much_every_figure_is_doubled(request: pytest.FixtureRequest) -> None:
    here = dict(amounts(plan_document(HERE)))
    assert len(here) > 30
    request.getfixturevalue("twice")
    document = plan_document(THERE)
    there = dict(amounts(document))
    assert there.keys() == here.keys()
    assert {path: usd for path, usd in there.items() if usd != pytest.approx(2 * here[path], abs=0.011)} == {}
    assert document["prices"]["region"] == THERE
    assert (document["prices"]["onDemandDate"], document["prices"]["servicesDate"]) == ("2031-01-01", "2031-01-02")


@pytest.mark.usefixtures("few_prices")
def test_a_region_without_data_prices_nothing_in_json() -> None:
    document = plan_document(THERE)
    assert dict(amounts(document)) == {}
    expected = {"currency": "USD", "region": THERE, "onDemandDate": None, "servicesDate": None, "spotIsEstimate": True}
    assert document["prices"] == {**expected, "tables": [], "problem": None}
    assert [pool["cheapest"] for pool in document["pools"]] == [None] * len(document["pools"])
    costs = document["costs"]
    assert costs["comparison"] is None
    assert costs["bill"]["lines"]
    assert {line["usdPerMonth"] for line in costs["bill"]["lines"]} == {None}
    assert [costs["bill"][key] for key in ("usdPerMonth", "idleUsdPerMonth", "ceilingUsdPerMonth")] == [None] * 3


@pytest.mark.usefixtures("few_prices")
def test_a_region_without_data_says_so_and_shows_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(plan_of(region=THERE), capsys).split())
    assert f"No prices of {THERE} are known, so nothing is priced; those of other regions differ." in text
    assert f"`slices prices refresh --region {THERE}` asks AWS for them." in text
    assert "no single GPU holds it" not in text, "it is the price that is not known"
    money = text[text.index("Bill of a month") :]
    assert money.count("no price known") > len(plan_document(THERE)["pools"])
    assert not re.search(r"\d\.\d\d\b", money)
    assert "USD/h" not in text


def test_a_region_whose_services_are_not_known_says_so() -> None:
    note = prices_note(prices.of("us-gov-west-1"))
    assert "In USD for us-gov-west-1 and Linux, without tax: on-demand prices of 2026-06-15 (github.com" in note
    assert "No service prices of us-gov-west-1 are known." in note
