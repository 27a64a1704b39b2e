"""Prices as AWS's APIs give them, from the project's own price data: what the plan estimates is what Karpenter sees."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu.catalog import INSTANCE_TYPES
from gpu.prices import CPU_ON_DEMAND_USD_PER_HOUR, spot_discount

#: Karpenter wants at least one bare-metal price; nobody buys this one.
_METAL = {"m5.metal": 4.608}


@functools.cache
def on_demand() -> Mapping[str, float]:
    """USD per hour of every type whose price is known."""
    gpu = {name: t.on_demand_usd_per_hour for name, t in INSTANCE_TYPES.items() if t.on_demand_usd_per_hour is not None}
    return {**CPU_ON_DEMAND_USD_PER_HOUR, **gpu}


@functools.cache
def spot() -> Mapping[str, float]:
    """Estimated USD per hour on Spot, the same in every zone."""
    return {name: price * (1 - spot_discount(name.partition(".")[0]).fraction) for name, price in on_demand().items()}


def usd_per_hour(instance_type: str, capacity_type: str) -> float | None:
    """Price of a node; None where it is not known. capacity_type: `spot` or `on-demand`."""
    return (spot() if capacity_type == "spot" else on_demand()).get(instance_type)


def products(filters: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Answer of Pricing's GetProducts, on one page."""
    wanted = {item.get("Field"): item.get("Value") for item in filters}
    chosen = _METAL if "metal" in str(wanted.get("productFamily")) else on_demand()
    return {
        "FormatVersion": "aws_v1",
        "PriceList": [
            json.dumps(
                {
                    "product": {"attributes": {"instanceType": name}},
                    "terms": {
                        "OnDemand": {"1": {"priceDimensions": {"1": {"pricePerUnit": {"USD": f"{price:.10f}"}}}}}
                    },
                }
            )
            for name, price in chosen.items()
        ],
    }


def spot_history(zones: Sequence[str], timestamp: str) -> Iterator[str]:
    """Answer of EC2's DescribeSpotPriceHistory, as pieces of XML."""
    yield '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>'
    for name, price in spot().items():
        for zone in zones:
            yield (
                f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
                f"<spotPrice>{price:.6f}</spotPrice><timestamp>{timestamp}</timestamp>"
                f"<availabilityZone>{zone}</availabilityZone></item>"
            )
    yield "</spotPriceHistorySet><nextToken/></DescribeSpotPriceHistoryResponse>"
