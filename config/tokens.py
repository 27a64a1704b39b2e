"""Dollars per million tokens, and the use at which an API is as dear: of models whose rate the stack file says.

Nothing here supposes a throughput: what one GPU gives differs seventyfold by load alone (arXiv 2606.11690), so that a
model without a stated rate has no figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from config.bill import Bill
from config.schema import StackConfig, UsageOf
from gpu.bill import Consumer
from gpu.why import Why, given, over, plus, times

_SOURCE = "the stack file"
_MILLION = given("a million", 1_000_000)
_SECONDS = given("seconds of an hour", 3600)
_MINUTES = given("minutes of an hour", 60)

Share = Literal["GPU nodes", "whole bill"]


@dataclass(frozen=True, kw_only=True)
class TokenCosts:
    """What a model's or a server's tokens cost.

    usd: a month of it, as expected: its part of its pool's GPU nodes, and of the whole bill, both by slots and hours.
    stated: tokens of a month at the requests that are stated; most: where it answers all the time it holds its slots.
    api: USD for a million of them elsewhere. None for what the stack file does not say.
    """

    name: str
    usd: tuple[tuple[Share, Why], ...]
    stated: Why | None
    most: Why | None
    api: Why | None

    @property
    def rates(self) -> tuple[tuple[str, Why], ...]:
        """Tokens of a month, with what they suppose."""
        both = (("at the stated requests", self.stated), ("answering all the time", self.most))
        return tuple((words, tokens) for words, tokens in both if tokens is not None)

    def break_even(self, usd: Why) -> Why | None:
        """Tokens of a month for which the API costs as much; None where no API's price is said."""
        return times(over(usd, self.api), _MILLION) if self.api else None

    def is_out_of_reach(self, tokens: Why) -> bool:
        """Whether it cannot answer with so many tokens in the hours that it holds its slots."""
        most = self.most.value if self.most else None
        return most is not None and tokens.value is not None and tokens.value > most


def per_million(usd: Why, tokens: Why) -> Why:
    """USD for a million tokens, of so many for so much in a month."""
    return times(over(usd, tokens), _MILLION)


def token_costs(config: StackConfig, holding: Sequence[Consumer], bill: Bill) -> list[TokenCosts]:
    """Of every model and server whose rate is said, and that holds slots. holding, bill: those of the stack."""
    said = {entry.name: entry for entry in config.usage.each}
    served = [consumer for consumer in holding if consumer.kind in ("model", "server") and consumer.slot_hours > 0]
    found = (_costs(consumer, said[consumer.name], holding, bill) for consumer in served if consumer.name in said)
    return [costs for costs in found if costs.rates]


def _costs(consumer: Consumer, entry: UsageOf, holding: Sequence[Consumer], bill: Bill) -> TokenCosts:
    hours = given(f"hours of {consumer.name} in a month", consumer.hours, "h")
    stated = most = None
    if entry.requests_per_minute and entry.tokens_per_request:
        requests = given("requestsPerMinute", entry.requests_per_minute, "", _SOURCE)
        stated = times(requests, given("tokensPerRequest", entry.tokens_per_request, "", _SOURCE), _MINUTES, hours)
    if entry.tokens_per_second:
        slots = given(f"slots of {consumer.name}", consumer.slots)
        most = times(slots, given("tokensPerSecond", entry.tokens_per_second, "", _SOURCE), _SECONDS, hours)
    usd = entry.api_usd_per_million_tokens
    return TokenCosts(
        name=consumer.name,
        usd=tuple(_shares(consumer, holding, bill)),
        stated=stated,
        most=most,
        api=given("apiUsdPerMillionTokens", usd, "USD", _SOURCE) if usd else None,
    )


def _shares(consumer: Consumer, holding: Sequence[Consumer], bill: Bill) -> Iterator[tuple[Share, Why]]:
    lines = [line for line in bill.lines if line.pool == consumer.pool.name]
    nodes = plus(
        *(given(f"{line.name} ({line.part})", line.usd.expected if line.usd else None, "USD") for line in lines)
    )
    yield "GPU nodes", times(nodes, _part(consumer, [each for each in holding if each.pool is consumer.pool]))
    whole = bill.of()
    total = given("total of the bill, expected", whole.expected if whole else None, "USD")
    yield "whole bill", times(total, _part(consumer, holding))


def _part(consumer: Consumer, among: Sequence[Consumer]) -> Why:
    own = given(f"slot hours of {consumer.name}", consumer.slot_hours, "h")
    return over(own, given("slot hours of all beside it and its own", sum(each.slot_hours for each in among), "h"))
