"""`slices plan --explain`: every figure of money that the plan prints has its reasons, and they come to the figure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import commands
from cli.main import main
from cli.render_explain import render_explanation
from gpu.bill import Spread
from gpu.why import Why, figure, given, minus, over, plus, times
from plan.errors import InputError
from plan.explain import explain, explanation_json, explanations
from plan.figures import Figures
from tests.unit.cli.money import printed_amounts, unexplained
from tests.unit.cli.plans import CONFIG, POOL, plan_of
from tests.unit.cli.test_render import printed

#: With something in every part of the bill.
FULL: dict[str, Any] = {
    **CONFIG,
    "models": [*CONFIG["models"], {"name": "second", "model": "llama3.2:3b", "pool": "shared", "minScale": 1}],
    "budget": {"monthlyUsd": 20_000, "emails": ["a@example.com"]},
    "network": {"zoneIds": ["use1-az1", "use1-az2"]},
}


def figures_of(config: Any = FULL) -> Figures:
    found = plan_of(config).figures
    assert found is not None
    return found


def reckoned(why: Why) -> float:
    """The formula as anybody would do it."""
    return float(eval(why.formula.replace(" x ", " * "), {"__builtins__": {}}))  # digits and signs


def test_the_arithmetic_that_is_shown_comes_to_the_figure() -> None:
    found = explanations(figures_of())
    assert len(found) > 40
    for each in found:
        for case, why in each.cases:
            assert re.fullmatch(r"[\d.e+\-()x/ ]+", why.formula), each.name
            assert why.value is not None
            assert reckoned(why) == pytest.approx(why.value, rel=1e-4, abs=1e-6), (each.name, case)


def test_every_line_and_sum_of_the_bill_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    figures = figures_of()
    text = printed(plan_of(FULL), capsys)
    bill = text[text.index("Bill of a month") : text.index("Use, supposed")]
    amounts = {float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*\.\d\d\b", bill)}
    told = {round(why.value or 0, 2) for each in explanations(figures) for _, why in each.cases}
    assert amounts - told == set()
    money = text[text.index("GPU prices, cheapest") :]
    hourly = {float(each) for each in re.findall(r"\d+\.\d{4}\b", money)}
    told = {round(why.value or 0, 4) for each in explanations(figures) for _, why in each.cases}
    # A slot's price is shown for both ways to buy; explained is the way in which the pool does.
    slots = {
        round(usd, 4)
        for pool in figures.pools
        if (price := pool.price)
        for usd in (price.on_demand_usd_per_slot_hour, price.spot_usd_per_slot_hour)
    }
    assert hourly - told - slots == set()


_SMALL: dict[str, Any] = dict(CONFIG)
#: Plans of other kinds: without service prices, with Spot by zone, with tokens, whole GPUs, and nothing but the floor.
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "full": (FULL, "us-east-1"),
    "no service prices": (
        {"pools": _SMALL["pools"][:2], "models": _SMALL["models"][:1], "budget": FULL["budget"]},
        "eu-central-1",
    ),
    "tokens": (
        {
            **FULL,
            "usage": {
                "each": [
                    {
                        "name": "mistral",
                        "requestsPerMinute": 6,
                        "tokensPerRequest": 300,
                        "tokensPerSecond": 60,
                        "apiUsdPerMillionTokens": 0.6,
                    }
                ]
            },
        },
        "us-east-1",
    ),
    "whole": ({**FULL, "pools": [{**POOL, "sharing": {"strategy": "none"}}, *_SMALL["pools"][1:]]}, "us-east-1"),
    "nobody": ({"pools": _SMALL["pools"]}, "us-east-1"),
    "another family": ({"pools": [{**POOL, "instanceFamilies": ["g4dn"]}]}, "ap-northeast-3"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_figure_can_be_asked_why(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    config, region = OTHERS[name]
    plan = plan_of(config, region=region)
    text = printed(plan, capsys)
    assert len(list(printed_amounts(text))) > 15
    assert unexplained(plan, text) == []


def test_a_figure_that_nobody_explains_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(FULL)
    text = printed(plan, capsys)
    assert unexplained(plan, text.replace("73.00", "73.13").replace("8 %", "97 %")) != []
    assert plan.figures
    floor = plan.figures.bill.lines[0]
    other = replace(floor, usd=Spread.even(73.13), reasons=None)
    bill = replace(plan.figures.bill, lines=(other, *plan.figures.bill.lines[1:]))
    wrong = replace(plan, figures=replace(plan.figures, bill=bill))
    assert any("73.13" in each for each in unexplained(wrong, text))


def test_no_line_of_the_bill_is_without_reasons() -> None:
    lines = figures_of().bill.lines
    assert len(lines) > 10
    assert [line.name for line in lines if not line.reasons or line.reasons.usd != line.usd] == []


def test_nothing_of_a_cent_is_cut() -> None:
    """Sums of tens of thousands, as one of H100s, and a sum of one term that is a sum itself."""
    assert [figure(usd) for usd in (24024.64, 9_876_543.21, 0.0816, 730.0, 0.1 + 0.2)] == [
        "24024.64",
        "9876543.21",
        "0.0816",
        "730",
        "0.3",
    ]
    nested = times(plus(plus(given("a", 1), given("b", 2))), given("c", 10))
    assert (nested.formula, nested.value) == ("(1 + 2) x 10", 30)
    both = plus(given("a", 0.1), given("b", 0.2))
    assert minus(both, given("c", 0.3)).value == 0, "what floats leave is nothing"


def test_nodes_that_always_stand_have_no_gpu_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor has the plan's table a row of them."""
    config = {**FULL, "pools": [{**POOL, "maxGpus": 3, "static": {"replicas": 2}}, *FULL["pools"][1:]]}
    names = {each.name for each in explanations(figures_of(config))}
    assert "GPU of its own, second" in names
    assert "GPU of its own, shared, static" not in names
    table = printed(plan_of(config), capsys).partition("A GPU of its own for each")[2]
    assert "second" in table
    assert "static" not in table.partition("In USD for")[0]


def test_names_are_unique() -> None:
    names = [each.name for each in explanations(figures_of())]
    assert len(names) == len(set(names))


def test_system_nodes_by_hand() -> None:
    """2 x 0.0816 x 730 = 119.14."""
    found = explain(figures_of(), "system nodes")
    ((case, why),) = found.cases
    assert (case, why.formula) == ("", "2 x 0.0816 x 730")
    assert why.value == pytest.approx(119.136)
    price = why.inputs[1]
    assert (price.name, price.unit, price.date) == ("m7g.large, on-demand", "USD/h", "2026-07-20")
    assert "karpenter" in price.source


def test_nodes_on_demand_by_hand() -> None:
    """One node for 8 x 30.4167 h, half of 0.8048; low 57 % off."""
    config = {**CONFIG, "models": CONFIG["models"][:1]}
    cases = dict(explain(figures_of(config), "GPU nodes, shared").cases)
    assert cases["expected"].formula == "1 x 243.333333 x 0.8048 x 0.5"
    assert cases["low"].formula == "1 x 243.333333 x 0.8048 x 0.43"
    assert cases["expected"].value == pytest.approx(97.917, abs=0.001)


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(InputError, match="no figure called 'totl'; did you mean `total`") as caught:
        explain(figures_of(), "totl")
    with pytest.raises(InputError, match="did you mean `NAT gateway`"):
        explain(figures_of(), "nat")
    with pytest.raises(InputError, match=r"no figure called ''\n"):
        explain(figures_of(), "")
    for name in ("floor", "NAT gateway", "GPU nodes, shared, always runs", "ceiling", "saving by sharing", "budget"):
        assert f"\n  {name}\n" in f"{caught.value}\n"


def test_it_is_printed_with_source_and_day(capsys: pytest.CaptureFixture[str]) -> None:
    render_explanation(explain(figures_of(), "NAT gateway"))
    text = capsys.readouterr().out
    assert "1 x (0.045 + 0.005) x 730 = 36.50 USD per month" in text
    assert "2025-07-07" in text
    assert "Infracost" in text
    render_explanation(explain(figures_of(), "saving by sharing"))
    text = capsys.readouterr().out
    assert "%" in text
    assert re.search(r"^figure +value +unit$", text, re.MULTILINE), "no column stands there empty"


def test_no_word_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Not in a narrow terminal either: a module's path is longer than any column."""
    figures = figures_of()
    for found in explanations(figures):
        render_explanation(found)
        shown = {word.rstrip(",") for word in capsys.readouterr().out.split()}
        inputs = [each for _, why in found.cases for each in why.inputs]
        words = " ".join(f"{each.name} {each.source} {each.date or ''}" for each in inputs).split()
        assert {word.rstrip(",") for word in words} - shown == set(), found.name


def test_an_input_says_of_which_case_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = explain(figures_of(), "total")
    render_explanation(found)
    table = capsys.readouterr().out.partition("\nfigure")[2]
    assert table.startswith(" ")
    rows = re.findall(r"^Images and weights +(low|expected|high|low, expected|) +([\d.,]+) +USD$", table, re.MULTILINE)
    given = {case: each.value for case, why in found.cases for each in why.inputs if each.name == "Images and weights"}
    assert {
        case: float(value.replace(",", "")) for cases, value in rows for case in (cases.split(", ") if cases else given)
    } == {case: pytest.approx(value, rel=1e-5) for case, value in given.items()}
    assert re.search(r"^NAT gateway +36.5 +USD$", table, re.MULTILINE), "of all cases: none is named"


@pytest.mark.usefixtures("few_prices")
def test_a_region_without_prices_says_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of({"pools": CONFIG["pools"][:1]}, region="us-west-2")
    figures = plan.figures
    assert figures is not None
    render_explanation(explain(figures, "NAT gateway"))
    assert "1 x (? + ?) x 730 = not known" in capsys.readouterr().out


def test_machines_get_the_same() -> None:
    document = json.loads(explanation_json(explain(figures_of(), "KMS keys")))
    assert document["schemaVersion"] == 1
    (case,) = document["cases"]
    assert (case["case"], case["value"], case["formula"]) == (None, 2.0, "2 x 1")
    assert case["inputs"][1] == {
        "name": "KMS key",
        "value": 1.0,
        "unit": "USD/month",
        "source": "Infracost's golden files",
        "date": "2025-07-07",
    }


def slices(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(commands, "make_plan", lambda *_: plan_of(FULL))
    return CliRunner().invoke(main, ["plan", "dev", *arguments], catch_exceptions=False)


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slices(monkeypatch, "--explain", "floor").stdout.startswith("floor\n")
    assert json.loads(slices(monkeypatch, "--explain", "total", "--json").stdout)["name"] == "total"
    wrong = slices(monkeypatch, "--explain", "moon")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "error: the plan has no figure called 'moon'" in wrong.stderr


def test_arithmetic_is_done_and_told_at_once() -> None:
    two, three, unknown = (
        given("two", 2),
        given("three", 3, "h", "somebody", date(2026, 1, 1).isoformat()),
        given("x", None),
    )
    assert (times(plus(two, three), two).formula, times(plus(two, three), two).value) == ("(2 + 3) x 2", 10)
    assert (minus(three, two).formula, over(plus(two, two), three).formula) == ("3 - 2", "(2 + 2) / 3")
    assert (times(two, unknown).value, plus(two, unknown).value, minus(two, unknown).value) == (None, None, None)
    assert times(two, unknown).formula == "2 x ?"
    assert (times(unknown, given("none", 0)).value, times(unknown, given("none", 0)).formula) == (0, "? x 0")
    assert plus().value == 0
    assert [each.name for each in times(two, three, two).inputs] == ["two", "three"]


def test_dollars_per_million_tokens_are_shown_where_a_rate_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"name": "mistral", "requestsPerMinute": 60, "tokensPerRequest": 300, "tokensPerSecond": 30}
    config = {**FULL, "usage": {"each": [{**said, "apiUsdPerMillionTokens": 0.6}]}}
    text = " ".join(printed(plan_of(config), capsys).split())
    assert "A million tokens, USD, expected" in text
    assert "mistral, GPU nodes alone: as dear as an API at 0.6 USD at" in text
    assert "mistral: the stated requests ask for more tokens than it answers with in its hours." in text
    assert "A million tokens" not in " ".join(printed(plan_of(FULL), capsys).split())
    figures = figures_of(config)
    for each in explanations(figures):
        for _, why in each.cases:
            assert why.value is not None
            assert reckoned(why) == pytest.approx(why.value, rel=1e-4, abs=1e-6), each.name
    names = [each.name for each in explanations(figures)]
    assert "tokens of mistral at the stated requests, GPU nodes" in names
    assert "break-even of mistral, whole bill" in names


def test_from_how_many_slots_sharing_pays() -> None:
    """Two slots: one L4 at 0.4024 against 2 x 0.526 x 0.41 = 0.43132."""
    config = {**CONFIG, "models": [{**CONFIG["models"][0], "name": f"m{i}"} for i in range(3)]}
    cases = dict(explain(figures_of(config), "pays from, shared").cases)
    assert cases["shared"].formula == "1 x 0.8048 x 0.5"
    assert cases["shared"].value == pytest.approx(0.4024)
    assert cases["a GPU each"].value == pytest.approx(0.43132)


def test_where_sharing_begins_to_pay_both_sides_are_equal() -> None:
    """One never sleeps, two do: 0.4024 x 730 = 0.21566 x (730 + 2 u) at u = 316.06 h a month, 10.4 h a day."""
    first = CONFIG["models"][0]
    models = [{**first, "name": "m0", "minScale": 1}, {**first, "name": "m1"}, {**first, "name": "m2"}]
    found = explain(figures_of({"pools": CONFIG["pools"][:1], "models": models}), "dearer")
    assert found.what == "what sleeps is awake 10.4 h a day"
    (_, shared), (_, own) = found.cases
    assert shared.value == pytest.approx(0.4024 * 730)
    assert own.value == pytest.approx(0.4024 * 730)
