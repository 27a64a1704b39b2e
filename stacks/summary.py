"""What a stack comes to in slots and dollars: the figures that stack outputs, the plan and the twin share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.endpoints import INTERFACE_SERVICES
from components.system_nodes import SystemNodeCapacity
from gpu.catalog import InstanceType
from gpu.estimate import CostItem, FloorInputs, SlotPrice, cheapest_node, dearest_node, idle_floor, total_usd_per_month
from gpu.prices import HOURS_PER_MONTH
from gpu.sharing import SharingProfile
from stacks.pools import network_zones, pool_max_slots, pool_slot_memory_mib, pool_types
from stacks.schema import GpuPool, StackConfig
from stacks.services import Service, services, warm_hours_per_month

#: One for data at rest that services write, one for the volumes of nodes (`components.encryption`).
KMS_KEYS = 2


@dataclass(frozen=True)
class PoolSummary:
    """A GPU pool's slots and prices. Memory in MiB; prices in USD per hour for the type that the first pod buys."""

    pool: GpuPool
    profile: SharingProfile
    types: Sequence[InstanceType]
    resource: str
    slots_per_gpu: int
    slot_memory_mib: int
    max_slots: int
    price: SlotPrice | None
    dearest: SlotPrice | None
    """The dearest type that the pool may buy instead."""

    @property
    def usd_per_slot_hour(self) -> float | None:
        """Price of a slot as the pool buys it; an estimate for Spot, None where no price is known."""
        if self.price is None:
            return None
        return self.price.usd_per_hour(self.pool.capacity_type) / self.price.slots

    def as_output(self) -> dict[str, Any]:
        """The pool as a stack output, in plain values."""
        usd = self.usd_per_slot_hour
        return {
            "name": self.pool.name,
            "sharing": self.profile.strategy,
            "capacityType": self.pool.capacity_type,
            "resource": self.resource,
            "slotsPerGpu": self.slots_per_gpu,
            "maxSlots": self.max_slots,
            "slotMemoryMib": self.slot_memory_mib,
            "cheapestType": self.price.instance_type if self.price else None,
            "usdPerSlotHour": round(usd, 4) if usd is not None else None,
            "usdPerSlotHourIsEstimate": self.pool.capacity_type == "spot",
        }


def pool_summaries(config: StackConfig) -> Sequence[PoolSummary]:
    """Every GPU pool of the stack, in the order of the stack file."""
    return [_summary(pool, config.region) for pool in config.pools]


def _summary(pool: GpuPool, region: str) -> PoolSummary:
    profile = pool.sharing.profile()
    types = pool_types(pool, region)
    return PoolSummary(
        pool=pool,
        profile=profile,
        types=types,
        resource=profile.resource_name(pool.ami),
        slots_per_gpu=min(profile.slots_per_gpu(t.gpu) for t in types),
        slot_memory_mib=pool_slot_memory_mib(profile, types),
        max_slots=pool_max_slots(profile, types, pool.max_gpus),
        price=cheapest_node(types, profile, pool.capacity_type),
        dearest=dearest_node(types, profile, pool.capacity_type),
    )


def stack_services(config: StackConfig) -> list[Service]:
    """The Knative services of a stack, with the slots of their pools."""
    slots = {
        pool.name: pool_max_slots(pool.sharing.profile(), pool_types(pool, config.region), pool.max_gpus)
        for pool in config.pools
    }
    return services(config, slots)


def zones(config: StackConfig) -> tuple[str, ...]:
    """Zone ids of the network: those of the stack file, else those that offer the pools' types."""
    types = [t for pool in config.pools for t in pool_types(pool, config.region)]
    return config.network.zone_ids or network_zones(config.region, types)


def floor_items(config: StackConfig) -> Sequence[CostItem]:
    """What the stack costs in a month when nothing runs on it, item by item."""
    zone_count = len(zones(config))
    nodes = config.cluster.system_nodes
    items = idle_floor(
        FloorInputs(
            system_node_type=nodes.instance_types[0],
            system_nodes=nodes.desired,
            system_volume_gib=SystemNodeCapacity().volume_gib,
            nat_gateways=zone_count if config.network.nat == "per-zone" else 1,
            kms_keys=KMS_KEYS,
            interface_endpoints=len(INTERFACE_SERVICES) if config.network.interface_endpoints else 0,
            zones=zone_count,
            load_balancers=1 if config.serving.door else 0,
        )
    )
    return [*items, *standing_items(config)]


def standing_items(config: StackConfig) -> list[CostItem]:
    """What GPU nodes cost that never go: for models with minScale, and for slots that are kept warm."""
    always: dict[str, int] = {}
    for service in stack_services(config):
        if service.first.min_scale:
            always[service.first.pool] = always.get(service.first.pool, 0) + service.first.min_scale
    items: list[CostItem] = []
    for summary in pool_summaries(config):
        pool, price = summary.pool, summary.price
        slots, hours = always.get(pool.name, 0), warm_hours_per_month(pool)
        warm = pool.warm.slots if pool.warm else 0
        if hours == HOURS_PER_MONTH:
            slots, warm = slots + warm, 0
        per_node = price.slots if price else summary.slots_per_gpu
        nodes, more = -(-slots // per_node), -(-(slots + warm) // per_node)
        if slots:
            items.append(_standing(f"{pool.name}, always", slots, nodes, HOURS_PER_MONTH, summary))
        if more > nodes:
            items.append(_standing(f"{pool.name}, {hours:.0f} h", warm, more - nodes, hours, summary))
    return items


def _standing(when: str, slots: int, nodes: int, hours: float, summary: PoolSummary) -> CostItem:
    if summary.price is None:
        return CostItem("Warm GPU nodes", f"{when}: {slots} slots, price not known", None)
    bought = "Spot estimate" if summary.pool.capacity_type == "spot" else "on-demand"
    detail = f"{when}: {nodes} x {summary.price.instance_type} for {slots} slot{'' if slots == 1 else 's'}, {bought}"
    return CostItem("Warm GPU nodes", detail, nodes * summary.price.usd_per_hour(summary.pool.capacity_type) * hours)


def idle_floor_usd(config: StackConfig) -> float | None:
    """Sum of the idle floor in USD per month; None where a price is not known."""
    return total_usd_per_month(floor_items(config))
