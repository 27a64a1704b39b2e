"""What claims of GPU memory come to: GPUs against slots and pools by size, and what a GiB costs an hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpu.bill import Consumer, node_of, nodes_needed, room_of
from gpu.claims import bought, bound, equal_slots, pools_by_size
from gpu.estimate import SlotPrice
from gpu.pool import Pool
from gpu.prices import CapacityType
from gpu.why import Why


@dataclass(frozen=True, kw_only=True)
class ClaimFigures:
    """The claims of a pool, if all its pods run at once, on the cheapest type whose GPU holds the largest of them."""

    pool: Pool
    holders: tuple[Consumer, ...]
    node: SlotPrice | None
    """None where no price is known: the GPU is then the pool's largest."""

    @property
    def gpu_mib(self) -> int:
        """What claims share of a GPU, in MiB."""
        return room_of(self.pool, self.node).gpu_mib

    @property
    def claims(self) -> Sequence[int]:
        """Of every pod, in MiB, largest first, as Karpenter takes them."""
        return sorted((each.claim_mib for each in self.holders for _ in range(each.slots)), reverse=True)

    @property
    def gpus(self) -> int:
        """GPUs that Karpenter buys for them."""
        return len(bought(self.claims, self.gpu_mib))

    @property
    def gpus_with_hosts(self) -> int:
        """The same where a node must also have the processors and the memory that their pods ask for."""
        return nodes_needed(self.holders, room_of(self.pool, self.node)).nodes

    @property
    def bound(self) -> int:
        """GPUs that nothing could do without."""
        return bound(self.claims, self.gpu_mib)

    @property
    def in_equal_slots(self) -> int:
        """GPUs in equal slots, as many to a GPU as need fewest."""
        return equal_slots(self.claims, self.gpu_mib)

    @property
    def by_size(self) -> int:
        """GPUs with a pool for each size."""
        return pools_by_size(self.claims, self.gpu_mib)

    def why_gib(self, capacity_type: CapacityType) -> Why:
        """USD for an hour of a GiB of the GPU, when all of it is claimed."""
        return self.pool.why_gib(capacity_type, self.node)

    def why_claim(self, holder: Consumer, capacity_type: CapacityType) -> Why:
        """USD for an hour of what a pod claims."""
        return self.pool.why_claim(holder.claim_mib, capacity_type, self.node, f"a pod of {holder.name}")


def claim_figures(pools: Sequence[Pool], consumers: Sequence[Consumer]) -> Iterator[ClaimFigures]:
    """Of each pool that has claims."""
    for pool in pools:
        holders = tuple(each for each in consumers if each.pool is pool and each.slots and each.claim_mib)
        if holders:
            yield ClaimFigures(pool=pool, holders=holders, node=node_of(pool, holders))
