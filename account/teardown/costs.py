"""What a thing costs in a month while it merely stands there. List prices of us-east-1, in USD."""

from __future__ import annotations

from typing import Final

from gpu.catalog import INSTANCE_TYPES
from gpu.prices import (
    CLASSIC_LOAD_BALANCER_USD_PER_HOUR,
    CPU_ON_DEMAND_USD_PER_HOUR,
    EBS_SNAPSHOT_USD_PER_GB_MONTH,
    GP3_USD_PER_GB_MONTH,
    HOURS_PER_MONTH,
    INTERFACE_ENDPOINT_USD_PER_HOUR_PER_ZONE,
    LOG_STORAGE_USD_PER_GB_MONTH,
    NAT_GATEWAY_USD_PER_HOUR,
    NLB_USD_PER_HOUR,
    PUBLIC_IPV4_USD_PER_HOUR,
)

NAT_GATEWAY: Final = NAT_GATEWAY_USD_PER_HOUR * HOURS_PER_MONTH
ADDRESS: Final = PUBLIC_IPV4_USD_PER_HOUR * HOURS_PER_MONTH
LOAD_BALANCER: Final = NLB_USD_PER_HOUR * HOURS_PER_MONTH
"""Network and application load balancers cost the same by the hour."""
CLASSIC_LOAD_BALANCER: Final = CLASSIC_LOAD_BALANCER_USD_PER_HOUR * HOURS_PER_MONTH


def instance(type_: str) -> float | None:
    """A running instance on demand; on Spot it costs less. None for a type without a known price."""
    known = INSTANCE_TYPES.get(type_)
    per_hour = known.on_demand_usd_per_hour if known else CPU_ON_DEMAND_USD_PER_HOUR.get(type_)
    return None if per_hour is None else per_hour * HOURS_PER_MONTH


def volume(type_: str, gib: int) -> float | None:
    """A gp3 volume without extra IOPS and throughput; the stacks make no others."""
    return gib * GP3_USD_PER_GB_MONTH if type_ == "gp3" else None


def snapshot(bytes_: int | None) -> float | None:
    """A snapshot whose whole content EBS tells, as stored alone: blocks that others share are paid for once."""
    return None if bytes_ is None else bytes_ / 2**30 * EBS_SNAPSHOT_USD_PER_GB_MONTH


def endpoint(zones: int) -> float:
    """An interface endpoint in so many zones."""
    return zones * INTERFACE_ENDPOINT_USD_PER_HOUR_PER_ZONE * HOURS_PER_MONTH


def logs(bytes_: int) -> float:
    """Logs that are stored."""
    return bytes_ / 2**30 * LOG_STORAGE_USD_PER_GB_MONTH
