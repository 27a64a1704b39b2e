"""ClusterAddons: what runs once there are nodes."""

from __future__ import annotations

import pulumi

from components.cluster.addon import AddonsArgs, addon
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.sdk import aws


class ClusterAddons(pulumi.ComponentResource):
    """CoreDNS and the metrics server on system nodes, and on every node the agent that reports failing hardware."""

    addons: tuple[aws.eks.Addon, ...]

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ClusterAddons", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.addons = (
            # Pinned to nodes that Karpenter never consolidates: names must resolve while Spot nodes come and go.
            addon(
                f"{name}-coredns",
                args,
                "coredns",
                child,
                configuration={"nodeSelector": SYSTEM_NODE_LABEL, "tolerations": [SYSTEM_NODE_TOLERATION]},
            ),
            addon(
                f"{name}-metrics-server",
                args,
                "metrics-server",
                child,
                configuration={"tolerations": [SYSTEM_NODE_TOLERATION]},
            ),
            # Its own DaemonSet tolerates everything, its DCGM part, which goes to types with GPUs alone, no taint of
            # theirs. Where that part is kept out, the agent calls all GPUs of the node unfit, for good (DCGMError).
            addon(
                f"{name}-eks-node-monitoring-agent",
                args,
                "eks-node-monitoring-agent",
                child,
                configuration={"dcgmAgent": {"tolerations": [{"operator": "Exists"}]}},
            ),
        )
        self.register_outputs({})
