"""Graviton Spot nodes for everything that needs no GPU, in an existing cluster."""

import pulumi
import pulumi_kubernetes as k8s

from components.karpenter.cpu_pool import INTENT_TAINT, CpuPool, CpuPoolArgs
from components.karpenter.node_class import ClusterNodes
from components.new_only import new_only

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])
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
