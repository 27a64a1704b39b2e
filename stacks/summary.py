"""What a stack comes to in slots and dollars: the figures that stack outputs, the plan and the twin share."""

from __future__ import annotations

from collections.abc import Sequence

from components.cluster.system_nodes import SystemNodeCapacity
from components.network.endpoints import INTERFACE_SERVICES
from components.network.network import nat_zones
from components.serving.conversations import GIB as CONVERSATIONS_GIB
from config.pools import network_zones
from config.schema import StackConfig
from config.services import Service, services, warm_hours_per_month
from gpu.estimate import BOUGHT, CostItem, FloorInputs, idle_floor, total_usd_per_month
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH

#: One for data at rest that services write, one for the volumes of nodes (`components.cluster.encryption`).
KMS_KEYS = 2


def stack_services(config: StackConfig) -> list[Service]:
    """The Knative services of a stack, with the slots of their pools."""
    return services(config, {name: pool.max_slots for name, pool in config.gpu_pools.items()})


def zones(config: StackConfig) -> tuple[str, ...]:
    """Zone ids of the network: those of the stack file, else those that offer the pools' types."""
    types = [t for pool in config.gpu_pools.values() for t in pool.types]
    return config.network.zone_ids or network_zones(config.region, types)


def floor_items(config: StackConfig) -> Sequence[CostItem]:
    """What the stack costs in a month when nothing runs on it, item by item."""
    zone_ids = zones(config)
    nodes = config.cluster.system_nodes
    items = idle_floor(
        FloorInputs(
            system_node_type=nodes.instance_types[0],
            system_nodes=nodes.desired,
            system_volume_gib=SystemNodeCapacity().volume_gib,
            nat_gateways=len(nat_zones(config.network.nat, zone_ids)),
            kms_keys=KMS_KEYS,
            interface_endpoints=len(INTERFACE_SERVICES) if config.network.interface_endpoints else 0,
            zones=len(zone_ids),
            load_balancers=1 if config.serving.door else 0,
            conversations_gib=_conversations_gib(config),
        ),
        config.prices,
    )
    return [*items, *standing_items(config)]


def _conversations_gib(config: StackConfig) -> int:
    dialogue = config.dialogue
    return CONVERSATIONS_GIB if config.models and dialogue and dialogue.image and dialogue.storage_class else 0


def standing_items(config: StackConfig) -> list[CostItem]:
    """What GPU nodes cost that never go: for models with minScale, and for slots that are kept warm."""
    always: dict[str, int] = {}
    for service in stack_services(config):
        if service.first.min_scale:
            always[service.first.pool] = always.get(service.first.pool, 0) + service.first.min_scale
    items: list[CostItem] = []
    for section in config.pools:
        pool = config.gpu_pools[section.name]
        slots, hours = always.get(pool.name, 0), warm_hours_per_month(section)
        warm = section.warm.slots if section.warm else 0
        if hours == HOURS_PER_MONTH:
            slots, warm = slots + warm, 0
        nodes, more = -(-slots // pool.slots_per_node), -(-(slots + warm) // pool.slots_per_node)
        if slots:
            items.append(_standing(f"{pool.name}, always", slots, nodes, HOURS_PER_MONTH, pool))
        if more > nodes:
            items.append(_standing(f"{pool.name}, {hours:.0f} h", warm, more - nodes, hours, pool))
    return items


def _standing(when: str, slots: int, nodes: int, hours: float, pool: Pool) -> CostItem:
    if pool.price is None:
        return CostItem("Warm GPU nodes", f"{when}: {slots} slots, price not known", None)
    bought = BOUGHT[pool.capacity_type]
    detail = f"{when}: {nodes} x {pool.price.instance_type} for {slots} slot{'' if slots == 1 else 's'}, {bought}"
    return CostItem("Warm GPU nodes", detail, nodes * pool.price.usd_per_hour(pool.capacity_type) * hours)


def idle_floor_usd(config: StackConfig) -> float | None:
    """Sum of the idle floor in USD per month; None where a price is not known."""
    return total_usd_per_month(floor_items(config))
