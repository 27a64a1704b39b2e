"""Prices by region: `of(region)` is the only way to one, so that nobody can ask without saying for where.

Prices of instances, on-demand and on Spot, are data, one file a region: committed beside this module
(`gpu/price_data/`, by tools/generate_catalog.py), or asked of AWS (`prices/` beside the stack files, by `slices prices
refresh`); these have unit prices of services too. Those of some regions stand here, with Spot discounts that are newer
than any committed Spot price. What no source has of a region is None, and never another region's figure. All prices are
in USD, without traffic and tax.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, assert_never

from gpu import price_file
from gpu.price_file import InterruptionTable, PriceFileError, ServiceTable, SpotRange, SpotTable, Table
from gpu.why import Why, given, least, most, times

__all__ = [
    "DAYS_PER_MONTH",
    "FRESH_DAYS",
    "HOURS_PER_DAY",
    "HOURS_PER_MONTH",
    "REFRESHED",
    "UNIT_PRICES",
    "CapacityType",
    "PriceTable",
    "RegionPrices",
    "ServicePrices",
    "SpotDiscount",
    "SpotPrice",
    "UnitPrice",
    "is_named_type",
    "named_types",
    "of",
    "priced_regions",
    "product",
    "sampled_families",
]

CapacityType = Literal["spot", "on-demand"]
HOURS_PER_DAY = 24
#: AWS's own convention for monthly figures.
HOURS_PER_MONTH = 730
DAYS_PER_MONTH = HOURS_PER_MONTH / HOURS_PER_DAY
#: Prices older than these days are told to be old.
FRESH_DAYS = 90

SpotCase = Literal["least", "expected", "most"]
SPOT_CASES: tuple[SpotCase, ...] = ("least", "expected", "most")
_CASES: Mapping[SpotCase, str] = MappingProxyType({"least": "least", "expected": "mean", "most": "most"})

TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """A field of `ServicePrices`: what it is the price of, and its unit."""

    field: str
    words: str
    unit: str


UNIT_PRICES = (
    UnitPrice("eks_control_plane_per_hour", "EKS control plane, standard support", "USD/h"),
    UnitPrice("nat_gateway_per_hour", "NAT gateway", "USD/h"),
    UnitPrice("nat_gateway_per_gb", "traffic through NAT", "USD/GB"),
    UnitPrice("between_zones_per_gb", "traffic between zones, each way", "USD/GB"),
    UnitPrice("public_ipv4_per_hour", "public IPv4 address", "USD/h"),
    UnitPrice("kms_key_per_month", "KMS key", "USD/month"),
    UnitPrice("interface_endpoint_per_hour_and_zone", "interface endpoint in a zone", "USD/h"),
    UnitPrice("gp3_per_gb_month", "gp3 volume", "USD/GB-month"),
    UnitPrice("gp3_per_iops_month", "IOPS beyond 3000", "USD/IOPS-month"),
    UnitPrice("gp3_per_mibps_month", "MiB/s beyond 125", "USD/(MiB/s)-month"),
    UnitPrice("load_balancer_per_hour", "network load balancer", "USD/h"),
    UnitPrice("classic_load_balancer_per_hour", "classic load balancer", "USD/h"),
    UnitPrice("snapshot_per_gb_month", "snapshot", "USD/GB-month"),
    UnitPrice("ecr_per_gb_month", "images in ECR", "USD/GB-month"),
    UnitPrice("dynamodb_recovery_per_gb_month", "point-in-time recovery of a table", "USD/GB-month"),
    UnitPrice("s3_storage_per_gb_month", "S3, kept", "USD/GB-month"),
    UnitPrice("s3_write_per_request", "S3, a write or a listing", "USD/request"),
    UnitPrice("log_ingestion_per_gb", "logs, written", "USD/GB"),
    UnitPrice("log_storage_per_gb_month", "logs, kept", "USD/GB-month"),
    UnitPrice("insights_per_million_observations", "Container Insights", "USD/million observations"),
    UnitPrice("alarm_per_metric_month", "alarm", "USD/metric-month"),
    UnitPrice("custom_metric_per_month", "metric of one's own", "USD/month"),
    UnitPrice("dashboard_per_month", "dashboard", "USD/month"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePrices:
    """Unit prices of AWS services in USD; None where no source has one. date: of the newest look at them, ISO 8601."""

    date: str | None = None
    source: str = ""
    eks_control_plane_per_hour: float | None = None
    nat_gateway_per_hour: float | None = None
    nat_gateway_per_gb: float | None = None
    between_zones_per_gb: float | None = None
    """Each way: who sends pays it, and who receives."""
    public_ipv4_per_hour: float | None = None
    kms_key_per_month: float | None = None
    interface_endpoint_per_hour_and_zone: float | None = None
    gp3_per_gb_month: float | None = None
    gp3_per_iops_month: float | None = None
    """Of each beyond the 3000 that come with a volume."""
    gp3_per_mibps_month: float | None = None
    """Of each MiB/s beyond the 125 that come with a volume."""
    load_balancer_per_hour: float | None = None
    """A network load balancer, or an application load balancer: they cost the same by the hour."""
    classic_load_balancer_per_hour: float | None = None
    snapshot_per_gb_month: float | None = None
    ecr_per_gb_month: float | None = None
    dynamodb_recovery_per_gb_month: float | None = None
    s3_storage_per_gb_month: float | None = None
    """Standard, of the first 50 TB."""
    s3_write_per_request: float | None = None
    """PUT, COPY, POST and LIST."""
    log_ingestion_per_gb: float | None = None
    log_storage_per_gb_month: float | None = None
    insights_per_million_observations: float | None = None
    """Container Insights with enhanced observability, of the first billion in a month."""
    alarm_per_metric_month: float | None = None
    custom_metric_per_month: float | None = None
    dashboard_per_month: float | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    """Day of what is older than `date`, by field."""

    def why(self, name: str) -> Why:
        """A price by its field, with source and day."""
        (of_it,) = (unit_price for unit_price in UNIT_PRICES if unit_price.field == name)
        usd: float | None = getattr(self, name)
        day = self.kept.get(name, self.date) if usd is not None else None
        return given(of_it.words, usd, of_it.unit, self.source, day)


@dataclass(frozen=True, slots=True)
class SpotDiscount:
    """An estimated Spot discount as a fraction of the on-demand price, and where it comes from.

    sampled: whether a Spot price of the family was seen in the region at all. largest: the largest discount that was
    seen of the family, for the lower end of a range; None where there is one figure.
    """

    fraction: float
    source: str
    sampled: bool = True
    largest: float | None = None


_UNSAMPLED = SpotDiscount(0.50, "no sample of this family: the lowest discount of any sampled GPU family", False)


@dataclass(frozen=True, slots=True)
class SpotPrice:
    """A node on Spot in USD per hour: seen in the region, or estimated. date: of what was seen (ISO 8601), or None.

    seen: whether anybody saw a Spot price of the type, or at least of its family, in the region.
    """

    least: float
    expected: float
    most: float
    source: str
    seen: bool
    date: str | None = None


@dataclass(frozen=True, slots=True)
class PriceTable:
    """A table of prices that figures are made of. date: the day of its prices (ISO 8601), None where nobody said it."""

    what: Literal["on-demand prices", "service prices", "Spot prices", "Spot discounts", "Spot interruptions"]
    source: str
    date: str | None

    def is_old(self, today: datetime.date) -> bool:
        """Whether its day is more than `FRESH_DAYS` ago, or not known."""
        return self.date is None or today - datetime.date.fromisoformat(self.date) > datetime.timedelta(days=FRESH_DAYS)

    def is_of_the_future(self, today: datetime.date) -> bool:
        """Whether its day is still to come. A day of grace: days begin earlier in the east."""
        return self.date is not None and datetime.date.fromisoformat(self.date) > today + datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionPrices:
    """What AWS asks in one region. Where nothing is known of it, every price is None.

    on_demand: Linux, USD per hour by instance type. on_demand_date: the day of these (ISO 8601), None where there are
    none. on_demand_source: module and version that they are from. kept: types whose price is of another, older day.
    spot_seen: by type and zone. interruptions: of Spot nodes, by type. problem: why a file of prices is not used, empty
    where none is wrong.
    """

    region: str
    on_demand: Mapping[str, float] = field(default_factory=dict)
    on_demand_date: str | None = None
    on_demand_source: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    services: ServicePrices = ServicePrices()
    spot_discounts: Mapping[str, SpotDiscount] = field(default_factory=dict)
    spot_seen: SpotTable | None = None
    interruptions: InterruptionTable | None = None
    problem: str = ""

    @property
    def tables(self) -> tuple[PriceTable, ...]:
        """What is known of the region, with source and day."""
        found = []
        if self.on_demand:
            found.append(PriceTable("on-demand prices", self.on_demand_source, self.on_demand_date))
        if self.services.date:
            found.append(PriceTable("service prices", self.services.source, self.services.date))
        if self.spot_seen:
            found.append(PriceTable("Spot prices", self.spot_seen.source, self.spot_seen.date))
        if estimated := self.estimated_families:
            found.append(PriceTable("Spot discounts", self.spot_discounts[estimated[0]].source, None))
        if self.interruptions:
            found.append(PriceTable("Spot interruptions", self.interruptions.source, self.interruptions.date))
        return tuple(found)

    @property
    def estimated_families(self) -> tuple[str, ...]:
        """Families of which no type has a Spot price that was seen, but a discount of the family was."""
        seen = {name.partition(".")[0] for name in self.spot_seen.usd_per_hour} if self.spot_seen else set()
        return tuple(family for family in self.spot_discounts if family not in seen)

    def spot_discount(self, family: str) -> SpotDiscount:
        """Estimated Spot discount of an instance family, such as `g6`, where no price of a type was seen.

        Spot prices move hourly and by zone: these are for planning, not for invoices.
        """
        return self.spot_discounts.get(family, _UNSAMPLED)

    def spot_zones(self, instance_type: str) -> Mapping[str, SpotRange]:
        """What was asked for a type in each zone; empty where nobody looked."""
        return self.spot_seen.usd_per_hour.get(instance_type, {}) if self.spot_seen else {}

    def interruption_band(self, instance_type: str) -> str | None:
        """Which part of a type's Spot nodes AWS took back in a month, one of `gpu.price_file.BANDS`, where it is known.

        Of all nodes in the region, whoever's; AWS' Spot Instance Advisor tells it, and no API.
        """
        return self.interruptions.band.get(instance_type) if self.interruptions else None

    def spot(self, instance_type: str) -> SpotPrice | None:
        """What a type costs on Spot; None where no price of it is known. `why_spot` says how it comes about."""
        least, expected, most = (self.why_spot(instance_type, case).value for case in SPOT_CASES)
        if least is None or expected is None or most is None:
            return None
        if self.spot_zones(instance_type) and self.spot_seen:
            day = self.spot_seen.kept.get(instance_type, self.spot_seen.date)
            return SpotPrice(least, expected, most, self.spot_seen.source, True, day)
        discount = self.spot_discount(instance_type.partition(".")[0])
        return SpotPrice(least, expected, most, discount.source, discount.sampled)

    def why_spot(self, instance_type: str, case: SpotCase) -> Why:
        """The least, the expected or the most that a type costs on Spot, in USD per hour.

        Where its zones were looked at: the least and the most of all of them, and the mean of their means, since
        Karpenter buys where there is room. Else by the family's discounts; where nobody saw one, at most the on-demand
        price, above which Spot never is.
        """
        on_demand, zones = self.why_node(instance_type, "on-demand"), self.spot_zones(instance_type).values()
        if zones and self.spot_seen and on_demand.value is not None:
            usd = {
                "least": min(each.least for each in zones),
                "expected": sum(each.mean for each in zones) / len(zones),
                "most": max(each.most for each in zones),
            }
            of_zones = f"{len(zones)} zone{'' if len(zones) == 1 else 's'}"
            days = f" in {self.spot_seen.days} days" if self.spot_seen.days else ""
            words = f"{instance_type} on Spot, {_CASES[case]} of {of_zones}{days}"
            day = self.spot_seen.kept.get(instance_type, self.spot_seen.date)
            return given(words, usd[case], "USD/h", self.spot_seen.source, day)
        family = instance_type.partition(".")[0]
        discount = self.spot_discount(family)
        if case == "most" and not discount.sampled:
            return on_demand
        fraction = discount.largest if case == "least" and discount.largest else discount.fraction
        return times(on_demand, given(f"1 - Spot discount of {family}", 1 - fraction, "", discount.source))

    def spot_range(self, instance_types: Iterable[str]) -> tuple[Why, Why] | None:
        """The least and the most of all of some types by `why_spot`; None where no price of them is known."""
        known = [name for name in instance_types if name in self.on_demand]
        if not known:
            return None
        return least(*(self.why_spot(name, "least") for name in known)), most(
            *(self.why_spot(name, "most") for name in known)
        )

    def node_usd_per_hour(self, instance_type: str, capacity_type: CapacityType) -> float | None:
        """Price of a node by the name of its type, an estimate for Spot; None where it is not known."""
        return self.why_node(instance_type, capacity_type).value

    def why_node(self, instance_type: str, capacity_type: CapacityType) -> Why:
        """The same, with source and day."""
        match capacity_type:
            case "spot":
                return self.why_spot(instance_type, "expected")
            case "on-demand":
                usd, day = self.on_demand.get(instance_type), self.kept.get(instance_type, self.on_demand_date)
                return given(f"{instance_type}, on-demand", usd, "USD/h", self.on_demand_source, day)
            case _:
                assert_never(capacity_type)


#: Generated from public sources and committed (tools/generate_catalog.py).
_FOLDER = Path(__file__).parent / "price_data"
#: What `slices prices refresh` wrote: beside the stack files, of which `gpu/` is a neighbour in every clone. Not in the
#: folder above, which `make catalog` writes anew, and which belongs to the project and not to whoever uses it.
REFRESHED = Path(__file__).parents[1] / "prices"

_SERVICES: Mapping[str, ServicePrices] = MappingProxyType(
    {
        "us-east-1": ServicePrices(
            date="2025-07-07",
            source="Infracost's golden files",
            eks_control_plane_per_hour=0.10,
            nat_gateway_per_hour=0.045,
            nat_gateway_per_gb=0.045,
            between_zones_per_gb=0.01,
            public_ipv4_per_hour=0.005,  # every one in use, since 2024-02 (aws.amazon.com/vpc/pricing)
            kms_key_per_month=1.0,
            interface_endpoint_per_hour_and_zone=0.01,
            gp3_per_gb_month=0.08,
            gp3_per_iops_month=0.005,
            gp3_per_mibps_month=0.04,
            load_balancer_per_hour=0.0225,
            classic_load_balancer_per_hour=0.025,
            snapshot_per_gb_month=0.05,
            ecr_per_gb_month=0.10,
            dynamodb_recovery_per_gb_month=0.20,
            # aws.amazon.com/s3/pricing as public repositories read it, one of them by AWS' Price List on 2025-10-28.
            s3_storage_per_gb_month=0.023,
            s3_write_per_request=0.005 / 1000,
            log_ingestion_per_gb=0.50,
            log_storage_per_gb_month=0.03,
            # aws.amazon.com/cloudwatch/pricing as two public repositories read it, one of them on 2026-10-02.
            insights_per_million_observations=0.21,
            # The same page, "Paid tier": without what is free in an account.
            alarm_per_metric_month=0.10,
            custom_metric_per_month=0.30,
            dashboard_per_month=3.0,
        )
    }
)

_CATALOG = "lowest of the zones in us-east-1, skypilot-catalog v8, 2026"
#: Lower ends of the ranges that were seen, so that the estimate does not promise too much.
_SPOT: Mapping[str, Mapping[str, SpotDiscount]] = MappingProxyType(
    {
        "us-east-1": MappingProxyType(
            {
                "g4dn": SpotDiscount(0.59, _CATALOG, largest=0.62),
                "g5": SpotDiscount(0.51, _CATALOG, largest=0.63),
                "g6": SpotDiscount(0.50, _CATALOG, largest=0.57),
                "g6e": SpotDiscount(0.62, _CATALOG, largest=0.81),
            }
        )
    }
)


@cache
def _files() -> Mapping[str, tuple[Path, ...]]:
    """Files by region, committed ones first."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in (*sorted(_FOLDER.glob("*.json")), *sorted(REFRESHED.glob("*.json"))):
        found[path.stem] = (*found.get(path.stem, ()), path)
    return MappingProxyType(found)


@cache
def of(region: str) -> RegionPrices:
    """The prices of a region; one without data, or that does not exist, has none.

    Of two tables that know the same the newer one counts: one that was refreshed, or a committed one that came later.
    """
    files, problems = [], []
    for path in _files().get(region, ()):
        try:
            files.append(price_file.read(path))
        except PriceFileError as error:
            problems.append(str(error))
    on_demand = _newest([each.on_demand for each in files])
    services = _newest([each.services for each in files])
    return RegionPrices(
        region=region,
        on_demand=MappingProxyType(dict(on_demand.usd_per_hour)) if on_demand else {},
        on_demand_date=on_demand.date if on_demand else None,
        on_demand_source=on_demand.source if on_demand else "",
        kept=on_demand.kept if on_demand else {},
        services=_service_prices(region, services),
        spot_discounts=_SPOT.get(region, MappingProxyType({})),
        spot_seen=_newest([each.spot for each in files]),
        interruptions=_newest([each.interruptions for each in files]),
        problem="; ".join(problems),
    )


def _newest(tables: Sequence[TableT | None]) -> TableT | None:
    return max((table for table in tables if table), key=lambda table: table.date, default=None)


def _service_prices(region: str, table: ServiceTable | None) -> ServicePrices:
    known = _SERVICES.get(region, ServicePrices())
    if table is None or (known.date or "") > table.date:
        return known
    usd: dict[str, Any] = {each.field: table.usd[each.field] for each in UNIT_PRICES if each.field in table.usd}
    kept = dict(table.kept)
    # What AWS is not asked for, or a table of before a unit price was counted lacks, stays as it was known.
    for each in UNIT_PRICES:
        if each.field not in usd and (older := getattr(known, each.field)) is not None:
            usd[each.field], kept[each.field] = older, known.date or table.date
    return ServicePrices(date=table.date, source=table.source, kept=kept, **usd)


def sampled_families(region: str) -> frozenset[str]:
    """Families whose Spot discount was seen in a region, later than any committed table of Spot prices."""
    return frozenset(_SPOT.get(region, ()))


def priced_regions() -> tuple[str, ...]:
    """Regions whose instance prices are known."""
    return tuple(region for region in _files() if of(region).on_demand)


def is_named_type(name: str) -> bool:
    """Whether a type is one of `named_types`. Of the tables only those are read that it takes to find it."""
    largest_first = sorted(_files().items(), key=lambda item: -max(path.stat().st_size for path in item[1]))
    return any(name in of(region).on_demand for region, _ in largest_first)


@cache
def named_types() -> frozenset[str]:
    """Names of all types that are priced in any region: GPU types, and CPU types for system nodes and CPU pools."""
    return frozenset(name for region in priced_regions() for name in of(region).on_demand)


def product(*factors: float | None) -> float | None:
    """Factors multiplied from the left; None where one of them is not known."""
    known = [factor for factor in factors if factor is not None]
    return prod(known) if len(known) == len(factors) else None
