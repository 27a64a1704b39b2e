"""Dollars per million tokens, worked by hand at us-east-1: an L4 on Spot is 0.4024 USD/h, its volume 13 USD a month."""

from __future__ import annotations

from typing import Any

import pytest

from config.bill import bill
from config.consumers import consumers
from config.schema import StackConfig
from config.tokens import TokenCosts, per_million, token_costs
from tests.unit.config.support import GONE, WORKLOAD, changed, parsed, problems_of

#: 8 of 24 hours.
HOURS = 8 * 730 / 24
NODES = HOURS * (0.4024 + 13 / 730)  # 102.25


def config(*each: dict[str, Any], **changes: Any) -> StackConfig:
    return parsed(changed({"dialogue": GONE, "usage": {"each": list(each)}, **changes}))


def costs_of(stack: StackConfig) -> list[TokenCosts]:
    holding = consumers(stack)
    return token_costs(stack, holding, bill(stack, holding))


def one(*each: dict[str, Any], **changes: Any) -> TokenCosts:
    (found,) = costs_of(config(*each, **changes))
    return found


def million(found: TokenCosts, share: str, rate: int = 0) -> float:
    usd = per_million(dict(found.usd)[share], found.rates[rate][1]).value  # type: ignore[index]
    assert usd is not None
    return usd


STATED = {"name": "mistral", "requestsPerMinute": 6, "tokensPerRequest": 300}


def test_where_no_rate_is_said_nothing_is_told() -> None:
    assert costs_of(config()) == []
    assert costs_of(config({"name": "mistral", "hoursPerDay": 8})) == []


def test_a_million_tokens_at_the_stated_requests() -> None:
    """6 x 300 x 60 x 243.33 h = 26.28 million tokens. One of three models on the node: 102.25 / 3 / 26.28 = 1.297."""
    found = one(STATED)
    assert [tokens.value for _, tokens in found.rates] == [pytest.approx(26_280_000)]
    assert million(found, "GPU nodes") == pytest.approx(NODES / 3 / 26.28) == pytest.approx(1.297, abs=0.001)


def test_a_million_tokens_with_the_whole_bill() -> None:
    """The floor costs more than the node: a third of all is many times as much."""
    stack = config(STATED)
    whole = bill(stack, consumers(stack)).of()
    assert whole is not None
    assert million(one(STATED), "whole bill") == pytest.approx(whole.expected / 3 / 26.28)


def test_a_model_that_answers_all_the_time() -> None:
    """30 tokens a second are 26.28 million in 243.33 h: the same as six requests of 300 a minute."""
    found = one({**STATED, "tokensPerSecond": 60})
    assert [words for words, _ in found.rates] == ["at the stated requests", "answering all the time"]
    assert million(found, "GPU nodes", 1) == pytest.approx(million(found, "GPU nodes") / 2)


def test_slots_that_never_sleep_have_all_hours() -> None:
    """Two slots, alone on a node: 0.4024 x 730 + 13 = 306.75 USD; 2 x 10 x 3600 x 730 = 52.56 million tokens."""
    said = {"name": "mistral", "tokensPerSecond": 10}
    found = one(said, **{"models[0].minScale": 2, "models[2]": GONE, "models[1]": GONE, "examples": False})
    assert found.most is not None
    assert found.most.value == pytest.approx(52_560_000)
    assert million(found, "GPU nodes") == pytest.approx(306.752 / 52.56)


def test_the_use_at_which_an_api_costs_as_much() -> None:
    """102.25 / 3 = 34.08 USD; at 0.60 a million that is 56.8 million tokens, more than 30 a second give (26.28)."""
    found = one({"name": "mistral", "tokensPerSecond": 30, "apiUsdPerMillionTokens": 0.6})
    even = found.break_even(dict(found.usd)["GPU nodes"])
    assert even is not None
    assert even.value == pytest.approx(NODES / 3 / 0.6 * 1e6)
    assert found.is_out_of_reach(even)
    faster = one({"name": "mistral", "tokensPerSecond": 90, "apiUsdPerMillionTokens": 0.6})
    assert not faster.is_out_of_reach(even)


@pytest.mark.usefixtures("few_prices")
def test_without_prices_there_is_no_figure() -> None:
    stack = parsed(changed({"dialogue": GONE, "usage": {"each": [STATED]}}), region="us-west-2")
    (found,) = costs_of(stack)
    assert per_million(found.usd[0][1], found.rates[0][1]).value is None


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        (
            {"name": "mistral", "requestsPerMinute": 2},
            "requestsPerMinute",
            "alone: write tokensPerRequest",
        ),
        ({"name": "mistral", "tokensPerRequest": 2}, "tokensPerRequest", "alone: write requestsPerMinute"),
        ({"name": "mistral", "apiUsdPerMillionTokens": 1}, "apiUsdPerMillionTokens", "nothing to be compared"),
        ({"name": "batch", "tokensPerSecond": 2}, "tokensPerSecond", "a Deployment: write it of a model"),
        ({"name": "mistral", "tokensPerSecond": 0}, "tokensPerSecond", "must be more than 0"),
    ],
)
def test_what_cannot_be_meant(entry: dict[str, Any], path: str, said: str) -> None:
    (problem,) = problems_of(changed({"usage": {"each": [entry]}, "workloads": [WORKLOAD]}))
    assert problem.path == ("usage", "each", 0, path)
    assert said in problem.message
