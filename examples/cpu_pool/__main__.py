"""Graviton Spot nodes for everything that needs no GPU, in an existing cluster."""

import pulumi
import pulumi_kubernetes as k8s

from components.karpenter.cpu_pool import INTENT_TAINT, CpuPool, CpuPoolArgs
from components.karpenter.node_class import ClusterNodes

settings = pulumi.Config()
cluster = k8s.Provider("cluster", kubeconfig=settings.get("kubeconfig"), context=settings.get("context"))
in_cluster = pulumi.ResourceOptions(providers=[cluster])
nodes = ClusterNodes(cluster_name=settings.require("cluster"), node_role_name=settings.require("nodeRole"))

CpuPool(
    "graviton",
    CpuPoolArgs(
        nodes=nodes,
        pool="graviton",
        arch="arm64",
        cpu_limit=32,
        # None of the cluster's own pods comes here by itself: they may be built for x86 alone.
        taints=[INTENT_TAINT],
    ),
    in_cluster,
)
