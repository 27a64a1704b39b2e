"""The idle floor: what a stack costs when none of its GPU and CPU pools has a node."""

from __future__ import annotations

from collections.abc import Sequence

from config.schema import StackConfig
from gpu.coldstart import IMAGE_MB
from gpu.estimate import CostItem, FloorInputs, Kept, idle_floor, kept_items
from gpu.registries import ecr_registry
from gpu.standing import CONVERSATIONS_GIB, INTERFACE_SERVICES, KMS_KEYS, SYSTEM_VOLUME_GIB, nat_zones
from gpu.why import given


def floor_items(config: StackConfig) -> Sequence[CostItem]:
    """What the stack costs in a month when no GPU and no CPU pool node runs, item by item."""
    if config.cluster.existing:
        # Its control plane, nodes and gateways are there with and without the stack.
        return [
            CostItem(
                f"Cluster {config.cluster.existing}",
                "existing, and no cost of this stack",
                given("what is there without the stack", 0, "USD"),
            ),
            *kept_items(_kept(config), config.prices),
        ]
    zone_ids = config.zones
    nodes = config.cluster.system_nodes
    there = config.network.existing is not None
    made = idle_floor(
        FloorInputs(
            system_node_types=tuple(nodes.instance_types),
            system_nodes=nodes.desired,
            system_capacity_type=nodes.capacity_type,
            public_addresses=nodes.desired if config.network.nat == "none" else 0,
            system_volume_gib=SYSTEM_VOLUME_GIB,
            nat_gateways=0 if there else len(nat_zones(config.network.nat, zone_ids)),
            kms_keys=KMS_KEYS,
            interface_endpoints=len(INTERFACE_SERVICES) if config.network.interface_endpoints else 0,
            zones=len(zone_ids),
            load_balancers=1 if config.serving.door else 0,
            kept=_kept(config),
            monitoring=config.monitoring.backend,
            figures_gib=config.monitoring.volume_gib,
        ),
        config.prices,
    )
    return [*made, _NETWORK_THERE] if there else made


#: In the floor, so that nobody takes the bill for all of it.
_NETWORK_THERE = CostItem(
    "Network",
    "existing: its gateways and endpoints, and what passes them, are no cost of this stack",
    given("what is there without the stack", 0, "USD"),
)


def _kept(config: StackConfig) -> Kept:
    dialogue = config.dialogue if config.models else None
    mirror = config.cluster.registry_mirror
    return Kept(
        volume_gib=CONVERSATIONS_GIB if dialogue and dialogue.on_volume else 0,
        table_gib=CONVERSATIONS_GIB if dialogue and dialogue.image and dialogue.store == "dynamodb" else 0,
        # The server's image is nearly all that a stack pulls; whatever else the mirror holds, others may share.
        images_gb=IMAGE_MB / 1000 if config.models and mirror and ecr_registry(mirror) else 0.0,
    )
