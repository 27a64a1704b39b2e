"""`slices prices refresh`: which regions it asks for, what it says, and what is left after Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import account.prices.refresh as refreshing
from account.session import Account
from cli import prices as command
from cli.main import main
from config import pools
from gpu import prices
from tests.unit.account.price_list import NODES, REGION, plant, spot
from tests.unit.account.price_list import prices as answered
from tests.unit.account.test_prices import HISTORY
from tests.unit.account.world import ApiError, World, fail, world
from tests.unit.cli.plans import POOL, plan_of
from tests.unit.cli.test_render import printed

SMALL = {
    "pools": [POOL],
    "models": [{"name": "mistral", "model": "mistral:7b", "pool": "shared"}],
    "examples": False,
}


class Noon(datetime):
    """The day of the test is that of the history."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Noon:
        return cls(2026, 11, 29, 12, tzinfo=tz)


@pytest.fixture
def account(few_prices: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    monkeypatch.setattr(prices, "REFRESHED", tmp_path / "prices")
    forget()
    with world(monkeypatch) as made:
        plant(made, answered(), spot(HISTORY))
        monkeypatch.setattr(made, "has_credentials", lambda: True)
        monkeypatch.setattr(command, "Account", lambda region, **_: made if region == REGION else pytest.fail(region))
        monkeypatch.setattr(command, "datetime", Noon)
        yield made
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (prices._files, prices.of, prices.named_types, pools._resolved):
        cached.cache_clear()


def slices(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prices", "refresh", *arguments], catch_exceptions=False)


def test_a_region_is_asked_for_and_the_plan_prices_it(account: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = " ".join(printed(plan_of(SMALL, region=REGION), capsys).split())
    assert f"No prices of {REGION} are known" in before
    assert f"`slices prices refresh --region {REGION}`" in before
    result = slices("--region", REGION)
    assert result.exit_code == 0, result.output
    took = f"{len(NODES)} on-demand prices, 22 service prices and 1 types on Spot"
    assert result.stdout == f"{REGION}: {took}, written to prices/{REGION}.json\n"
    forget()
    text = printed(plan_of(SMALL, region=REGION), capsys)
    assert "Spot prices seen in 30 days, USD per hour" in text
    assert next(line.split()[1:] for line in text.splitlines() if "euc1-az2" in line) == [
        "euc1-az2",
        "0.4000",
        "0.4400",
        "0.5200",
    ]
    assert "Older than 90 days" not in text


def test_another_region_by_hand(account: World) -> None:
    """Frankfurt: L4 on Spot (0.44 + 0.45) / 2 = 0.445 USD/h; a model 8 h of 30.42 days is 243.33 h: 108.28 USD.

    The floor: 73 + 2 x 0.0978 x 730 + 2 x 50 x 0.0952 + (0.052 + 0.005) x 730 + 2 = 268.918.
    """
    assert slices("--region", REGION).exit_code == 0
    forget()
    figures = plan_of(SMALL, region=REGION).figures
    assert figures is not None
    (nodes,) = [line for line in figures.bill.lines if line.name == "GPU nodes, shared"]
    assert nodes.usd is not None
    assert nodes.usd.expected == pytest.approx(0.445 * 8 * 730 / 24, abs=0.01) == pytest.approx(108.28, abs=0.01)
    assert nodes.usd.low == pytest.approx(0.40 * 8 * 730 / 24)
    floor = figures.bill.of("floor")
    assert floor is not None
    assert floor.expected == pytest.approx(268.918)


def test_what_stays_is_told(account: World) -> None:
    assert slices("--region", REGION).exit_code == 0
    forget()
    account.planted["pricing:GetProducts"] = fail(ApiError("AccessDeniedException"))
    account.planted["ec2:DescribeSpotPriceHistory"] = fail(ApiError("UnauthorizedOperation"))
    result = slices("--region", REGION)
    assert result.exit_code == 5
    assert f"{REGION}: nothing came that could be believed; all prices stay as they were\n" in result.stdout
    assert result.stdout.count("denied, needs pricing:GetProducts") == 1, "the others would be denied, too"
    assert "service prices: the rest is not asked for" in result.stdout
    assert "denied, needs ec2:DescribeSpotPriceHistory" in result.stdout


def test_the_regions_of_the_stacks_are_the_default(account: World, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    for stack in ("one", "two"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f"config:\n  aws:region: {REGION}\n")
    result = slices("-C", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert result.stdout.count("written to") == 1


@pytest.mark.parametrize(
    ("region", "words"),
    [("eu-centrall-1", "did you mean eu-central-1?"), ("cn-north-1", "in yuan"), ("../x", "is no region of AWS")],
)
def test_a_region_that_cannot_be_asked_for(account: World, region: str, words: str) -> None:
    result = slices("--region", region)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_without_credentials_it_says_how_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "has_credentials", lambda _: False)
    result = slices("--region", REGION)
    assert result.exit_code == 2
    assert "AWS credentials are missing" in result.stderr
    assert "aws sso login" in result.stderr


def test_an_interruption_leaves_the_old_prices(account: World) -> None:
    assert slices("--region", REGION).exit_code == 0
    before = (prices.REFRESHED / f"{REGION}.json").read_text()
    account.planted["ec2:DescribeSpotPriceHistory"] = fail(KeyboardInterrupt())  # type: ignore[arg-type]
    result = slices("--region", REGION)
    assert result.exit_code == 130
    assert "interrupted: prices that were not written yet stay as they were" in result.stderr
    assert [path.name for path in prices.REFRESHED.iterdir()] == [f"{REGION}.json"]
    assert (prices.REFRESHED / f"{REGION}.json").read_text() == before
    assert refreshing.QUESTIONS == 25
