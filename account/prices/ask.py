"""What AWS answers about prices, as plain figures: Pricing's GetProducts and EC2's DescribeSpotPriceHistory.

Filters for instances are those of Karpenter's own price provider (pkg/providers/pricing/pricing.go, v1.15.0); usage
types of services are those of AWS' bills (AWS' user guides "Understanding your bill" of EBS and Elastic Load Balancing;
Infracost's resources in github.com/infracost/infracost). Shapes of answers: botocore's models and the Price List's
documented form (Billing user guide, "Reading the price list file for a service"). None was seen live here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from account.session import Account, Answer, Found, Unseen
from gpu.pool import MIB_PER_GIB
from gpu.price_file import SpotRange

#: Where Pricing answers for all regions in USD.
_PRICING_REGION: Final = "us-east-1"
#: What a bill puts before the usage type of a region: `EUC1-`, `EU-`, of KMS `eu-central-1-`; nothing in us-east-1.
_OF_REGION: Final = r"(?:(?!TS-)[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"
_LINUX: Final = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """How a unit price is found. services: Pricing's codes, asked until one knows the usage type."""

    field: str
    services: tuple[str, ...]
    usage: str
    family: str | None = None


SERVICE_QUERIES: Final = (
    ServiceQuery("eks_control_plane_per_hour", ("AmazonEKS",), "AmazonEKS-Hours:perCluster"),
    ServiceQuery("nat_gateway_per_hour", ("AmazonEC2", "AmazonVPC"), "NatGateway-Hours"),
    ServiceQuery("nat_gateway_per_gb", ("AmazonEC2", "AmazonVPC"), "NatGateway-Bytes"),
    ServiceQuery("between_zones_per_gb", ("AWSDataTransfer", "AmazonEC2"), "DataTransfer-Regional-Bytes"),
    ServiceQuery("public_ipv4_per_hour", ("AmazonVPC",), "PublicIPv4:InUseAddress"),
    ServiceQuery("kms_key_per_month", ("awskms",), "KMS-Keys"),
    ServiceQuery("interface_endpoint_per_hour_and_zone", ("AmazonVPC",), "VpcEndpoint-Hours"),
    ServiceQuery("gp3_per_gb_month", ("AmazonEC2",), "EBS:VolumeUsage.gp3"),
    ServiceQuery("gp3_per_iops_month", ("AmazonEC2",), "EBS:VolumeP-IOPS.gp3"),
    ServiceQuery("gp3_per_mibps_month", ("AmazonEC2",), "EBS:VolumeP-Throughput.gp3"),
    ServiceQuery("load_balancer_per_hour", ("AWSELB", "AmazonEC2"), "LoadBalancerUsage", "Load Balancer-Network"),
    ServiceQuery("classic_load_balancer_per_hour", ("AWSELB", "AmazonEC2"), "LoadBalancerUsage", "Load Balancer"),
    ServiceQuery("snapshot_per_gb_month", ("AmazonEC2",), "EBS:SnapshotUsage"),
    ServiceQuery("ecr_per_gb_month", ("AmazonECR",), "TimedStorage-ByteHrs"),
    ServiceQuery("dynamodb_recovery_per_gb_month", ("AmazonDynamoDB",), "TimedPITRStorage-ByteHrs"),
    ServiceQuery("s3_storage_per_gb_month", ("AmazonS3",), "TimedStorage-ByteHrs"),
    ServiceQuery("s3_write_per_request", ("AmazonS3",), "Requests-Tier1"),
    ServiceQuery("log_ingestion_per_gb", ("AmazonCloudWatch",), "DataProcessing-Bytes"),
    ServiceQuery("log_storage_per_gb_month", ("AmazonCloudWatch",), "TimedStorage-ByteHrs"),
    ServiceQuery("alarm_per_metric_month", ("AmazonCloudWatch",), "CW:AlarmMonitorUsage"),
    ServiceQuery("custom_metric_per_month", ("AmazonCloudWatch",), "CW:MetricMonitorUsage"),
    ServiceQuery("dashboard_per_month", ("AmazonCloudWatch",), "DashboardsUsageHour"),
)


class BadAnswerError(Exception):
    """AWS answered, but not in a form that can be believed. The message says why."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a product costs: every price above 0 of its first tier, in USD by unit."""

    attributes: Mapping[str, str]
    usd: tuple[tuple[float, str], ...]


def on_demand(account: Account, *, metal: bool) -> Answer[dict[str, float]]:
    """Prices of nodes in the account's region, Linux, USD per hour by type. Raises BadAnswerError.

    Types for which several prices are found are left out: which of them counts, nobody could say.
    """
    kinds = {"tenancy": "Dedicated", "productFamily": "Compute Instance (bare metal)"}
    kinds = kinds if metal else {"tenancy": "Shared", "productFamily": "Compute Instance"}
    filters = {
        "regionCode": account.region,
        "preInstalledSw": "NA",
        "operatingSystem": "Linux",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        **kinds,
    }
    match _products(account, "AmazonEC2", filters):
        case Found(quotes):
            found: dict[str, set[float]] = {}
            for quote in quotes:
                if name := quote.attributes.get("instanceType"):
                    found.setdefault(name, set()).update(usd for usd, _ in quote.usd)
            return Found({name: usd.pop() for name, usd in found.items() if len(usd) == 1})
        case other:
            return other


def unit_price(account: Account, query: ServiceQuery) -> Answer[float]:
    """A unit price in the account's region in USD. Raises BadAnswerError where there is none, or more than one."""
    whole = re.compile(_OF_REGION + re.escape(query.usage))
    for service in query.services:
        region = "fromRegionCode" if service == "AWSDataTransfer" else "regionCode"
        filters = {region: account.region} | ({"productFamily": query.family} if query.family else {})
        answer = _products(account, service, filters, usage=query.usage)
        if not isinstance(answer, Found):
            # A service that has no such attribute refuses the question; another may still know the price.
            refused = isinstance(answer, Unseen) and answer.cause == "refused"
            if refused and service != query.services[-1]:
                continue
            return answer
        fitting = [quote for quote in answer.value if whole.fullmatch(quote.attributes.get("usagetype", ""))]
        if usd := {_per_unit(*each) for quote in fitting for each in quote.usd}:
            if len(usd) > 1:
                raise BadAnswerError(f"has several prices: {', '.join(f'{each:g}' for each in sorted(usd))}")
            return Found(usd.pop())
    raise BadAnswerError(f"is not in AWS' price list as {query.usage}")


def _per_unit(usd: float, unit: str) -> float:
    """Throughput is listed by GiB/s, and asked for by MiB/s."""
    return usd / MIB_PER_GIB if unit.lower().startswith("gibps") else usd


def _products(
    account: Account, service: str, filters: Mapping[str, str], usage: str | None = None
) -> Answer[list[Quote]]:
    asked = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
    asked += [{"Type": "CONTAINS", "Field": "usagetype", "Value": usage}] if usage else []
    answer = account.collect(
        "pricing", "get_products", "PriceList[]", region=_PRICING_REGION, ServiceCode=service, Filters=asked
    )
    return Found([_quote(text) for text in answer.value]) if isinstance(answer, Found) else answer


def _quote(text: str) -> Quote:
    try:
        product = json.loads(text)
        terms = product["terms"].get("OnDemand", {}).values()
        dimensions = [each for term in terms for each in term["priceDimensions"].values()]
        first = [each for each in dimensions if float(each.get("beginRange", 0) or 0) == 0]
        usd = [(_usd(each["pricePerUnit"]), str(each.get("unit", ""))) for each in first or dimensions]
        return Quote(product["product"]["attributes"], tuple((amount, unit) for amount, unit in usd if amount > 0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswerError(f"reads otherwise than AWS documents it: {type(error).__name__}: {error}") from error


def _usd(amounts: Mapping[str, str]) -> float:
    if "USD" not in amounts:
        raise BadAnswerError(f"is in {', '.join(amounts) or 'no currency'}, not in USD")
    return float(amounts["USD"])


# --- Spot -------------------------------------------------------------------------------------------------------------


def spot(account: Account, types: Sequence[str], days: int, now: datetime) -> Answer[dict[str, dict[str, SpotRange]]]:
    """What was asked on Spot in the account's region in so many days, by type and zone id. Raises BadAnswerError."""
    start = now - timedelta(days=days)
    answer = account.collect(
        "ec2",
        "describe_spot_price_history",
        "SpotPriceHistory[]",
        InstanceTypes=list(types),
        ProductDescriptions=["Linux/UNIX"],
        StartTime=start,
        EndTime=now,
    )
    return Found(_ranges(answer.value, start, now)) if isinstance(answer, Found) else answer


def _ranges(rows: Iterable[Mapping[str, Any]], start: datetime, end: datetime) -> dict[str, dict[str, SpotRange]]:
    changes: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    try:
        for row in rows:
            if row["ProductDescription"] in _LINUX:
                key = row["InstanceType"], row.get("AvailabilityZoneId") or row["AvailabilityZone"]
                changes.setdefault(key, []).append((max(start, row["Timestamp"]), float(row["SpotPrice"])))
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswerError(f"reads otherwise than AWS documents it: {type(error).__name__}: {error}") from error
    found: dict[str, dict[str, SpotRange]] = {}
    for (name, zone), seen in sorted(changes.items()):
        found.setdefault(name, {})[zone] = by_time(sorted(seen), end)
    return found


def by_time(changes: Sequence[tuple[datetime, float]], end: datetime) -> SpotRange:
    """The least, the mean and the most: a price holds until the next change. changes: by time, at least one."""
    until = [*(when for when, _ in changes[1:]), end]
    held = [(usd, max(0.0, (stop - when).total_seconds())) for (when, usd), stop in zip(changes, until, strict=True)]
    prices = [usd for usd, seconds in held if seconds] or [usd for usd, _ in held[-1:]]
    seconds = sum(each for _, each in held)
    mean = sum(usd * each for usd, each in held) / seconds if seconds else prices[0]
    least, most = min(prices), max(prices)
    return SpotRange(round(least, 6), round(min(max(mean, least), most), 6), round(most, 6))


def seen(answer: Answer[Any]) -> str:
    """Why there is no answer, in words for after a colon."""
    return str(answer) if isinstance(answer, Unseen) else "there is no such thing"
