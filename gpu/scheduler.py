"""The scheduler that fills nodes: a profile of kube-scheduler for pods on GPUs, beside the cluster's own.

The default scheduler spreads (`LeastAllocated`, and what belongs to one ReplicaSet over hosts and zones), so that pods
come to rest on every GPU node there is, and none ever gets empty: Karpenter ends a GPU node only when nothing runs on
it. EKS lets nobody change its scheduler. With `MostAllocated` on the slots new pods take the fullest node that has
room, and the emptiest nodes empty by themselves. No score counts what pods claim of a GPU's memory (v1.36.3
plugins/dynamicresources scores alternatives alone); their part of the host does, which goes with it.
"""

from __future__ import annotations

from typing import Any, Final

from gpu.contract import GPU_RESOURCE, SHARED_RESOURCE
from gpu.gpus import GPUS
from gpu.sharing.mig import mig_resource

#: `spec.schedulerName` of pods that it places.
PACKING_SCHEDULER: Final = "gpu-slices-scheduler"

#: Against what the other plugins say (2 for topology and affinity, 3 for taints): slots decide wherever they differ.
_WEIGHT: Final = 10
#: Of a slot against the host's processors and memory, of 1 to 100: both together do not outweigh one slot of 48.
_SLOT_WEIGHT: Final = 100
_HOST: Final = ("cpu", "memory")


def slot_resources() -> list[str]:
    """What a slot may be called: a GPU, a shared one, or a MIG instance of any profile that a GPU here has."""
    profiles = {shape.name for gpu in GPUS.values() for shape in gpu.mig}
    return [GPU_RESOURCE, SHARED_RESOURCE, *sorted(mig_resource(profile) for profile in profiles)]


def packing_profile() -> dict[str, Any]:
    """A profile of a `KubeSchedulerConfiguration` (kubescheduler.config.k8s.io/v1).

    Slots that a pod does not ask for count nothing (noderesources/resource_allocation.go), so that one profile
    serves all pools. Spreading stays where a pod asks for it itself (`topologySpreadConstraints`).
    """
    fit = {
        "scoringStrategy": {
            "type": "MostAllocated",
            "resources": [
                *({"name": name, "weight": _SLOT_WEIGHT} for name in slot_resources()),
                *({"name": name, "weight": 1} for name in _HOST),
            ],
        }
    }
    return {
        "schedulerName": PACKING_SCHEDULER,
        "plugins": {
            "score": {
                "enabled": [{"name": "NodeResourcesFit", "weight": _WEIGHT}],
                "disabled": [{"name": "NodeResourcesFit"}, {"name": "NodeResourcesBalancedAllocation"}],
            }
        },
        "pluginConfig": [
            {"name": "NodeResourcesFit", "args": fit},
            # Without it pods of one ReplicaSet or Service would be spread over hosts and zones all the same.
            {"name": "PodTopologySpread", "args": {"defaultingType": "List"}},
        ],
    }
