"""Prices that AWS is asked for: what is good is written, and nothing good is ever replaced by what is bad."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from account.prices import refresh as refreshing
from account.prices.ask import by_time, on_demand
from account.prices.judge import Known, judge_nodes, judge_spot
from account.prices.refresh import Refreshed, refresh, write
from account.session import Account, Found
from config import pools
from gpu import price_file, prices
from gpu.price_file import PriceFileError, SpotRange
from plan.figures import prices_warnings
from tests.unit.account.price_list import NODES, QUESTIONS, REGION, UNITS, plant, product, spot
from tests.unit.account.price_list import prices as answered
from tests.unit.account.world import Answer, ApiError, NoConnectionError, World, fail, world

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HISTORY = [
    ("g6.xlarge", "euc1-az2", datetime(2026, 10, 1, tzinfo=UTC), 0.40),
    ("g6.xlarge", "euc1-az2", datetime(2026, 11, 19, 12, tzinfo=UTC), 0.52),
    ("g6.xlarge", "euc1-az3", datetime(2026, 11, 1, tzinfo=UTC), 0.45),
]


@pytest.fixture
def account(few_prices: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    monkeypatch.setattr(prices, "REFRESHED", tmp_path)
    monkeypatch.setattr(refreshing, "QUESTIONS", QUESTIONS)
    forget()
    with world(monkeypatch) as made:
        plant(made, answered(), spot(HISTORY))
        yield made
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (prices._files, prices.of, prices.named_types, pools._resolved):
        cached.cache_clear()


def refreshed(account: World, now: datetime = NOW) -> Refreshed:
    """Asked and written, as the command does."""
    found = refresh(account, 30, now)
    write(found)
    forget()
    return found


def again(account: World, nodes: Answer, history: Answer | None = None) -> Refreshed:
    """Asked once more, a day later, of an AWS that answers otherwise."""
    plant(account, nodes, history or spot(HISTORY))
    return refreshed(account, NOW.replace(day=30))


def test_a_region_that_nobody_knew_is_priced(account: World) -> None:
    assert prices.of(REGION).node_usd_per_hour("g6.xlarge", "on-demand") is None
    steps: list[None] = []
    found = refresh(account, 30, NOW, lambda: steps.append(None))
    assert found.took == {"on-demand prices": len(NODES), "service prices": 22, "types on Spot": 1}
    assert found.told == ()
    assert len(steps) == refreshing.QUESTIONS
    write(found)
    forget()
    known = prices.of(REGION)
    assert known.on_demand == NODES
    assert [table.date for table in known.tables] == ["2026-11-29"] * 3
    assert known.services.nat_gateway_per_hour == UNITS["NatGateway-Hours"]
    assert (known.services.load_balancer_per_hour, known.services.classic_load_balancer_per_hour) == (0.027, 0.027)
    assert known.services.gp3_per_mibps_month == pytest.approx(0.0476), "listed by GiB/s"


def test_spot_is_what_was_asked_for_over_time(account: World) -> None:
    """30 days: 20 at 0.40 and 10 at 0.52 are 0.44 in one zone; 0.45 in the other. Expected: (0.44 + 0.45) / 2."""
    refreshed(account)
    known = prices.of(REGION)
    assert known.spot_zones("g6.xlarge") == {
        "euc1-az2": SpotRange(0.40, 0.44, 0.52),
        "euc1-az3": SpotRange(0.45, 0.45, 0.45),
    }
    seen = known.spot("g6.xlarge")
    assert seen is not None
    assert seen.expected == pytest.approx(0.445)
    assert (seen.least, seen.most, seen.seen) == (0.40, 0.52, True)
    unseen = known.spot("g5.xlarge")
    assert unseen is not None
    assert (unseen.most, unseen.seen) == (NODES["g5.xlarge"], False), "at most the on-demand price"


def test_a_price_holds_until_the_next_one() -> None:
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC)
    assert by_time([(start, 1.0), (start.replace(day=4), 5.0)], end) == SpotRange(1.0, 2.0, 5.0)
    assert by_time([(start, 9.0), (start, 1.0)], end) == SpotRange(1.0, 1.0, 1.0), "what no time was asked is no price"


def test_instances_are_asked_for_as_karpenter_does(account: World) -> None:
    refreshed(account)
    asked = [each for name, each in account.asked if name == "pricing:GetProducts"]
    fields = {each["Field"]: each["Value"] for each in asked[0]["Filters"]}
    assert fields == {
        "regionCode": REGION,
        "preInstalledSw": "NA",
        "operatingSystem": "Linux",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "tenancy": "Shared",
        "productFamily": "Compute Instance",
    }
    (history,) = [each for name, each in account.asked if name == "ec2:DescribeSpotPriceHistory"]
    assert history["InstanceTypes"] == sorted(NODES.keys() - {"m7g.large"}), "the types of the catalogue"
    assert (NOW - history["StartTime"]).days == 30


BAD: dict[str, tuple[Answer, str]] = {
    "throttled": (fail(ApiError("ThrottlingException")), "AWS took no more calls"),
    "denied": (fail(ApiError("AccessDeniedException")), "denied, needs pricing:GetProducts"),
    "no connection": (fail(NoConnectionError()), "no connection"),
    "in yuan": (answered(currency="CNY"), "is in CNY, not in USD"),
    "ten thousand times as much": (answered({name: 10_000 * usd for name, usd in NODES.items()}), "absurd prices"),
    "all free": (answered(dict.fromkeys(NODES, 0.0)), "half an answer"),
    "half of it": (answered({name: NODES[name] for name in list(NODES)[::2]}), "half an answer"),
    "nothing": (answered({}), f"half an answer: {len(NODES)} of {len(NODES)} types"),
    "no json": (lambda _: {"PriceList": ["<html>"]}, "reads otherwise than AWS documents it"),
    "no price in it": (lambda _: {"PriceList": ["{}"]}, "reads otherwise than AWS documents it"),
    "pages that never end": (lambda _: {"PriceList": [product({}, 1)], "NextToken": "same"}, "failed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_changes_no_price(account: World, name: str) -> None:
    refreshed(account)
    before = prices.of(REGION)
    answer, words = BAD[name]
    found = again(account, answer, fail(ApiError("RequestLimitExceeded")))
    assert any(words in line for line in found.told if line.startswith("on-demand prices")), found.told
    after = prices.of(REGION)
    assert (after.on_demand, after.on_demand_date) == (before.on_demand, "2026-11-29")
    assert after.spot_seen == before.spot_seen
    assert all(
        getattr(after.services, each.field) == getattr(before.services, each.field) for each in prices.UNIT_PRICES
    )


def test_a_page_that_does_not_come_is_no_answer(account: World) -> None:
    refreshed(account)

    def answer(asked: Any) -> dict[str, Any]:
        if "NextToken" in asked:
            raise ApiError("ThrottlingException")
        return {**answered()(asked), "NextToken": "more"}

    found = again(account, answer)
    assert (found.took["on-demand prices"], found.took["service prices"]) == (0, 0)
    assert prices.of(REGION).on_demand_date == "2026-11-29"


def test_a_type_that_is_missing_or_absurd_keeps_its_price_and_its_day(account: World) -> None:
    refreshed(account)
    fewer = {name: usd for name, usd in NODES.items() if name != "g5.4xlarge"} | {
        "g6.xlarge": 1.006 * 3.1,
        "m7g.large": 0.1,
    }
    found = again(account, answered(fewer))
    known = prices.of(REGION)
    assert (known.on_demand["g6.xlarge"], known.on_demand["g5.4xlarge"], known.on_demand["m7g.large"]) == (
        1.006,
        NODES["g5.4xlarge"],
        0.1,
    )
    assert (known.kept, known.on_demand_date) == ({"g6.xlarge": "2026-11-29", "g5.4xlarge": "2026-11-29"}, "2026-11-30")
    assert known.why_node("g6.xlarge", "on-demand").inputs[0].date == "2026-11-29"
    assert "on-demand prices: g6.xlarge: 3.1186 USD is more than 3 x 1.006" in found.told
    assert "on-demand prices: no price of g5.4xlarge" in found.told


def test_a_new_region_is_held_against_other_regions_and_sisters(account: World) -> None:
    """In us-east-1 a g6.xlarge costs 0.8048, so 4.1 USD are more than five times too much."""
    plant(account, answered({**NODES, "g6.xlarge": 4.1}), spot([]))
    found = refreshed(account)
    assert "g6.xlarge" not in prices.of(REGION).on_demand
    assert "on-demand prices: g6.xlarge: 4.1 USD is more than 5 x 0.8048" in found.told


@pytest.mark.parametrize(
    ("usd", "words"), [(1.3, "above the on-demand price of 1.006"), (0.05, "less than 1/20"), (0.0, "no price")]
)
def test_an_absurd_spot_price_is_none(account: World, usd: float, words: str) -> None:
    good = [("g6.xlarge", f"euc1-az{zone}", NOW.replace(day=1), 0.4) for zone in range(1, 6)]
    plant(account, answered(), spot([*good, ("g6.xlarge", "euc1-az9", NOW.replace(day=1), usd)]))
    found = refreshed(account)
    assert len(prices.of(REGION).spot_zones("g6.xlarge")) == 5
    (line,) = [line for line in found.told if "euc1-az9" in line]
    assert words in line


def test_motos_own_spot_prices_are_not_believed(account: World) -> None:
    """moto plays DescribeSpotPriceHistory: 0.00001 USD for everything, in 2006."""
    del account.planted["ec2:DescribeSpotPriceHistory"]
    found = refreshed(account)
    assert found.took["types on Spot"] == 0
    assert any("Spot prices: absurd prices" in line and "1e-05 USD is less than 1/20" in line for line in found.told)
    assert prices.of(REGION).spot_seen is None


@pytest.mark.parametrize("units", [{**UNITS, "NatGateway-Hours": 0.16}, {**UNITS, "NatGateway-Hours": 0.0}])
def test_a_unit_price_that_is_absurd_keeps_the_former(account: World, units: dict[str, float]) -> None:
    refreshed(account)
    again(account, answered(units=units))
    services = prices.of(REGION).services
    assert (services.nat_gateway_per_hour, services.date) == (0.052, "2026-11-30")
    assert services.why("nat_gateway_per_hour").inputs[0].date == "2026-11-29"
    assert services.why("nat_gateway_per_gb").inputs[0].date == "2026-11-30"


def test_two_prices_of_one_thing_are_none(account: World) -> None:
    def answer(asked: Any) -> dict[str, Any]:
        found = answered()(asked)
        twice = [product({"usagetype": "EUC1-KMS-Keys"}, 3.0)] if "KMS-Keys" in str(asked) else []
        return {**found, "PriceList": [*found["PriceList"], *twice]}

    plant(account, answer, spot(HISTORY))
    found = refreshed(account)
    assert prices.of(REGION).services.kms_key_per_month is None
    assert "KMS key: has several prices: 1, 3" in found.told


def test_the_first_tier_counts(account: World) -> None:
    def answer(asked: Any) -> dict[str, Any]:
        logs = product({"usagetype": "EUC1-DataProcessing-Bytes"}, 0.63, 0.3)
        return {"PriceList": [logs]} if "DataProcessing" in str(asked) else dict(answered()(asked))

    plant(account, answer, spot(HISTORY))
    refreshed(account)
    assert prices.of(REGION).services.log_ingestion_per_gb == 0.63


# --- The file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_leaves_the_old_one(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed(account)
    before = (prices.REFRESHED / f"{REGION}.json").read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        again(account, answered({**NODES, "m7g.large": 0.1}))
    assert [path.name for path in prices.REFRESHED.iterdir()] == [f"{REGION}.json"]
    assert (prices.REFRESHED / f"{REGION}.json").read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"linuxUsdPerHour": {"g6.xlarge": 0}}',
        '{"source": "x", "pricesDate": "today", "linuxUsdPerHour": {}}',
        '{"source": "x", "pricesDate": "2026-01-01", "linuxUsdPerHour": {"g6.xlarge": NaN}}',
        '{"services": {}}',
        '{"spot": 3}',
        # One price that is none, in a table that reads well: sums of it are no money any more.
        '{"source": "x", "pricesDate": "2026-11-01", "linuxUsdPerHour": {"g6.xlarge": 1e308}}',
        '{"spot": {"source": "x", "date": "2026-11-01", "days": Infinity, "usdPerHour": {}}}',
        '{"source": "\\u001b[31m", "pricesDate": "2026-11-01", "linuxUsdPerHour": {"g6.xlarge": 1}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_not_used_and_is_told(account: World, text: str) -> None:
    path = prices.REFRESHED / "us-east-1.json"
    path.write_text(text)
    with pytest.raises(PriceFileError, match=r"us-east-1\.json"):
        price_file.read(path)
    forget()
    known = prices.of("us-east-1")
    assert known.problem.startswith("us-east-1.json")
    assert known.on_demand["g6.xlarge"] == 0.8048, "the committed table holds"


def test_older_committed_prices_are_replaced_where_aws_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that the committed table of Frankfurt has is asked for, types of system nodes too: else it would be half an
    answer, and the old prices would stay for ever. Of interruptions nobody answers, and they stay."""
    monkeypatch.setattr(prices, "REFRESHED", tmp_path)
    forget()
    before = prices.of(REGION)
    assert before.spot_seen
    assert before.spot_seen.date == "2025-05-28"
    history = [(name, "euc1-az2", NOW, before.on_demand[name] / 2) for name in before.spot_seen.usd_per_hour]
    nodes = {name: usd * 1.01 for name, usd in before.on_demand.items()}
    with world(monkeypatch) as made:
        plant(made, answered(nodes), spot(history))
        found = refreshed(made)
    assert found.told == ()
    after = prices.of(REGION)
    forget()
    assert after.spot_seen
    assert (after.on_demand_date, after.spot_seen.date, after.spot_seen.kept) == ("2026-11-29", "2026-11-29", {})
    assert after.spot_zones("m7g.large").keys() == {"euc1-az2"}
    assert after.interruption_band("g6.xlarge") == before.interruption_band("g6.xlarge") == ">20%"
    (warning,) = prices_warnings(after, NOW.date())
    assert warning == "Older than 90 days: Spot interruptions of 2025-05-28; no API of AWS' tells newer ones."


def test_what_aws_is_not_asked_for_stays_as_it_was(account: World) -> None:
    """Container Insights' price by observations is asked of no price list: a bill would have a gap."""
    content = {"services": {"source": "x", "date": "2026-11-01", "usd": {"kms_key_per_month": 2.0}}}
    (prices.REFRESHED / "us-east-1.json").write_text(json.dumps(content))
    forget()
    services = prices.of("us-east-1").services
    assert (services.kms_key_per_month, services.date) == (2.0, "2026-11-01")
    assert services.insights_per_million_observations == 0.21
    assert services.why("insights_per_million_observations").inputs[0].date == "2025-07-07"


def test_the_newer_of_two_tables_counts(account: World) -> None:
    def with_day(day: str) -> prices.RegionPrices:
        content = {"source": "x", "pricesDate": day, "linuxUsdPerHour": {"g6.xlarge": 0.9}}
        (prices.REFRESHED / "us-east-1.json").write_text(json.dumps(content))
        forget()
        return prices.of("us-east-1")

    assert with_day("2026-11-01").on_demand == {"g6.xlarge": 0.9}
    assert with_day("2026-01-01").on_demand["g6.xlarge"] == 0.8048
    assert with_day("2026-11-01").services.date == "2025-07-07", "of what it does not have, the committed table holds"


def test_a_price_that_is_no_number_is_none_wherever_it_stands() -> None:
    """Least and most are numbers, the mean is not: as one change of a history that says NaN gives it."""
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC)
    spoilt = by_time([(start, 0.3), (start.replace(day=4), float("nan"))], end)
    assert (spoilt.least, spoilt.most) == (0.3, 0.3)
    judged = judge_spot({"g6.xlarge": {"a": spoilt}}, {"g6.xlarge": 0.8}, {})
    assert (judged.taken, judged.whole) == ({}, False)
    assert "nan USD is no price" in judged.told[0]


def test_a_clock_that_is_behind_is_told(account: World) -> None:
    """The table of the day before stays the newer one where it is another file's; the answer itself is written."""
    refreshed(account)
    found = refreshed(account, NOW.replace(year=2020))
    assert sum("of 2026-11-29 are known, and this machine's clock says 2020-11-29" in line for line in found.told) == 3
    assert prices.of(REGION).on_demand_date == "2020-11-29"


def test_a_table_of_a_day_to_come_is_told(account: World) -> None:
    refreshed(account, NOW.replace(year=2031))
    known, today = prices.of(REGION), NOW.date()
    assert not any(table.is_old(today) for table in known.tables)
    (warning,) = prices_warnings(known, today)
    assert warning.startswith(
        "Of a day that is still to come: on-demand prices, service prices and Spot prices of 2031"
    )
    refreshed(account)
    assert prices_warnings(prices.of(REGION), today) == [], "the answer of a right clock takes its place"


def test_a_patient_account_waits_as_aws_throttles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pricing's own protocol over HTTP: turned away five times, more than others would ask, and then answered."""
    answers: list[tuple[int, dict[str, Any]]] = [
        (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    ] * 5
    answers.append((200, {"FormatVersion": "aws_v1", "PriceList": [product({"instanceType": "g6.xlarge"}, 1.006)]}))

    class Pricing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answers.pop(0)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Pricing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setattr(
            "botocore.retries.bucket.TokenBucket.__init__.__defaults__", (1000,)
        )  # no test waits for seconds
        account = Account("eu-central-1", patient=True)
        assert account.client("pricing").meta.config.retries == {"mode": "adaptive", "total_max_attempts": 10}
        assert on_demand(account, metal=False) == Found({"g6.xlarge": 1.006})
        server.shutdown()
    assert answers == []


def test_types_that_no_region_prices_are_held_against_their_sisters() -> None:
    """A GPU of g6 at 1 USD by the median: 24.2xlarge with four at 81 is above 20 x 4."""
    answered_now = {"g6.xlarge": 1.0, "g6.2xlarge": 1.0, "g6.24xlarge": 81.0, "g6.12xlarge": 4.0, "g6.48xlarge": 8.0}
    judged = judge_nodes(answered_now, Known())
    assert judged.taken.keys() == answered_now.keys() - {"g6.24xlarge"}
    assert judged.told == ("g6.24xlarge: 81 USD is more than 20 x 4",)


def test_a_service_that_refuses_the_question_is_not_the_last_that_is_asked(account: World) -> None:
    def answer(asked: Any) -> dict[str, Any]:
        if asked["ServiceCode"] == "AWSDataTransfer":
            raise ApiError("InvalidParameterException")
        return dict(answered()(asked))

    plant(account, answer, spot(HISTORY))
    assert refreshed(account).told == ()
    assert prices.of(REGION).services.between_zones_per_gb == 0.01


@pytest.mark.parametrize(
    ("usage", "good"),
    [
        ("NatGateway-Hours", True),
        ("EU-NatGateway-Hours", True),
        ("UGW1-NatGateway-Hours", True),
        ("eu-central-1-NatGateway-Hours", True),
        ("us-gov-west-1-NatGateway-Hours", True),
        ("EUC1-RegionalNatGateway-Hours", False),
        ("EU-Outposts-NatGateway-Hours", False),
        ("TS-NatGateway-Hours", False),
        ("EUC1-NatGateway-Hours-Reserved", False),
    ],
)
def test_usage_types_of_other_products_are_left_out(account: World, usage: str, good: bool) -> None:
    """Prefixes as bills have them; regional gateways, Outposts and trust stores (TS) are products of their own."""

    def answer(asked: Any) -> dict[str, Any]:
        if "NatGateway-Hours" in str(asked):
            return {"PriceList": [product({"usagetype": usage}, 0.05)]}
        return dict(answered()(asked))

    plant(account, answer, spot(HISTORY))
    refreshed(account)
    assert prices.of(REGION).services.nat_gateway_per_hour == (0.05 if good else None)
