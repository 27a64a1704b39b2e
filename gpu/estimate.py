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
from gpu.prices import HOURS_PER_MONTH, CapacityType, RegionPrices, product, total
from gpu.sharing import SharingProfile
from gpu.standing import (
    MONITORING_ALARMS,
    MONITORING_COUNTERS,
    OBSERVATIONS_PER_CLUSTER,
    OBSERVATIONS_PER_POD,
    PODS_PER_SYSTEM_NODE,
)

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
    on_demand = prices.node_usd_per_hour(instance_type.name, "on-demand")
    spot = prices.node_usd_per_hour(instance_type.name, "spot")
    if on_demand is None or spot is None:
        return None
    discount = prices.spot_discount(instance_type.family)
    return SlotPrice(
        instance_type=instance_type.name,
        slots=instance_type.gpu_count * profile.slots_per_gpu(instance_type.gpu),
        on_demand_usd_per_hour=on_demand,
        spot_usd_per_hour=spot,
        spot_source=discount.source,
        spot_seen=discount.sampled,
    )


def dedicated_gpu(memory: ModelMemory, capacity_type: CapacityType, prices: RegionPrices) -> InstanceType | None:
    """Cheapest x86 type with a single GPU that holds a model alone; None when no single GPU with a known price does.

    The yardstick that sharing is compared with: what the model would cost on a GPU of its own, bought as its pool buys.
    Spot against on-demand would praise Spot, not sharing.
    """
    fitting = [
        (usd, t.name)
        for t in INSTANCE_TYPES.values()
        if t.gpu_count == 1
        and t.arch == "amd64"
        and (usd := prices.node_usd_per_hour(t.name, capacity_type)) is not None
        and t.gpu.usable_mib >= memory.total_mib
    ]
    return INSTANCE_TYPES[min(fitting)[1]] if fitting else None


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of the idle floor, in USD per month of 730 hours; None where a price is not known."""

    name: str
    detail: str
    usd_per_month: float | None


@dataclass(frozen=True, slots=True)
class FloorInputs:
    """What stands there when no workload runs. Sizes in GiB."""

    system_node_type: str
    system_nodes: int
    system_volume_gib: int
    nat_gateways: int
    kms_keys: int
    interface_endpoints: int
    zones: int
    load_balancers: int = 0
    conversations_gib: int = 0
    monitored: bool = False


def idle_floor(inputs: FloorInputs, prices: RegionPrices) -> Sequence[CostItem]:
    """Cost of the platform with no GPU and no CPU pool node, item by item; traffic and log volume come on top."""
    month, services, count = HOURS_PER_MONTH, prices.services, inputs.system_nodes
    node = prices.node_usd_per_hour(inputs.system_node_type, "on-demand")
    volume = product(inputs.system_volume_gib, services.gp3_per_gb_month)
    nat = total([services.nat_gateway_per_hour, services.public_ipv4_per_hour])
    gateways, keys = inputs.nat_gateways, inputs.kms_keys
    items = [
        CostItem("EKS control plane", "standard support", product(services.eks_control_plane_per_hour, month)),
        CostItem("System nodes", f"{count} x {inputs.system_node_type}, on-demand", product(count, node, month)),
        CostItem("System volumes", f"{count} x {inputs.system_volume_gib} GiB gp3", product(count, volume)),
        CostItem("NAT gateway", f"{gateways} with a public IPv4 address", product(gateways, nat, month)),
        CostItem("KMS keys", f"{keys}", product(keys, services.kms_key_per_month)),
    ]
    if inputs.interface_endpoints:
        usd = product(inputs.interface_endpoints, inputs.zones, services.interface_endpoint_per_hour_and_zone, month)
        detail = f"{inputs.interface_endpoints} in {inputs.zones} zones"
        items.append(CostItem("Interface endpoints", detail, usd))
    if inputs.load_balancers:
        usd = product(inputs.load_balancers, services.load_balancer_per_hour, month)
        items.append(CostItem("Door", f"{inputs.load_balancers} internal network load balancer", usd))
    if inputs.conversations_gib:
        usd = product(inputs.conversations_gib, services.gp3_per_gb_month)
        items.append(CostItem("Conversations", f"{inputs.conversations_gib} GiB, reckoned as gp3", usd))
    if inputs.monitored:
        items.append(_monitoring(inputs, prices))
    return items


def _monitoring(inputs: FloorInputs, prices: RegionPrices) -> CostItem:
    """Container Insights of the cluster and its system nodes, alarms, counters, one dashboard."""
    services, pods = prices.services, inputs.system_nodes * PODS_PER_SYSTEM_NODE
    a_minute = OBSERVATIONS_PER_CLUSTER + pods * OBSERVATIONS_PER_POD
    millions = a_minute * 60 * HOURS_PER_MONTH / 1e6
    usd = total(
        [
            product(millions, services.insights_per_million_observations),
            product(MONITORING_ALARMS, services.alarm_per_metric_month),
            product(MONITORING_COUNTERS, services.custom_metric_per_month),
            services.dashboard_per_month,
        ]
    )
    return CostItem("Monitoring", f"{millions:.0f} million observations of {pods} pods, alarms, dashboard", usd)
