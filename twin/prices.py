"""Prices as AWS's APIs give them, from the project's own price data: what the plan estimates is what Karpenter sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gpu import prices
from gpu.prices import RegionPrices

#: Karpenter wants at least one bare-metal price; nobody buys this one.
_METAL = {"m5.metal": 4.608}
#: Whose prices are played where a region's own are not known. Karpenter buys nothing without a price, and starts with
#: this region's itself until AWS tells it others (pkg/providers/pricing/pricing.go).
_STAND_IN = "us-east-1"
#: What the twin's dollars are, and what of the plan's bill they leave out.
NODES_ALONE = (
    "Dollars are the plan's, of nodes alone: volumes, the rest of the floor (control plane, NAT gateways, keys, "
    "endpoints), traffic and logs stand in the bill of slices plan."
)


def played(region: str) -> RegionPrices:
    """The prices that the twin's AWS has in a region: its own where they are known, else another region's.

    `region` of what comes back says whose they are.
    """
    known = prices.of(region)
    return known if known.on_demand else prices.of(_STAND_IN)


def of_another_region(region: str) -> str:
    """What must be said where another region's prices are played; empty where they are its own, or it is not known."""
    whose = played(region).region
    return "" if whose == region or not region else f"No prices of {region} are known: the twin plays those of {whose}."


def products(known: RegionPrices, filters: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Answer of Pricing's GetProducts, on one page."""
    wanted = {item.get("Field"): item.get("Value") for item in filters}
    chosen = _METAL if "metal" in str(wanted.get("productFamily")) else known.on_demand
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


def spot_history(
    known: RegionPrices, zones: Sequence[str], timestamp: str, gone: Callable[[str, str], bool] = lambda *_: False
) -> Iterator[str]:
    """Answer of EC2's DescribeSpotPriceHistory, as pieces of XML. gone: whether a type in a zone has no price."""
    yield '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>'
    for name in known.on_demand:
        price = known.node_usd_per_hour(name, "spot")
        for zone in (zone for zone in zones if not gone(name, zone)):
            yield (
                f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
                f"<spotPrice>{price:.6f}</spotPrice><timestamp>{timestamp}</timestamp>"
                f"<availabilityZone>{zone}</availabilityZone></item>"
            )
    yield "</spotPriceHistorySet><nextToken/></DescribeSpotPriceHistoryResponse>"
