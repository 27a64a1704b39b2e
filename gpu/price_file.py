"""The file of a region's prices: JSON, read and written here alone.

`linuxUsdPerHour` has on-demand prices by instance type. `services` has unit prices (fields of
`gpu.prices.ServicePrices`), `spot` for each type and zone the least, the mean and the most that was asked in `days`
days (0: on that day; one price a zone, by number, where the source names no zones), `interruptions` the types of each
band of how often Spot was taken back; each with its `source` and `date` (ISO 8601). All prices are in USD. `kept` has
the day of prices that are older than their table.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Nothing that is priced here costs nearly as much, by its hour, month or GB.
_MOST_USD: Final = 100_000

#: How AWS' Spot Instance Advisor tells how often it took nodes back: of all that ran, in a month.
BANDS: Final = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")


class PriceFileError(ValueError):
    """A file does not hold prices. The message says where and what is wrong."""


@dataclass(frozen=True, slots=True)
class SpotRange:
    """What was asked for a node on Spot, in USD per hour. mean: by time."""

    least: float
    mean: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of prices. date: the day of its prices, ISO 8601. kept: day of those that are older, by name."""

    source: str
    date: str
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OnDemandTable(Table):
    """USD per hour by instance type, Linux."""

    usd_per_hour: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ServiceTable(Table):
    """USD by field of `gpu.prices.ServicePrices`."""

    usd: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SpotTable(Table):
    """By instance type and zone; of the last `days` days, 0 where it is what was asked on `date`.

    Zones that the source does not name have numbers: `zone 1` is the cheapest.
    """

    days: int
    usd_per_hour: Mapping[str, Mapping[str, SpotRange]]


@dataclass(frozen=True, kw_only=True)
class InterruptionTable(Table):
    """Which part of Spot nodes AWS took back in the `days` days before, by type: one of `BANDS`."""

    days: int
    band: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PriceFile:
    """What is known of a region; None for a table that there is none of."""

    on_demand: OnDemandTable | None = None
    services: ServiceTable | None = None
    spot: SpotTable | None = None
    interruptions: InterruptionTable | None = None


def read(path: Path) -> PriceFile:
    """A file's tables. Raises PriceFileError for what cannot be read as prices above 0."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise TypeError("it must be an object")
        return PriceFile(
            on_demand=_on_demand(data) if "linuxUsdPerHour" in data else None,
            services=_services(data["services"]) if "services" in data else None,
            spot=_spot(data["spot"]) if "spot" in data else None,
            interruptions=_interruptions(data["interruptions"]) if "interruptions" in data else None,
        )
    except KeyError as error:
        raise PriceFileError(f"{path.name} has no {error}") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PriceFileError(f"{path.name} cannot be read as prices: {error}") from error


def _on_demand(data: Mapping[str, Any]) -> OnDemandTable:
    return OnDemandTable(
        source=" ".join(filter(None, (_text(data["source"]), _text(data.get("sourceVersion", ""))))),
        date=_day(data["pricesDate"]),
        usd_per_hour=_by_name(data["linuxUsdPerHour"], _usd),
        kept=_by_name(data.get("kept", {}), _day),
    )


def _services(data: Mapping[str, Any]) -> ServiceTable:
    return ServiceTable(
        source=_text(data["source"]),
        date=_day(data["date"]),
        usd=_by_name(data["usd"], _usd),
        kept=_by_name(data.get("kept", {}), _day),
    )


def _spot(data: Mapping[str, Any]) -> SpotTable:
    return SpotTable(
        source=_text(data["source"]),
        date=_day(data["date"]),
        kept=_by_name(data.get("kept", {}), _day),
        days=int(data["days"]),
        usd_per_hour=_by_name(data["usdPerHour"], _by_zone),
    )


def _by_zone(value: Any) -> Mapping[str, SpotRange]:
    if not isinstance(value, list):
        return _by_name(value, _range)
    return {f"zone {number}": SpotRange(*[_usd(each)] * 3) for number, each in enumerate(sorted(value), start=1)}


def _interruptions(data: Mapping[str, Any]) -> InterruptionTable:
    if unknown := data["types"].keys() - set(BANDS):
        raise ValueError(f"{min(unknown)!r} is no band: it must be {', '.join(BANDS)}")
    return InterruptionTable(
        source=_text(data["source"]),
        date=_day(data["date"]),
        days=int(data["days"]),
        band={_text(name): band for band, names in data["types"].items() for name in names},
    )


def _range(value: Any) -> SpotRange:
    least, mean, most = (_usd(each) for each in value)
    if not least <= mean <= most:
        raise ValueError(f"{value} must be the least, the mean and the most")
    return SpotRange(least, mean, most)


def _by_name(value: Any, read_one: Callable[[Any], T]) -> Mapping[str, T]:
    return {_text(name): read_one(each) for name, each in value.items()}


def _usd(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is no price above 0")
    if value > _MOST_USD:
        raise ValueError(f"{value:g} USD is no price of anything here")
    return float(value)


def _day(value: Any) -> str:
    return date.fromisoformat(_text(value)).isoformat()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    if not value.isprintable():
        raise ValueError(f"{value!r} has characters that cannot be printed")
    return value


def text(prices: PriceFile, generated_by: str) -> str:
    """The file's text. generated_by: for whoever opens it."""
    content: dict[str, Any] = {"generatedBy": generated_by}
    if table := prices.on_demand:
        content |= {"source": table.source, "pricesDate": table.date, "linuxUsdPerHour": dict(table.usd_per_hour)}
        content |= {"kept": dict(table.kept)} if table.kept else {}
    if services := prices.services:
        content["services"] = {"source": services.source, "date": services.date, "usd": dict(services.usd)}
        content["services"] |= {"kept": dict(services.kept)} if services.kept else {}
    if spot := prices.spot:
        zones = {
            name: {zone: [each.least, each.mean, each.most] for zone, each in seen.items()}
            for name, seen in spot.usd_per_hour.items()
        }
        content["spot"] = {"source": spot.source, "date": spot.date, "days": spot.days, "usdPerHour": zones}
        content["spot"] |= {"kept": dict(spot.kept)} if spot.kept else {}
    if taken := prices.interruptions:
        types = {band: [name for name, own in taken.band.items() if own == band] for band in BANDS}
        content["interruptions"] = {"source": taken.source, "date": taken.date, "days": taken.days, "types": types}
    return json.dumps(content, indent=2) + "\n"


def write(path: Path, prices: PriceFile, generated_by: str) -> None:
    """Replace the file at once or not at all: whoever reads meanwhile, or after a crash, reads the old one.

    Raises OSError, and PriceFileError where what was written does not read as the same prices.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text(prices, generated_by))
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        if read(Path(name)) != prices:
            raise PriceFileError(f"{path.name}: what was written reads otherwise; the old file is kept")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
