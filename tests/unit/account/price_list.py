"""Answers of AWS about prices, in the shapes that AWS documents. None of them was recorded from a live account.

A product is a JSON text as in the Price List's "service price list file" (Billing user guide); the answers around it
are held against botocore's models by `tests.unit.account.world`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from account.prices.ask import SERVICE_QUERIES
from gpu.catalog import INSTANCE_TYPES
from gpu.prices import of as prices_of
from tests.unit.account.world import Answer, Parameters, World

REGION = "eu-central-1"
OFFERED = [t for t in INSTANCE_TYPES.values() if REGION in t.zone_ids]
_VIRGINIA = prices_of("us-east-1").on_demand
#: Of Frankfurt, on demand, USD per hour: some as they are, the others a quarter above us-east-1.
NODES = {t.name: round(1.25 * _VIRGINIA.get(t.name, 3.0 * t.gpu_count), 4) for t in OFFERED} | {
    "g6.xlarge": 1.006,
    "g5.xlarge": 1.258,
    "m7g.large": 0.0978,
}
UNITS: Mapping[str, float] = {
    "AmazonEKS-Hours:perCluster": 0.10,
    "NatGateway-Hours": 0.052,
    "NatGateway-Bytes": 0.052,
    "DataTransfer-Regional-Bytes": 0.01,
    "PublicIPv4:InUseAddress": 0.005,
    "KMS-Keys": 1.0,
    "VpcEndpoint-Hours": 0.012,
    "EBS:VolumeUsage.gp3": 0.0952,
    "EBS:VolumeP-IOPS.gp3": 0.006,
    "EBS:VolumeP-Throughput.gp3": 48.7424,  # by GiB/s: 0.0476 by MiB/s
    "LoadBalancerUsage": 0.027,
    "EBS:SnapshotUsage": 0.054,
    "TimedPITRStorage-ByteHrs": 0.2448,
    "DataProcessing-Bytes": 0.63,
    "TimedStorage-ByteHrs": 0.0324,
    "CW:AlarmMonitorUsage": 0.10,
    "CW:MetricMonitorUsage": 0.30,
    "DashboardsUsageHour": 3.0,
}


def product(attributes: Mapping[str, str], *usd: float, currency: str = "USD", unit: str = "Hrs") -> str:
    """A product with its prices, the first of them from 0 on and the others above."""
    dimensions = {
        f"SKU.JRTCKXETXF.{tier}": {
            "unit": unit,
            "beginRange": str(tier * 1000),
            "endRange": "Inf",
            "description": "",
            "appliesTo": [],
            "rateCode": f"SKU.JRTCKXETXF.{tier}",
            "pricePerUnit": {currency: f"{amount:.10f}"},
        }
        for tier, amount in enumerate(usd)
    }
    term = {"priceDimensions": dimensions, "sku": "SKU", "offerTermCode": "JRTCKXETXF", "termAttributes": {}}
    return json.dumps(
        {
            "product": {"productFamily": "", "attributes": dict(attributes), "sku": "SKU"},
            "serviceCode": attributes.get("servicecode", ""),
            "terms": {"OnDemand": {"SKU.JRTCKXETXF": term}},
            "version": "20261128",
            "publicationDate": "2026-11-28T00:00:00Z",
        }
    )


def prices(nodes: Mapping[str, float] = NODES, units: Mapping[str, float] = UNITS, **how: Any) -> Answer:
    """GetProducts of a region with these prices."""

    def answer(asked: Parameters) -> dict[str, Any]:
        fields = {each["Field"]: each["Value"] for each in asked["Filters"]}
        if "operatingSystem" in fields:
            metal = "metal" in fields["productFamily"]
            found = [product({"instanceType": name}, usd, **how) for name, usd in nodes.items() if not metal]
        else:
            usage = fields["usagetype"]
            unit = "GiBps-mo" if "Throughput" in usage else "Hrs"
            found = [product({"usagetype": f"EUC1-{usage}"}, units[usage], unit=unit)] if usage in units else []
            # What only contains the usage type is another product.
            found += [product({"usagetype": f"EUC1-Regional{usage}"}, 77.0)]
        return {"FormatVersion": "aws_v1", "PriceList": found}

    return answer


def spot(rows: Sequence[tuple[str, str, datetime, float]]) -> Answer:
    """DescribeSpotPriceHistory. rows: type, zone id, time, price."""

    def answer(_asked: Parameters) -> dict[str, Any]:
        history = [
            {
                "InstanceType": name,
                "AvailabilityZone": "eu-central-1a",
                "AvailabilityZoneId": zone,
                "Timestamp": when,
                "SpotPrice": f"{usd:.6f}",
                "ProductDescription": "Linux/UNIX",
            }
            for name, zone, when, usd in rows
        ]
        return {"SpotPriceHistory": history, "NextToken": ""}

    return answer


def plant(world: World, nodes: Answer, history: Answer) -> None:
    """A world that answers about prices."""
    world.region = REGION
    world.planted |= {"pricing:GetProducts": nodes, "ec2:DescribeSpotPriceHistory": history}


QUESTIONS = len(SERVICE_QUERIES) + 3
