"""How OpenCost splits a GPU node among pods, by the rules of its source, in our own words.

Read at github.com/opencost/opencost, commit 5f65333 (2024-10-24): `pkg/costmodel/costmodel.go` (`getGPUCount`, the
node's price, the container's request), `pkg/costmodel/metrics.go` (`container_gpu_allocation`),
`pkg/costmodel/allocation_helpers.go` (`applyGPUsAllocated`, `applyNodesToPod`), `configs/aws.json`. Later sources (its
collector, 2025) ask for the same two resource names, and scale a request by GPUs per replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Weights by which the price of a node is divided: USD an hour of a vCPU, of a GiB, of a GPU (configs/aws.json).
CPU, RAM, GPU = 0.031611, 0.004237, 0.95
#: A GPU for OpenCost, by what a container requests.
REQUESTED = ("nvidia.com/gpu", "k8s.amazonaws.com/vgpu")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node as the API server shows it. usd: its price by the hour. ec2_gpus: those that AWS' price list says."""

    usd: float
    vcpus: int
    gib: float
    capacity: Mapping[str, int]
    ec2_gpus: int
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def gpus(self) -> float:
        """What counts as its GPUs; where Kubernetes shows none, those of the price list."""
        shown = self.capacity.get("nvidia.com/gpu", 0)
        if "nvidia.com/gpu.replicas" in self.labels:
            return float(self.labels.get("nvidia.com/gpu.count", 0)) or self.ec2_gpus
        return shown or self.ec2_gpus

    @property
    def usd_per_gpu(self) -> float:
        """What is left for each GPU when the price is divided by the weights of all that the node has."""
        weights = self.gpus * GPU + self.vcpus * CPU + self.gib * RAM
        return self.usd * GPU / weights

    @property
    def gpu_usd(self) -> float:
        """The price of all its GPUs."""
        return self.gpus * self.usd_per_gpu


def gpus_requested(resources: Mapping[str, str]) -> float:
    """GPUs of a container: of the first name that it asks for. Other names are none."""
    return next((float(resources[name]) for name in REQUESTED if name in resources), 0.0)


def gpu_usd(node: Node, resources: Mapping[str, str]) -> float:
    """What a container pays by the hour for GPUs; the rest of `Node.gpu_usd` is idle cost."""
    return gpus_requested(resources) * node.usd_per_gpu
