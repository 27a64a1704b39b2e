"""NodeAddons: what nodes need before they can be ready."""

from __future__ import annotations

import pulumi

from components.cluster.addon import AddonsArgs, addon
from components.cluster.pod_identity import PodRole, PodRoleArgs
from components.sdk import aws
from gpu.standing import POD_IDENTITY_AGENT


class NodeAddons(pulumi.ComponentResource):
    """Pod Identity's agent, the VPC CNI with network policies, and kube-proxy: DaemonSets that wait for nodes.

    The CNI has its permissions from Pod Identity, not from the role of the node, where every pod that shares the host's
    network could use them. The agent needs no network of its own, so it is there first.
    """

    addons: tuple[aws.eks.Addon, ...]

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:NodeAddons", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        agent = addon(f"{name}-{POD_IDENTITY_AGENT}", args, POD_IDENTITY_AGENT, child)
        role = PodRole(
            f"{name}-cni",
            PodRoleArgs(
                cluster_name=args.cluster_name,
                account_id=args.account_id,
                partition=args.partition,
                namespace="kube-system",
                service_account="aws-node",
                managed_policies=("AmazonEKS_CNI_Policy",),
                tags=args.tags,
            ),
            child,
        )
        cni = addon(
            f"{name}-vpc-cni",
            args,
            "vpc-cni",
            pulumi.ResourceOptions(parent=self, depends_on=[agent]),
            # The add-on's schema wants a string here.
            configuration={"enableNetworkPolicy": "true"},
            pod_roles={"aws-node": role.role_arn},
        )
        self.addons = (agent, cni, addon(f"{name}-kube-proxy", args, "kube-proxy", child))
        self.register_outputs({})
