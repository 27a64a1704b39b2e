"""What a Karpenter NodeOverlay must state of a pool's nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gpu.contract import GPU_RESOURCE
from gpu.sharing.profile import Profile, SharingError

if TYPE_CHECKING:
    from gpu.catalog import InstanceType
    from gpu.sharing.ami import Ami


def overlay_capacities(profile: Profile, ami: Ami, types: Iterable[InstanceType]) -> dict[int, dict[str, int]]:
    """Capacity that a NodeOverlay must state, by GPU count of the instance type.

    NodeOverlay capacity is an absolute value per instance type that replaces EC2's figure, so each GPU count needs an
    overlay of its own (sigs.k8s.io/karpenter pkg/cloudprovider/types.go ApplyCapacityOverlay). Where slots have
    another name, the physical `nvidia.com/gpu` is set to 0: the node will never offer it. So it is where pods claim
    memory: a pod that asks for one would get a whole GPU there, by a claim of the scheduler's (Kubernetes 1.36,
    `DRAExtendedResource`). Empty without sharing: EC2's own figure is right. Raises SharingError when a type cannot be
    shared that way, or when types with one GPU count would give different slots.
    """
    if not profile.shares:
        return {}
    if profile.claims:
        return {count: {GPU_RESOURCE: 0} for count in sorted({t.gpu_count for t in types})}
    resource = profile.resource_name(ami)
    capacities: dict[int, dict[str, int]] = {}
    for instance_type in types:
        count = instance_type.gpu_count
        capacity = {resource: profile.slots_per_gpu(instance_type.gpu) * count}
        if resource != GPU_RESOURCE:
            capacity[GPU_RESOURCE] = 0
        if capacities.setdefault(count, capacity) != capacity:
            raise SharingError(f"{instance_type.name} gives other slots than the pool's other types with {count} GPUs")
    return dict(sorted(capacities.items()))
