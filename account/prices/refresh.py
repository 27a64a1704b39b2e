"""Asks AWS for a region's prices, judges them, and makes the region's file of those that are good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from account.prices.ask import SERVICE_QUERIES, BadAnswerError, on_demand, seen, spot, unit_price
from account.prices.judge import Judged, Known, judge_nodes, judge_spot, judge_unit
from account.session import Account, Answer, Found
from gpu import price_file, prices
from gpu.catalog import INSTANCE_TYPES
from gpu.price_file import OnDemandTable, PriceFile, PriceFileError, ServiceTable, SpotTable
from gpu.prices import RegionPrices

T = TypeVar("T")

GENERATED_BY: Final = "slices prices refresh: ask again instead of editing; see docs/costs.md"
_PRICING: Final = "AWS Pricing, GetProducts"
_SPOT: Final = "AWS EC2, DescribeSpotPriceHistory"
#: Nodes on shared and on bare metal, each unit price, and Spot.
QUESTIONS: Final = 2 + len(SERVICE_QUERIES) + 1


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """A region's prices as they would be written. took: how many prices of each table. told: what is not as asked for.

    file: None where nothing came that could be believed, so that nothing is to be written.
    """

    region: str
    file: PriceFile | None
    took: Mapping[str, int]
    told: tuple[str, ...]


def refresh(account: Account, days: int, now: datetime, advance: Callable[[], None] = lambda: None) -> Refreshed:
    """Ask for all prices of the account's region. days: of Spot's history. advance: called after each question.

    Only tables of which enough is good are new in the file; the others stay as they were.
    """
    known, day, told = prices.of(account.region), now.date().isoformat(), list[str]()
    nodes = _nodes(account, known, day, told, advance)
    services = _services(account, known, day, told, advance)
    asked = _spot_table(account, known, nodes, (days, now), told)
    advance()
    own = _own(account.region)
    made = PriceFile(on_demand=nodes or own.on_demand, services=services or own.services, spot=asked or own.spot)
    took = {
        "on-demand prices": len(nodes.usd_per_hour) - len(nodes.kept) if nodes else 0,
        "service prices": len(services.usd) - len(services.kept) if services else 0,
        "types on Spot": len(asked.usd_per_hour) - len(asked.kept) if asked else 0,
    }
    any_new = nodes or services or asked
    return Refreshed(region=account.region, file=made if any_new else None, took=took, told=tuple(told))


def write(found: Refreshed) -> None:
    """Write a region's file. Raises OSError and PriceFileError; the old file is then as it was."""
    if found.file:
        price_file.write(prices.REFRESHED / f"{found.region}.json", found.file, GENERATED_BY)


def _own(region: str) -> PriceFile:
    """What was asked before; nothing where there is no such file, or it cannot be read."""
    try:
        return price_file.read(prices.REFRESHED / f"{region}.json")
    except PriceFileError:
        return PriceFile()


def _asked(what: str, told: list[str], ask: Callable[[], Answer[T]]) -> T | None:
    """An answer; where there is none that can be read, that is told."""
    try:
        answer = ask()
    except BadAnswerError as error:
        told.append(f"{what}: {error}")
        return None
    if isinstance(answer, Found):
        return answer.value
    told.append(f"{what} {seen(answer)}")
    return None


def _nodes(
    account: Account, known: RegionPrices, day: str, told: list[str], advance: Callable[[], None]
) -> OnDemandTable | None:
    answered: dict[str, float] = {}
    for metal in (False, True):
        part = _asked("on-demand prices", told, lambda metal=metal: on_demand(account, metal=metal))  # type: ignore[misc]
        advance()
        if part is None:
            return None
        answered |= part
    wanted = {name: usd for name, usd in answered.items() if name in INSTANCE_TYPES or name in prices.named_types()}
    others = [prices.of(region) for region in prices.priced_regions() if region != account.region]
    judged = judge_nodes(
        dict(sorted(wanted.items())),
        Known(
            former=known.on_demand,
            elsewhere=tuple(each.on_demand for each in others),
            offered=frozenset(t.name for t in INSTANCE_TYPES.values() if account.region in t.zone_ids),
        ),
    )
    _tell("on-demand prices", judged, told)
    if not judged.whole:
        return None
    kept = {name: known.kept.get(name, known.on_demand_date or day) for name in judged.kept}
    usd = {**judged.taken, **{name: known.on_demand[name] for name in kept}}
    return OnDemandTable(source=_PRICING, date=day, usd_per_hour=usd, kept=kept)


def _services(
    account: Account, known: RegionPrices, day: str, told: list[str], advance: Callable[[], None]
) -> ServiceTable | None:
    former = {query.field: _unit(known, query.field) for query in SERVICE_QUERIES}
    elsewhere = [prices.of(region) for region in prices.priced_regions() if region != account.region]
    taken: dict[str, float] = {}
    for query in SERVICE_QUERIES:
        words = next(each.words for each in prices.UNIT_PRICES if each.field == query.field)
        usd = _asked(words, told, lambda query=query: unit_price(account, query))  # type: ignore[misc]
        advance()
        if usd is None:
            continue
        if why := judge_unit(usd, former[query.field], [_unit(each, query.field) for each in elsewhere]):
            told.append(f"{words}: {why}")
        else:
            taken[query.field] = usd
    if not taken:
        return None
    stays = {field: usd for field, usd in former.items() if usd is not None and field not in taken}
    kept = {field: known.services.kept.get(field, known.services.date or day) for field in stays}
    return ServiceTable(source=_PRICING, date=day, usd={**taken, **stays}, kept=kept)


def _unit(known: RegionPrices, field: str) -> float | None:
    usd: float | None = getattr(known.services, field)
    return usd


def _spot_table(
    account: Account, known: RegionPrices, nodes: OnDemandTable | None, when: tuple[int, datetime], told: list[str]
) -> SpotTable | None:
    on_demand_usd = nodes.usd_per_hour if nodes else known.on_demand
    types = sorted(name for name in on_demand_usd if name in INSTANCE_TYPES)
    if not types:
        told.append("Spot prices: nobody asked, since no on-demand price is known to hold them against")
        return None
    days, now = when
    answered = _asked("Spot prices", told, lambda: spot(account, types, days, now))
    if answered is None:
        return None
    former = known.spot_seen.usd_per_hour if known.spot_seen else {}
    judged = judge_spot(answered, on_demand_usd, former)
    _tell("Spot prices", judged, told)
    if not judged.whole or known.spot_seen is None:
        table = SpotTable(source=_SPOT, date=now.date().isoformat(), days=days, usd_per_hour=judged.taken)
        return table if judged.whole else None
    kept = {name: known.spot_seen.kept.get(name, known.spot_seen.date) for name in judged.kept}
    usd = {**judged.taken, **{name: former[name] for name in kept}}
    table = SpotTable(source=_SPOT, date=now.date().isoformat(), days=days, usd_per_hour=usd)
    return replace(table, kept=kept)


def _tell(what: str, judged: Judged[T], told: list[str]) -> None:
    told += [f"{what}: {each}" for each in judged.told]
