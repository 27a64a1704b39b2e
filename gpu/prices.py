"""Prices: what the estimate is made of, each figure with its date and source.

GPU and CPU on-demand prices come with the catalogue (`gpu.catalog`). All are us-east-1, Linux, in USD; other regions
differ, mostly upwards, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gpu._price_data import CPU_ON_DEMAND_USD_PER_HOUR, PRICES_DATE

__all__ = [
    "CPU_ON_DEMAND_USD_PER_HOUR",
    "HOURS_PER_MONTH",
    "PRICES_DATE",
    "PRICE_REGION",
    "SERVICE_PRICES_DATE",
    "SpotDiscount",
    "spot_discount",
]

PRICE_REGION = "us-east-1"
#: AWS's own convention for monthly figures.
HOURS_PER_MONTH = 730

#: Unit prices of AWS services in us-east-1, from Infracost's golden files, refreshed on this day.
SERVICE_PRICES_DATE = "2025-07-07"
EKS_CONTROL_PLANE_USD_PER_HOUR = 0.10
NAT_GATEWAY_USD_PER_HOUR = 0.045
#: Every public IPv4 address in use, since 2024-02 (aws.amazon.com/vpc/pricing).
PUBLIC_IPV4_USD_PER_HOUR = 0.005
KMS_KEY_USD_PER_MONTH = 1.0
INTERFACE_ENDPOINT_USD_PER_HOUR_PER_ZONE = 0.01
GP3_USD_PER_GB_MONTH = 0.08
NLB_USD_PER_HOUR = 0.0225
CLASSIC_LOAD_BALANCER_USD_PER_HOUR = 0.025
EBS_SNAPSHOT_USD_PER_GB_MONTH = 0.05
LOG_STORAGE_USD_PER_GB_MONTH = 0.03


@dataclass(frozen=True, slots=True)
class SpotDiscount:
    """An estimated Spot discount as a fraction of the on-demand price, and where it comes from.

    sampled: whether a Spot price of the family was seen in us-east-1 at all.
    """

    fraction: float
    source: str
    sampled: bool = True


_CATALOG = "lowest of the zones in us-east-1, skypilot-catalog v8, 2026"
#: Lower ends of the ranges that were seen, so that the estimate does not promise too much.
_SPOT: Mapping[str, SpotDiscount] = MappingProxyType(
    {
        "g4dn": SpotDiscount(0.59, _CATALOG),
        "g5": SpotDiscount(0.51, _CATALOG),
        "g6": SpotDiscount(0.50, _CATALOG),
        "g6e": SpotDiscount(0.62, _CATALOG),
    }
)
_UNSAMPLED = SpotDiscount(0.50, "no sample of this family: the lowest discount of any sampled GPU family", False)


def spot_discount(family: str) -> SpotDiscount:
    """Estimated Spot discount of an instance family, such as `g6`.

    Spot prices move hourly and by zone: these are for planning, not for invoices.
    """
    return _SPOT.get(family, _UNSAMPLED)
