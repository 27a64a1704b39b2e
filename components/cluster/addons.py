"""EKS add-ons: what nodes need before they can be ready, and what runs once there are nodes.

`eks.Cluster` could install some of them, but out of a plan's sight, always in the newest version of the day, without
Pod Identity, and CoreDNS before there is a node that it could run on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

import versions
from components.arguments import Arguments
from components.cluster.pod_identity import PodRole, PodRoleArgs
from components.pods import GPU_TOLERATION
from components.sdk import aws
from gpu.contract import CONTROLLER_LABEL

SYSTEM_NODE_LABEL = {CONTROLLER_LABEL: "true"}
"""Label of the system nodes, as in Karpenter's getting-started guide."""

SYSTEM_NODE_TAINT = "CriticalAddonsOnly"
"""Taint key of the system nodes; Karpenter's chart tolerates it."""

_ON_SYSTEM_NODES = [{"key": SYSTEM_NODE_TAINT, "operator": "Exists"}]


@dataclass(frozen=True, kw_only=True)
class AddonsArgs(Arguments):
    """Inputs of `NodeAddons` and `ClusterAddons`.

    kubernetes_version: minor of the cluster; each add-on's version is the one that `versions.EKS_ADDON_VERSIONS` has
    for it. Raises ValueError for a minor that is not in that table.
    """

    cluster_name: str
    kubernetes_version: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kubernetes_version not in versions.EKS_ADDON_VERSIONS:
            raise ValueError(
                f"no add-on versions are known for Kubernetes {self.kubernetes_version}: they are for "
                f"{', '.join(versions.EKS_ADDON_VERSIONS)}"
            )


class NodeAddons(pulumi.ComponentResource):
    """Pod Identity's agent, the VPC CNI with network policies, and kube-proxy: DaemonSets that wait for nodes.

    The CNI has its permissions from Pod Identity, not from the role of the node, where every pod that shares the host's
    network could use them. The agent needs no network of its own, so it is there first.
    """

    addons: tuple[aws.eks.Addon, ...]

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:NodeAddons", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        agent = addon(name, args, "eks-pod-identity-agent", child)
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
            name,
            args,
            "vpc-cni",
            pulumi.ResourceOptions(parent=self, depends_on=[agent]),
            # The add-on's schema wants a string here.
            configuration={"enableNetworkPolicy": "true"},
            pod_roles={"aws-node": role.role_arn},
        )
        self.addons = (agent, cni, addon(name, args, "kube-proxy", child))
        self.register_outputs({})


class ClusterAddons(pulumi.ComponentResource):
    """CoreDNS and the metrics server on system nodes, and on every node the agent that reports failing hardware."""

    addons: tuple[aws.eks.Addon, ...]

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ClusterAddons", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.addons = (
            # Pinned to nodes that Karpenter never consolidates: names must resolve while Spot nodes come and go.
            addon(
                name,
                args,
                "coredns",
                child,
                configuration={"nodeSelector": SYSTEM_NODE_LABEL, "tolerations": _ON_SYSTEM_NODES},
            ),
            addon(name, args, "metrics-server", child, configuration={"tolerations": _ON_SYSTEM_NODES}),
            # Its own DaemonSet tolerates everything, its DCGM part nothing: it would miss every tainted GPU node.
            addon(
                name,
                args,
                "eks-node-monitoring-agent",
                child,
                configuration={"dcgmAgent": {"tolerations": [GPU_TOLERATION]}},
            ),
        )
        self.register_outputs({})


def addon(
    name: str,
    args: AddonsArgs,
    addon_name: str,
    opts: pulumi.ResourceOptions,
    *,
    configuration: Mapping[str, Any] | None = None,
    pod_roles: Mapping[str, pulumi.Input[str]] | None = None,
) -> aws.eks.Addon:
    """An add-on of EKS; `pod_roles` maps its service accounts to role ARNs."""
    return aws.eks.Addon(
        f"{name}-{addon_name}",
        cluster_name=args.cluster_name,
        addon_name=addon_name,
        addon_version=versions.EKS_ADDON_VERSIONS[args.kubernetes_version][addon_name],
        configuration_values=json.dumps(configuration, sort_keys=True) if configuration else None,
        pod_identity_associations=[
            aws.eks.AddonPodIdentityAssociationArgs(service_account=account, role_arn=role_arn)
            for account, role_arn in (pod_roles or {}).items()
        ]
        or None,
        # What is written here wins over edits by hand.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=dict(args.tags),
        opts=opts,
    )
