"""Asks AWS for a region's prices, judges them, and makes the region's file of those that are good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from account.prices.ask import SERVICE_QUERIES, BadAnswerError, on_demand, seen, spot, unit_price
from account.prices.judge import Judged, Known, judge_nodes, judge_spot, judge_unit
from account.session import Account, Answer, Found, Unseen
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
    asking = _Asking(account, now, advance)
    nodes, services = _nodes(asking), _services(asking)
    asked = _spot_table(asking, nodes, days)
    _tell_of_later_ones(asking)
    own = _own(account.region)
    made = PriceFile(on_demand=nodes or own.on_demand, services=services or own.services, spot=asked or own.spot)
    took = {
        "on-demand prices": len(nodes.usd_per_hour) - len(nodes.kept) if nodes else 0,
        "service prices": len(services.usd) - len(services.kept) if services else 0,
        "types on Spot": len(asked.usd_per_hour) - len(asked.kept) if asked else 0,
    }
    any_new = nodes or services or asked
    return Refreshed(region=account.region, file=made if any_new else None, took=took, told=tuple(asking.told))


def _tell_of_later_ones(asking: _Asking) -> None:
    """The newer of two tables counts in the plan, so that what is asked for by a clock that is behind may not."""
    for table in asking.known.tables:
        if table.date and table.date > asking.day:
            asking.told.append(
                f"{table.what} of {table.date} are known, and this machine's clock says {asking.day}: where they are "
                "not in the file that is written here, the plan takes them; set the clock, and ask again"
            )


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


class _Asking:
    """Questions about one region: what is known of it before, and what is told of their answers."""

    def __init__(self, account: Account, now: datetime, advance: Callable[[], None]) -> None:
        self.account, self.now, self.day = account, now, now.date().isoformat()
        self.known = prices.of(account.region)
        self.others = [prices.of(region) for region in prices.priced_regions() if region != account.region]
        self.told: list[str] = []
        self.closed = False
        """Whether the last question met a closed door: the next one would, too."""
        self._advance = advance

    def ask(self, what: str, question: Callable[[], Answer[T]]) -> T | None:
        """An answer; where there is none that can be read, that is told."""
        try:
            answer = question()
        except BadAnswerError as error:
            self.told.append(f"{what}: {error}")
            return None
        finally:
            self._advance()
        if isinstance(answer, Found):
            return answer.value
        self.closed = isinstance(answer, Unseen) and answer.cause != "refused"
        self.told.append(f"{what} {seen(answer)}")
        return None


def _nodes(asking: _Asking) -> OnDemandTable | None:
    answered: dict[str, float] = {}
    for metal in (False, True):
        part = asking.ask("on-demand prices", partial(on_demand, asking.account, metal=metal))
        if part is None:
            return None
        answered |= part
    known, region = asking.known, asking.account.region
    wanted = {name: usd for name, usd in answered.items() if name in INSTANCE_TYPES or name in prices.named_types()}
    judged = judge_nodes(
        dict(sorted(wanted.items())),
        Known(
            former=known.on_demand,
            elsewhere=tuple(each.on_demand for each in asking.others),
            offered=frozenset(t.name for t in INSTANCE_TYPES.values() if region in t.zone_ids),
        ),
    )
    _tell("on-demand prices", judged, asking)
    if not judged.whole:
        return None
    kept = {name: known.kept.get(name, known.on_demand_date or asking.day) for name in judged.kept}
    usd = {**judged.taken, **{name: known.on_demand[name] for name in kept}}
    return OnDemandTable(source=_PRICING, date=asking.day, usd_per_hour=usd, kept=kept)


def _services(asking: _Asking) -> ServiceTable | None:
    former = {query.field: _unit(asking.known, query.field) for query in SERVICE_QUERIES}
    taken: dict[str, float] = {}
    for query in SERVICE_QUERIES:
        if asking.closed:
            asking.told.append("service prices: the rest is not asked for, since Pricing answers no question now")
            break
        words = next(each.words for each in prices.UNIT_PRICES if each.field == query.field)
        usd = asking.ask(words, partial(unit_price, asking.account, query))
        if usd is None:
            continue
        if why := judge_unit(usd, former[query.field], [_unit(each, query.field) for each in asking.others]):
            asking.told.append(f"{words}: {why}")
        else:
            taken[query.field] = usd
    if not taken:
        return None
    stays = {field: usd for field, usd in former.items() if usd is not None and field not in taken}
    services = asking.known.services
    kept = {field: services.kept.get(field, services.date or asking.day) for field in stays}
    return ServiceTable(source=_PRICING, date=asking.day, usd={**taken, **stays}, kept=kept)


def _unit(known: RegionPrices, field: str) -> float | None:
    usd: float | None = getattr(known.services, field)
    return usd


def _spot_table(asking: _Asking, nodes: OnDemandTable | None, days: int) -> SpotTable | None:
    on_demand_usd = nodes.usd_per_hour if nodes else asking.known.on_demand
    before = asking.known.spot_seen
    former = before.usd_per_hour if before else {}
    # Types with GPUs, and those of system nodes that had a price: of all that was known, the answer is to have most.
    types = sorted(name for name in on_demand_usd if name in INSTANCE_TYPES or name in former)
    if not types:
        asking.told.append("Spot prices: not asked for, since no on-demand price is known to hold them against")
        return None
    answered = asking.ask("Spot prices", partial(spot, asking.account, types, days, asking.now))
    if answered is None:
        return None
    judged = judge_spot(answered, on_demand_usd, former)
    _tell("Spot prices", judged, asking)
    if not judged.whole:
        return None
    kept = {name: before.kept.get(name, before.date) for name in judged.kept} if before else {}
    usd = {**judged.taken, **{name: former[name] for name in kept}}
    return SpotTable(source=_SPOT, date=asking.day, days=days, usd_per_hour=usd, kept=kept)


def _tell(what: str, judged: Judged[T], asking: _Asking) -> None:
    asking.told += [f"{what}: {each}" for each in judged.told]
