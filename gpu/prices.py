"""Prices by region: `of(region)` is the only way to one, so that nobody can ask without saying for where.

Instance prices are data beside this module, one file a region (`gpu/price_data/`, by tools/generate_catalog.py). Unit
prices of services and Spot discounts stand here, by region too. What no source has of a region is None, and never
another region's figure. All prices are in USD, without traffic and tax.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal, assert_never

__all__ = [
    "HOURS_PER_MONTH",
    "CapacityType",
    "RegionPrices",
    "ServicePrices",
    "SpotDiscount",
    "named_types",
    "of",
    "priced_regions",
    "product",
    "total",
]

CapacityType = Literal["spot", "on-demand"]
#: AWS's own convention for monthly figures.
HOURS_PER_MONTH = 730


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
    log_ingestion_per_gb: float | None = None
    log_storage_per_gb_month: float | None = None
    insights_per_million_observations: float | None = None
    """Container Insights with enhanced observability, of the first billion in a month."""
    alarm_per_metric_month: float | None = None
    custom_metric_per_month: float | None = None
    dashboard_per_month: float | None = None


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


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionPrices:
    """What AWS asks in one region. Where nothing is known of it, every price is None.

    on_demand: Linux, USD per hour by instance type. on_demand_date: the day of these (ISO 8601), None where there are
    none. on_demand_source: module and version that they are from.
    """

    region: str
    on_demand: Mapping[str, float] = field(default_factory=dict)
    on_demand_date: str | None = None
    on_demand_source: str = ""
    services: ServicePrices = ServicePrices()
    spot_discounts: Mapping[str, SpotDiscount] = field(default_factory=dict)

    def spot_discount(self, family: str) -> SpotDiscount:
        """Estimated Spot discount of an instance family, such as `g6`.

        Spot prices move hourly and by zone: these are for planning, not for invoices.
        """
        return self.spot_discounts.get(family, _UNSAMPLED)

    def node_usd_per_hour(self, instance_type: str, capacity_type: CapacityType) -> float | None:
        """Price of a node by the name of its type, an estimate for Spot; None where it is not known."""
        price = self.on_demand.get(instance_type)
        if price is None:
            return None
        match capacity_type:
            case "spot":
                return price * (1 - self.spot_discount(instance_type.partition(".")[0]).fraction)
            case "on-demand":
                return price
            case _:
                assert_never(capacity_type)


_FOLDER = Path(__file__).parent / "price_data"

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
def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in sorted(_FOLDER.glob("*.json"))}


@cache
def of(region: str) -> RegionPrices:
    """The prices of a region; one without data, or that does not exist, has none."""
    services, spot = _SERVICES.get(region, ServicePrices()), _SPOT.get(region, MappingProxyType({}))
    path = _files().get(region)
    if path is None:
        return RegionPrices(region=region, services=services, spot_discounts=spot)
    data = json.loads(path.read_text(encoding="utf-8"))
    return RegionPrices(
        region=region,
        on_demand=MappingProxyType(data["linuxUsdPerHour"]),
        on_demand_date=data["pricesDate"],
        on_demand_source=f"{data['source']} {data['sourceVersion']}",
        services=services,
        spot_discounts=spot,
    )


def priced_regions() -> tuple[str, ...]:
    """Regions whose instance prices are known."""
    return tuple(_files())


@cache
def named_types() -> frozenset[str]:
    """Names of all types that are priced in any region: GPU types, and CPU types for system nodes and CPU pools."""
    return frozenset(name for region in priced_regions() for name in of(region).on_demand)


def product(*factors: float | None) -> float | None:
    """Factors multiplied from the left; None where one of them is not known."""
    known = [factor for factor in factors if factor is not None]
    return prod(known) if len(known) == len(factors) else None


def total(amounts: Iterable[float | None]) -> float | None:
    """The sum; None where an amount is not known, since a sum would mislead."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known) if len(known) == len(every) else None
