"""Estimates: what a pool's slots cost, what the platform costs when idle, what dedicated GPUs would cost.

All figures are USD, at the prices of the region that is asked for (`gpu.prices`). Spot figures are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.models import ModelMemory
from gpu.prices import HOURS_PER_MONTH, CapacityType, RegionPrices
from gpu.sharing import SharingProfile
from gpu.standing import (
    MONITORING_ALARMS,
    MONITORING_COUNTERS,
    OBSERVATIONS_PER_CLUSTER,
    OBSERVATIONS_PER_POD,
    PODS_PER_SYSTEM_NODE,
    MonitoringBackend,
)
from gpu.why import Why, given, plus, times

#: A month, as every sum of one has it.
MONTH = given("hours of a month", HOURS_PER_MONTH, "h", "AWS' own convention")
#: What a price is called in tables and costs.
BOUGHT: Mapping[CapacityType, str] = MappingProxyType({"spot": "Spot estimate", "on-demand": "on-demand"})


@dataclass(frozen=True, slots=True)
class SlotPrice:
    """Price of one instance type and of its slots, in USD per hour. Spot figures are estimates."""

    instance_type: str
    slots: int
    on_demand_usd_per_hour: float
    spot_usd_per_hour: float
    spot_source: str
    spot_seen: bool
    """Whether anybody saw this family on Spot; EC2's list of offerings does not tell it of any type."""

    @property
    def on_demand_usd_per_slot_hour(self) -> float:
        """On-demand price of one slot when all slots of the node are taken."""
        return self.on_demand_usd_per_hour / self.slots

    @property
    def spot_usd_per_slot_hour(self) -> float:
        """Estimated Spot price of one slot when all slots of the node are taken."""
        return self.spot_usd_per_hour / self.slots

    def usd_per_hour(self, capacity_type: CapacityType) -> float:
        """Price of the node as the pool buys it."""
        match capacity_type:
            case "spot":
                return self.spot_usd_per_hour
            case "on-demand":
                return self.on_demand_usd_per_hour
            case _:
                assert_never(capacity_type)


def slot_price(instance_type: InstanceType, profile: SharingProfile, prices: RegionPrices) -> SlotPrice | None:
    """Price of a type's slots in a region; None when no price of the type is known there."""
    on_demand, spot = prices.on_demand.get(instance_type.name), prices.spot(instance_type.name)
    if on_demand is None or spot is None:
        return None
    return SlotPrice(
        instance_type=instance_type.name,
        slots=instance_type.gpu_count * profile.slots_per_gpu(instance_type.gpu),
        on_demand_usd_per_hour=on_demand,
        spot_usd_per_hour=spot.expected,
        spot_source=spot.source,
        spot_seen=spot.seen,
    )


def dedicated_gpu(memory: ModelMemory, capacity_type: CapacityType, prices: RegionPrices) -> InstanceType | None:
    """Cheapest x86 type with a single GPU that holds a model alone; None when no single GPU with a known price does.

    The yardstick that sharing is compared with: what the model would cost on a GPU of its own, bought as its pool buys.
    Spot against on-demand would praise Spot, not sharing.
    """
    return cheapest_gpu(memory.total_mib, capacity_type, prices)


def cheapest_gpu(memory_mib: int, capacity_type: CapacityType, prices: RegionPrices) -> InstanceType | None:
    """Cheapest x86 type with a single GPU that has so much memory; None where none with a known price does."""
    fitting = [
        (usd, t.name)
        for t in INSTANCE_TYPES.values()
        if t.gpu_count == 1
        and t.arch == "amd64"
        and (usd := prices.node_usd_per_hour(t.name, capacity_type)) is not None
        and t.gpu.usable_mib >= memory_mib
    ]
    return INSTANCE_TYPES[min(fitting)[1]] if fitting else None


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of the idle floor. why: its sum, in USD per month of 730 hours; None where a price is not known.

    range: the least and the most that it may come to; None where that is known.
    """

    name: str
    detail: str
    why: Why
    range: tuple[Why, Why] | None = None

    @property
    def usd_per_month(self) -> float | None:
        """The sum."""
        return self.why.value


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept whether anybody works or not: conversations on a volume or in a table (GiB), images in ECR (GB)."""

    volume_gib: int = 0
    table_gib: int = 0
    images_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class FloorInputs:
    """What stands there when no workload runs. Sizes in GiB."""

    system_node_types: tuple[str, ...]
    """At least one. The first is what is expected: on-demand EKS takes them in their order, on Spot any of them by room
    and price (EKS user guide, "Managed node groups", capacity types)."""
    system_nodes: int
    system_volume_gib: int
    nat_gateways: int
    kms_keys: int
    interface_endpoints: int
    zones: int
    system_capacity_type: CapacityType = "on-demand"
    public_addresses: int = 0
    """Of system nodes; a NAT gateway's own is counted with it."""
    load_balancers: int = 0
    kept: Kept = Kept()
    monitoring: MonitoringBackend = "off"
    figures_gib: int = 0
    """Of Prometheus' volume."""


def idle_floor(inputs: FloorInputs, prices: RegionPrices) -> Sequence[CostItem]:
    """Cost of the platform with no GPU and no CPU pool node, item by item; traffic and log volume come on top."""
    count, month, price = inputs.system_nodes, MONTH, prices.services.why
    first, capacity_type = inputs.system_node_types[0], inputs.system_capacity_type
    node, spot = prices.why_node(first, capacity_type), prices.spot_range(inputs.system_node_types)
    gp3, address = price("gp3_per_gb_month"), price("public_ipv4_per_hour")
    nodes, volume = given("system nodes", count), given("volume of a system node", inputs.system_volume_gib, "GiB")
    ends = None
    if spot and capacity_type == "spot":
        ends = times(nodes, spot[0], month), times(nodes, spot[1], month)
    detail = f"{count} x {first}, {BOUGHT[capacity_type]}"
    items = [
        CostItem("EKS control plane", "standard support", times(price("eks_control_plane_per_hour"), month)),
        CostItem("System nodes", detail, times(nodes, node, month), ends),
        CostItem("System volumes", f"{count} x {inputs.system_volume_gib} GiB gp3", times(nodes, volume, gp3)),
    ]
    if inputs.nat_gateways:
        nat = times(given("NAT gateways", inputs.nat_gateways), plus(price("nat_gateway_per_hour"), address), month)
        items.append(CostItem("NAT gateway", f"{inputs.nat_gateways} with a public IPv4 address", nat))
    if inputs.public_addresses:
        why = times(given("public addresses", inputs.public_addresses), address, month)
        items.append(CostItem("Public addresses", f"{inputs.public_addresses} of system nodes", why))
    keys = times(given("keys", inputs.kms_keys), price("kms_key_per_month"))
    items.append(CostItem("KMS keys", f"{inputs.kms_keys}", keys))
    if inputs.interface_endpoints:
        endpoints, zones = given("interface endpoints", inputs.interface_endpoints), given("zones", inputs.zones)
        why = times(endpoints, zones, price("interface_endpoint_per_hour_and_zone"), month)
        items.append(CostItem("Interface endpoints", f"{inputs.interface_endpoints} in {inputs.zones} zones", why))
    if inputs.load_balancers:
        why = times(given("load balancers", inputs.load_balancers), price("load_balancer_per_hour"), month)
        items.append(CostItem("Door", f"{inputs.load_balancers} internal network load balancer", why))
    items += kept_items(inputs.kept, prices)
    match inputs.monitoring:
        case "off":
            pass
        case "cloudwatch":
            items.append(_monitoring(inputs, prices))
        case "prometheus":
            items.append(_prometheus(inputs.figures_gib, prices))
        case _:
            assert_never(inputs.monitoring)
    return items


def kept_items(kept: Kept, prices: RegionPrices) -> Sequence[CostItem]:
    """What is kept, item by item: nothing where there is nothing.

    A table is paid by request, and its first 25 GB are free (DynamoDB's pricing page): what it costs while it stands is
    its point-in-time recovery, reckoned for as many GiB as a volume would have.
    """
    items, price = [], prices.services.why
    if kept.volume_gib:
        why = times(given("conversations", kept.volume_gib, "GiB"), price("gp3_per_gb_month"))
        items.append(CostItem("Conversations", f"{kept.volume_gib} GiB, reckoned as gp3", why))
    if kept.table_gib:
        why = times(given("conversations", kept.table_gib, "GiB"), price("dynamodb_recovery_per_gb_month"))
        items.append(CostItem("Conversations", f"recovery of {kept.table_gib} GiB in a table", why))
    if kept.images_gb:
        why = times(given("images", kept.images_gb, "GB"), price("ecr_per_gb_month"))
        items.append(CostItem("Images in ECR", f"{kept.images_gb:g} GB of the models' server", why))
    return items


def _monitoring(inputs: FloorInputs, prices: RegionPrices) -> CostItem:
    """Container Insights of the cluster and its system nodes, alarms, counters, one dashboard."""
    price, pods = prices.services.why, inputs.system_nodes * PODS_PER_SYSTEM_NODE
    a_minute = plus(
        given("observations a minute of a cluster", OBSERVATIONS_PER_CLUSTER),
        times(given("pods of system nodes", pods), given("observations a minute of a pod", OBSERVATIONS_PER_POD)),
    )
    millions = times(a_minute, given("million minutes in an hour", 60 / 1e6), MONTH)
    why = plus(
        times(millions, price("insights_per_million_observations")),
        times(given("alarms", MONITORING_ALARMS), price("alarm_per_metric_month")),
        times(given("counters of errors", MONITORING_COUNTERS), price("custom_metric_per_month")),
        price("dashboard_per_month"),
    )
    return CostItem("Monitoring", f"{millions.value:.0f} million observations of {pods} pods, alarms, dashboard", why)


def _prometheus(figures_gib: int, prices: RegionPrices) -> CostItem:
    """Prometheus runs on the system nodes, which are there anyway; its volume is not."""
    volume = times(given("Prometheus' volume", figures_gib, "GiB"), prices.services.why("gp3_per_gb_month"))
    kept = f"{figures_gib} GiB gp3" if figures_gib else "figures on their disks"
    return CostItem("Monitoring", f"Prometheus and Grafana on the system nodes, {kept}", volume)
