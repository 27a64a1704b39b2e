"""Estimates: what a pool's slots cost, what the platform costs when idle, what dedicated GPUs would cost.

All figures are USD at us-east-1 prices. Spot figures are estimates (`gpu.prices.spot_discount`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, assert_never

from gpu import prices
from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.models import ModelMemory
from gpu.sharing import SharingProfile

CapacityType = Literal["spot", "on-demand"]
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


def slot_price(instance_type: InstanceType, profile: SharingProfile) -> SlotPrice | None:
    """Price of a type's slots; None when the price source does not have the type."""
    price = instance_type.on_demand_usd_per_hour
    if price is None:
        return None
    discount = prices.spot_discount(instance_type.family)
    return SlotPrice(
        instance_type=instance_type.name,
        slots=instance_type.gpu_count * profile.slots_per_gpu(instance_type.gpu),
        on_demand_usd_per_hour=price,
        spot_usd_per_hour=price * (1 - discount.fraction),
        spot_source=discount.source,
        spot_seen=discount.sampled,
    )


def cheapest_node(
    types: Iterable[InstanceType], profile: SharingProfile, capacity_type: CapacityType
) -> SlotPrice | None:
    """The type with the cheapest node, which is what the first pending pod buys; None where no price is known."""
    priced = [p for p in (slot_price(t, profile) for t in types) if p is not None]
    return min(priced, key=lambda p: (p.usd_per_hour(capacity_type), p.instance_type), default=None)


def node_usd_per_hour(instance_type: InstanceType, capacity_type: CapacityType) -> float | None:
    """Price of a node of a type, an estimate for Spot; None when the price source does not have the type."""
    price = instance_type.on_demand_usd_per_hour
    if price is None:
        return None
    match capacity_type:
        case "spot":
            return price * (1 - prices.spot_discount(instance_type.family).fraction)
        case "on-demand":
            return price
        case _:
            assert_never(capacity_type)


def dearest_node(
    types: Iterable[InstanceType], profile: SharingProfile, capacity_type: CapacityType
) -> SlotPrice | None:
    """The type with the dearest node, which a pool may buy when the others are short; None where no price is known."""
    priced = [p for p in (slot_price(t, profile) for t in types) if p is not None]
    return max(priced, key=lambda p: (p.usd_per_hour(capacity_type), p.instance_type), default=None)


def dedicated_gpu(memory: ModelMemory, capacity_type: CapacityType) -> InstanceType | None:
    """Cheapest x86 type with a single GPU that holds a model alone; None when no single GPU does.

    The yardstick that sharing is compared with: what the model would cost on a GPU of its own, bought as its pool buys.
    Spot against on-demand would praise Spot, not sharing.
    """
    fitting = [
        t
        for t in INSTANCE_TYPES.values()
        if t.gpu_count == 1
        and t.arch == "amd64"
        and t.on_demand_usd_per_hour is not None
        and t.gpu.usable_mib >= memory.total_mib
    ]
    return min(fitting, key=lambda t: (node_usd_per_hour(t, capacity_type) or 0.0, t.name), default=None)


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of the idle floor, in USD per month of 730 hours; None where a price is not known."""

    name: str
    detail: str
    usd_per_month: float | None


def total_usd_per_month(items: Iterable[CostItem]) -> float | None:
    """The sum; None where a price is not known, since a sum would mislead."""
    prices_known = [item.usd_per_month for item in items]
    known = [usd for usd in prices_known if usd is not None]
    return sum(known) if len(known) == len(prices_known) else None


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


def idle_floor(inputs: FloorInputs) -> Sequence[CostItem]:
    """Cost of the platform with no GPU and no CPU pool node, item by item; traffic and log volume come on top.

    Raises KeyError when the price of the system node type is not known.
    """
    month = prices.HOURS_PER_MONTH
    node = prices.CPU_ON_DEMAND_USD_PER_HOUR[inputs.system_node_type]
    volume = inputs.system_volume_gib * prices.GP3_USD_PER_GB_MONTH
    nat = prices.NAT_GATEWAY_USD_PER_HOUR + prices.PUBLIC_IPV4_USD_PER_HOUR
    count = inputs.system_nodes
    items = [
        CostItem("EKS control plane", "standard support", prices.EKS_CONTROL_PLANE_USD_PER_HOUR * month),
        CostItem("System nodes", f"{count} x {inputs.system_node_type}, on-demand", count * node * month),
        CostItem("System volumes", f"{count} x {inputs.system_volume_gib} GiB gp3", count * volume),
        CostItem("NAT gateway", f"{inputs.nat_gateways} with a public IPv4 address", inputs.nat_gateways * nat * month),
        CostItem("KMS keys", f"{inputs.kms_keys}", inputs.kms_keys * prices.KMS_KEY_USD_PER_MONTH),
    ]
    if inputs.interface_endpoints:
        hourly = inputs.interface_endpoints * inputs.zones * prices.INTERFACE_ENDPOINT_USD_PER_HOUR_PER_ZONE
        detail = f"{inputs.interface_endpoints} in {inputs.zones} zones"
        items.append(CostItem("Interface endpoints", detail, hourly * month))
    if inputs.load_balancers:
        usd = inputs.load_balancers * prices.NLB_USD_PER_HOUR * month
        items.append(CostItem("Door", f"{inputs.load_balancers} internal network load balancer", usd))
    return items
