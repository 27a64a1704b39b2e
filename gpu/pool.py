"""A GPU pool, resolved: what it may buy, how its GPUs are shared, and every figure that follows from both.

Made once for a stack (`config.pools.resolve`) and handed to all that need one of its figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, assert_never, get_args

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.claims import bought, claimed_mib, promised_mib
from gpu.contract import GPU_RESOURCE
from gpu.estimate import SlotPrice, slot_price
from gpu.host_share import HostShare, claim_for_share, claim_share, host_share
from gpu.naming import check_name
from gpu.prices import CapacityType, RegionPrices
from gpu.sharing import AMIS, Ami, SharingProfile, overlay_capacities
from gpu.why import Why, given, over, times

MIB_PER_GIB = 1024
#: How a pool gets its nodes: what AWS sells, or capacity that is reserved already.
Purchase = Literal["spot", "on-demand", "reserved"]
#: Of what is reserved, as Karpenter's label says it: an on-demand capacity reservation, which stays as long as somebody
#: pays for it, or a capacity block, which is paid in advance and ends at its hour.
ReservationType = Literal["default", "capacity-block"]
#: When Karpenter ends the nodes of a capacity block, and when EC2 takes what is left of them, before the block's end
#: (karpenter-provider-aws v1.15.0 pkg/controllers/capacityreservation/expiration/controller.go).
DRAINED_BEFORE_END = timedelta(minutes=40)
TAKEN_BEFORE_END = timedelta(minutes=30)
#: When Karpenter takes nodes away to save money, in its own words; its third policy knows no measure.
ConsolidationPolicy = Literal["WhenEmpty", "Balanced"]


def capacity_types(purchase: Purchase, *, fallback: bool) -> tuple[Purchase, ...]:
    """What Karpenter may launch for a pool; of both it takes Spot first, as long as there is some."""
    return ("spot", "on-demand") if fallback else (purchase,)


#: What the keys of taints begin with that Karpenter and Kubernetes' controllers write on nodes and take away again. Who
#: tolerates `karpenter.sh/disrupted` is never evicted (sigs.k8s.io/karpenter v1.15.0 pkg/utils/pod/scheduling.go,
#: IsDrainable), and not told that its node ends. Nodes lose the others, or are never ready (pkg/scheduling/taints.go).
_TAINTS_OF_OTHERS: Final = (
    *("karpenter.sh/", "karpenter.k8s.aws/"),
    *("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "readiness.k8s.io/"),
)


def taint_problem(key: str) -> str | None:
    """What is wrong with a taint of such a key on a pool's nodes, whose pods tolerate it; None where nothing is."""
    if not key.startswith(_TAINTS_OF_OTHERS):
        return None
    owner = "Karpenter" if key.startswith("karpenter.") else "Kubernetes"
    return (
        f"begins as the taints do that {owner} writes and takes away itself: pods that tolerate one are not evicted "
        "when their node ends, or come before it is ready; write a key of your own"
    )


@dataclass(frozen=True)
class Taint:
    """A taint of the pool's nodes beside that of GPU nodes."""

    key: str
    value: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """GPU nodes that are bought and shared alike. Memory in MiB, prices in USD per hour.

    types: at least one, and all that the pool may buy. max_gpus: physical GPUs at a time. prices: those of its region.
    purchase: how it gets its nodes. reservation_type: which kind is reserved, where that is its purchase. fallback:
    whether it buys on-demand where there is no Spot capacity. taints: see `Taint`; pods of ours tolerate them. static:
    nodes that it always has, whoever needs them, all of one size; None where they come and go with the pods. Whatever
    asks a GPU for what it cannot do raises SharingError, and the pool itself ValueError for what nobody can buy or
    name.
    """

    name: str
    profile: SharingProfile
    types: tuple[InstanceType, ...]
    max_gpus: int
    prices: RegionPrices
    ami: Ami = "al2023"
    purchase: Purchase = "spot"
    reservation_type: ReservationType = "default"
    fallback: bool = False
    taints: tuple[Taint, ...] = ()
    static: int | None = None

    def __post_init__(self) -> None:
        check_name("name of a pool", self.name)
        if not self.types:
            raise ValueError(f"pool {self.name}: types must name at least one")
        if type(self.max_gpus) is not int or self.max_gpus < 1:
            raise ValueError(f"pool {self.name}: max_gpus is {self.max_gpus!r}: write a whole number of 1 or more")
        for what, value, known in (
            ("ami", self.ami, AMIS),
            ("purchase", self.purchase, get_args(Purchase)),
            ("reservation_type", self.reservation_type, get_args(ReservationType)),
        ):
            if value not in known:
                raise ValueError(f"pool {self.name}: {what} is {value!r}: write {' or '.join(known)}")
        if self.block and self.purchase != "reserved":
            raise ValueError(f"pool {self.name}: a capacity block is reserved, and the pool buys {self.purchase}")
        for taint in self.taints:
            if problem := taint_problem(taint.key):
                raise ValueError(f"pool {self.name}: {taint.key} {problem}")
        if self.static is not None:
            self._check_static(self.static)

    @property
    def block(self) -> bool:
        """Whether its nodes are of a capacity block: paid once for all of its time, at a price that changes daily."""
        return self.reservation_type == "capacity-block"

    def _check_static(self, nodes: int) -> None:
        """A number of nodes says how many GPUs only where all have as many, and where the limit has room for them."""
        if type(nodes) is not int or nodes < 1:
            raise ValueError(f"pool {self.name}: static is {nodes!r}: write a whole number of 1 or more")
        if len(counts := {t.gpu_count for t in self.types}) > 1:
            raise ValueError(f"pool {self.name}: static needs types with as many GPUs each, not {sorted(counts)}")
        if self.claims:
            raise ValueError(f"pool {self.name}: static is for slots, and its pods claim memory")
        if self.max_gpus < (needed := nodes * self.types[0].gpu_count):
            raise ValueError(f"pool {self.name}: max_gpus is {self.max_gpus}: static needs {needed} or more")

    @property
    def capacity_type(self) -> CapacityType:
        """What its nodes cost: reserved ones as much as on-demand (EC2 user guide, "Capacity Reservation pricing").

        Those of a capacity block (`block`) have no price by the hour.
        """
        return "spot" if self.purchase == "spot" else "on-demand"

    @property
    def capacity_types(self) -> tuple[Purchase, ...]:
        """What Karpenter may launch, the first first."""
        return capacity_types(self.purchase, fallback=self.fallback)

    @property
    def always_paid(self) -> bool:
        """Whether its nodes cost the same whether anybody uses them or not."""
        return self.purchase == "reserved" or self.static is not None

    @property
    def resource(self) -> str:
        """Extended resource that a workload requests to get a slot."""
        return self.profile.resource_name(self.ami)

    @cached_property
    def slots(self) -> Mapping[str, int]:
        """Slots of one GPU by instance type."""
        return MappingProxyType({t.name: self.profile.slots_per_gpu(t.gpu) for t in self.types})

    @cached_property
    def slots_per_gpu(self) -> int:
        """Slots that every GPU of the pool has at least, whichever type Karpenter buys."""
        return min(self.slots.values())

    @property
    def claims(self) -> bool:
        """Whether its pods claim memory; then a slot is a whole GPU, which the largest claim may fill alone."""
        return self.profile.claims

    @cached_property
    def smallest(self) -> InstanceType:
        """The type that decides what fits: the one with the smallest slots; with claims, which go where they fit, the
        one with the largest GPU."""
        deciding = max if self.claims else min
        return deciding(self.types, key=lambda t: self.profile.slot_memory_mib(t.gpu))

    @cached_property
    def slot_memory_mib(self) -> int:
        """Memory that every slot has at least; with claims the most that a pod can be promised."""
        return self.profile.slot_memory_mib(self.smallest.gpu)

    @cached_property
    def slot_share(self) -> Fraction:
        """Part of a GPU that every slot has at least: 1 is a whole one."""
        return min(self.profile.slot_share(t.gpu) for t in self.types)

    def claim_mib(self, need_mib: int, least: HostShare | None = None) -> int:
        """What a pod that needs so much GPU memory claims. least: what it needs of its node, at the least.

        Raises ClaimError for what fits on none of the pool's GPUs.
        """
        claim = claimed_mib(need_mib, [t.gpu for t in self.types])
        return claim_for_share(self.types, claim, least) if least else claim

    def promised_mib(self, claim_mib: int = 0) -> int:
        """MiB of a GPU that a pod may take: what every slot has, or a claim's part of what the driver leaves."""
        return promised_mib(claim_mib, [t.gpu for t in self.types]) if claim_mib else self.slot_memory_mib

    def claim_share(self, claim_mib: int) -> HostShare:
        """What a claim may take of its node's processors and memory."""
        return claim_share(self.types, claim_mib)

    def gpus_for(self, claims: Iterable[int]) -> int:
        """GPUs that Karpenter buys for claims that wait at once: of the smallest kind that holds each of them."""
        waiting = sorted(claims, reverse=True)
        if not waiting:
            return 0
        able = [t.gpu.memory.total_mib for t in self.types if t.gpu.memory.total_mib >= waiting[0]]
        return len(bought(waiting, min(able)))

    def room_for(self, claims: Iterable[int]) -> int:
        """The least of `room` that nodes take which hold these claims together.

        Of all ways to put them on one kind of GPU, and what is too large for it on the kind with the fewest vCPUs that
        holds it.
        """
        waiting = sorted(claims, reverse=True)
        kinds: dict[int, int] = {}
        for t in self.types:
            whole = t.gpu.memory.total_mib
            kinds[whole] = min(kinds.get(whole, t.vcpus), t.vcpus)
        return min(_taken(waiting, kinds, whole) for whole in kinds)

    @property
    def max_slots(self) -> int:
        """Slots that the pool surely has when all its GPUs are bought."""
        return self.most_gpus * self.slots_per_gpu

    @property
    def most_gpus(self) -> int:
        """GPUs at a time: those that it may buy, or those of the nodes that always stand."""
        return self.max_gpus if self.static is None else self.static * self.types[0].gpu_count

    @cached_property
    def host_share(self) -> HostShare:
        """What every slot has of its node's processors and memory at least."""
        return host_share(self.types, self.profile)

    @cached_property
    def overlay_capacities(self) -> Mapping[int, Mapping[str, int]]:
        """What a Karpenter NodeOverlay must state, by GPU count of a node."""
        found = overlay_capacities(self.profile, self.ami, self.types)
        return MappingProxyType({count: MappingProxyType(dict(stated)) for count, stated in found.items()})

    @property
    def limits(self) -> Mapping[str, int]:
        """Limits of the NodePool. Karpenter counts what overlays say, so that of a shared resource is in slots.

        With renamed slots the physical resource is overlaid with 0, and its own limit binds only if overlays are off.
        Nodes whose memory is claimed have no such resource at all, and Karpenter counts no devices: their processors
        are limited, to those that come with maxGpus of the type with the fewest for each. Larger types are bought for
        fewer GPUs. A static pool may limit nothing but its nodes: what is above their number is room to replace some.
        """
        if self.static is not None:
            return {"nodes": self.max_gpus // self.types[0].gpu_count}
        if self.claims:
            return {"cpu": self.room}
        return {GPU_RESOURCE: self.max_gpus} | {self.resource: self.max_slots}

    @property
    def room(self) -> int:
        """What nodes may take of the pool's limits together: GPUs, or vCPUs where memory is claimed.

        Of a static pool those of its nodes; but all that are reserved, which are paid anyway.
        """
        if self.static is not None and self.purchase != "reserved":
            return self.static * self.types[0].gpu_count
        return min(self.max_gpus * t.vcpus // t.gpu_count for t in self.types) if self.claims else self.max_gpus

    def takes(self, instance_type: str) -> int:
        """What a node of a type takes of `room`: GPUs, or vCPUs where memory is claimed."""
        kind = INSTANCE_TYPES[instance_type]
        return kind.vcpus if self.claims else kind.gpu_count

    def most_nodes(self, instance_type: str) -> int:
        """Nodes of a type that the limits allow: whole ones."""
        return self.room // self.takes(instance_type)

    @cached_property
    def node_prices(self) -> tuple[SlotPrice, ...]:
        """What a node of each type costs, of those whose price is known."""
        found = (slot_price(t, self.profile, self.prices) for t in self.types)
        return tuple(price for price in found if price is not None)

    def cheapest(self, capacity_type: CapacityType, claim_mib: int = 0) -> SlotPrice | None:
        """The type with the cheapest node, bought in one way or the other; None where no price is known.

        claim_mib: what its GPU must hold, where pods claim memory.
        """
        kinds = {t.name: t.gpu.memory.total_mib for t in self.types}
        able = (p for p in self.node_prices if kinds[p.instance_type] >= claim_mib)
        return min(able, key=lambda p: (p.usd_per_hour(capacity_type), p.instance_type), default=None)

    @cached_property
    def price(self) -> SlotPrice | None:
        """The type with the cheapest node, which the first pending pod buys; None where no price is known."""
        return self.cheapest(self.capacity_type)

    @cached_property
    def dearest(self) -> SlotPrice | None:
        """The dearest type, which the pool may buy when others are short; None where no price is known."""
        by = self.capacity_type
        return max(self.node_prices, key=lambda p: (p.usd_per_hour(by), p.instance_type), default=None)

    @property
    def price_is_estimate(self) -> bool:
        """Whether nobody can know the price: Spot's changes by the hour and the zone."""
        match self.capacity_type:
            case "spot":
                return True
            case "on-demand":
                return False
            case _:
                assert_never(self.capacity_type)

    @cached_property
    def interruption_bands(self) -> Mapping[str, str]:
        """Which part of Spot nodes AWS took back in a month, by type, where that is known; nothing on-demand."""
        if self.capacity_type == "on-demand":
            return MappingProxyType({})
        bands = {t.name: self.prices.interruption_band(t.name) for t in self.types}
        return MappingProxyType({name: band for name, band in bands.items() if band})

    @property
    def slots_per_node(self) -> int:
        """Slots of the node that the first pending pod buys."""
        return self.price.slots if self.price else self.slots_per_gpu

    def held_slots(self, slots: int) -> int:
        """Slots that a pod of several whole GPUs holds, with what it leaves of its node and its like cannot use.

        3 GPUs of a node of 4 hold all 4. The node is that which the first pending pod buys, or where no price is known
        the smallest. Raises ValueError where that has not so many.
        """
        node = self.price.slots if self.price else min(t.gpu_count * self.slots[t.name] for t in self.types)
        if slots > node:
            raise ValueError(f"a node of pool {self.name} has {node} slots, not {slots}")
        return node // (node // slots)

    @property
    def usd_per_slot_hour(self) -> float | None:
        """Price of a slot as the pool buys it; an estimate for Spot, None where no price is known."""
        if self.block:
            return None
        return self.price.usd_per_hour(self.capacity_type) / self.price.slots if self.price else None

    @property
    def why_block_hour(self) -> Why:
        """Price of an hour of a node of a capacity block, which nobody knows."""
        return given(f"an hour of a node of {self.name}, in a capacity block", None, "USD/h")

    def why_slot(self, capacity_type: CapacityType, of: SlotPrice | None = None) -> Why:
        """Price of a slot when all of the node are taken, USD per hour. of: a node; else the cheapest as bought."""
        node = of or self.price
        if node is None:
            return given("price of a node", None, "USD/h")
        whole = self.prices.why_node(node.instance_type, capacity_type)
        return over(whole, given(f"slots of {node.instance_type}", node.slots))

    def usd_per_claim_hour(self, claim_mib: int) -> float | None:
        """Price of a claim as the pool buys it: its part, by memory, of the cheapest node whose GPU holds it.

        An estimate for Spot, None where no price is known.
        """
        node = self.cheapest(self.capacity_type, claim_mib)
        if node is None or self.block:
            return None
        whole = INSTANCE_TYPES[node.instance_type].gpu.memory.total_mib
        return node.usd_per_hour(self.capacity_type) * claim_mib / whole

    def why_gib(self, capacity_type: CapacityType, of: SlotPrice | None) -> Why:
        """Price of a GiB of a GPU when all of it is claimed, USD per hour. of: a node with one GPU."""
        if self.block:
            return self.why_block_hour
        if of is None:
            return given("price of a node", None, "USD/h")
        gpu = INSTANCE_TYPES[of.instance_type].gpu
        whole = self.prices.why_node(of.instance_type, capacity_type)
        return over(whole, given(f"memory of a GPU of {of.instance_type}", gpu.memory.total_mib / MIB_PER_GIB, "GiB"))

    def why_claim(
        self, claim_mib: int, capacity_type: CapacityType, of: SlotPrice | None = None, by: str = "a pod"
    ) -> Why:
        """Price of a claim when all of the GPU is claimed, USD per hour: its part of a node's price.

        of: a node; else the cheapest whose GPU holds the claim. by: whose claim it is, in words.
        """
        node = of or self.cheapest(capacity_type, claim_mib)
        claimed = given(f"claimed by {by}", claim_mib / MIB_PER_GIB, "GiB")
        return times(claimed, self.why_gib(capacity_type, node))

    def as_output(self) -> dict[str, Any]:
        """The pool as a stack output, in plain values."""
        usd = self.usd_per_slot_hour
        return {
            "name": self.name,
            "sharing": self.profile.strategy,
            "capacityType": self.purchase,
            **({"capacityReservationType": self.reservation_type} if self.purchase == "reserved" else {}),
            "resource": self.resource,
            "slotsPerGpu": self.slots_per_gpu,
            "maxSlots": self.max_slots,
            "slotMemoryMib": self.slot_memory_mib,
            "cheapestType": self.price.instance_type if self.price else None,
            "usdPerSlotHour": round(usd, 4) if usd is not None else None,
            "usdPerSlotHourIsEstimate": self.price_is_estimate,
        }


def _taken(waiting: Iterable[int], kinds: Mapping[int, int], usual: int) -> int:
    """vCPUs of nodes for claims, each on the node with the fewest that has room, as Karpenter tries them.

    kinds: the vCPUs of a node by the MiB of its GPU. usual: the GPU that is bought where a claim fits on it.
    """
    nodes: list[tuple[int, list[int]]] = []
    for claim in waiting:
        nodes.sort(key=lambda node: len(node[1]))
        held = next((held for whole, held in nodes if sum(held) + claim <= whole), None)
        if held is not None:
            held.append(claim)
            continue
        able = [whole for whole in kinds if whole >= claim]
        nodes.append((usual if usual in able else min(able, key=lambda whole: kinds[whole]), [claim]))
    return sum(kinds[whole] for whole, _ in nodes)
