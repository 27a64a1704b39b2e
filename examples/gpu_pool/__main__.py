"""A Bottlerocket pool of shared Spot GPUs in an existing cluster."""

import pulumi
import pulumi_kubernetes as k8s

from components.gpu.gpu_pool import GpuPool, GpuPoolArgs
from components.karpenter.node_class import ClusterNodes
from components.new_only import new_only
from gpu.catalog import types_in
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import TimeSlicing

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])
nodes = ClusterNodes(cluster_name=settings.require("cluster"), node_role_name=settings.require("nodeRole"))

shared = Pool(
    name="shared",
    profile=TimeSlicing(3),
    types=types_in(names=["g6.xlarge", "g5.xlarge"]),
    max_gpus=2,
    prices=of("us-east-1"),
    ami="bottlerocket",
)
GpuPool("shared", GpuPoolArgs(nodes=nodes, pool=shared), in_cluster)
pulumi.export("pool", shared.as_output())
