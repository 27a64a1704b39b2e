"""Read on-demand and Spot prices and Spot interruptions of many regions, as ec2instances.info saw them on one day.

Its Go module is old and large. Of it is taken what no newer source has, and only of types whose price has not moved
since in a region where a newer one is known: what AWS cut there it cut elsewhere too (P4 and P5 in June 2025).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from account.prices.judge import Known, judge_nodes, judge_spot
from gpu.price_file import BANDS, SpotRange
from tools.catalog_sources import GpuType, Prices, SourceError, cpu_types, download

MODULE: Final = "github.com/cristim/ec2-instances-info"
VERSION: Final = "v0.0.0-20250528091325-32acf84f42eb"
#: The day of its commit: it was fetched on that day.
DAY: Final = "2025-05-28"
SOURCE: Final = "ec2instances.info"
#: Of the data, as the module's own licence says.
LICENCE: Final = "MIT, Copyright (c) 2013 Garret Heaton (powdahound.com): see ec2instances-info.LICENSE"
#: Days over which AWS' Spot Instance Advisor counts interruptions.
BAND_DAYS: Final = 30
_FILE: Final = Path("data", "instances.json")
#: A price that differs by more has moved: both sources write what AWS' price list has.
_SAME: Final = 0.001
_GRAVITON: Final = re.compile(r"[a-z]+\d+g[a-z]*\.\w+")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen in a region. on_demand: USD per hour by type. spot: of each zone. band: of interruptions."""

    region: str
    on_demand: Mapping[str, float]
    spot: Mapping[str, tuple[float, ...]]
    band: Mapping[str, str]
    told: tuple[str, ...] = ()


def download_instances() -> Path:
    """The module's folder, from Go's cache where it is there. Raises SourceError."""
    return download(f"{MODULE}@{VERSION}")


def read_instances(folder: Path, types: Iterable[GpuType], newer: Mapping[str, Prices]) -> list[Seen]:
    """What the module has of the regions that offer one of the types, sorted. Raises SourceError.

    newer: on-demand prices of a later day by region. Of these regions come Spot and interruptions alone.
    """
    gpus = {row.name for row in types}
    regions = {region for row in types for region in row.zone_ids}
    raw = _raw(folder / _FILE, regions | newer.keys())
    unmoved = _unmoved(raw, newer)
    names = {name for table in raw.values() for name in table}
    planned = [name for name in [*cpu_types(sorted(names)), *(row.name for row in types)] if name in names]
    found = []
    for region, table in sorted(raw.items()):
        own = {name: table[name] for name in planned if name in table and name in unmoved}
        if region in regions and own.keys() & gpus:
            found.append(_judged(region, own, newer, gpus))
    return found


def _raw(path: Path, regions: Iterable[str]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """What is said of each type on Linux, by region."""
    wanted = set(regions)
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            for region in entry["pricing"].keys() & wanted:
                if "ondemand" in (linux := entry["pricing"][region].get("linux", {})):
                    found.setdefault(region, {})[entry["instance_type"]] = linux
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"cannot read {path}: {error!r}") from error
    if not found:
        raise SourceError(f"{path} has no price of any region of the catalogue")
    return found


def _unmoved(raw: Mapping[str, Mapping[str, Mapping[str, Any]]], newer: Mapping[str, Prices]) -> set[str]:
    """Types whose price is the same in a later table. Of one in no later table nobody knows."""
    same: set[str] = set()
    moved: set[str] = set()
    for region, prices in newer.items():
        for name, linux in raw.get(region, {}).items():
            if usd := prices.usd_per_hour.get(name):
                (same if abs(float(linux["ondemand"]) / usd - 1) <= _SAME else moved).add(name)
    return same - moved


def _judged(
    region: str, own: Mapping[str, Mapping[str, Any]], newer: Mapping[str, Prices], gpus: Iterable[str]
) -> Seen:
    """What of a region can be believed, by the rules for what AWS answers itself."""
    on_demand = {name: float(linux["ondemand"]) for name, linux in own.items()}
    nodes = judge_nodes(on_demand, Known(elsewhere=tuple(prices.usd_per_hour for prices in newer.values())))
    asked = {
        name: sorted(float(usd) for usd in linux.get("spot") or ())
        for name, linux in own.items()
        if name in gpus or _GRAVITON.fullmatch(name)  # no other type is priced on Spot: system nodes are Graviton
    }
    by_zone = {
        name: {f"zone {zone}": SpotRange(usd, usd, usd) for zone, usd in enumerate(prices, start=1)}
        for name, prices in asked.items()
        if prices and name in nodes.taken
    }
    spot = judge_spot(by_zone, nodes.taken, {}) if by_zone else None
    band = {name: str(own[name].get("pct_interrupt")) for name in asked if name in nodes.taken}
    return Seen(
        region=region,
        on_demand=nodes.taken if region not in newer else {},
        spot={name: tuple(each.mean for each in zones.values()) for name, zones in spot.taken.items()} if spot else {},
        band={name: each for name, each in band.items() if each in BANDS},
        told=(*nodes.told, *(spot.told if spot else ())),
    )
