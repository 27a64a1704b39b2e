"""Composes the components of a stack. What differs between dev, staging and prod is data, never another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.cluster.access import AccessGrant
from components.cluster.cluster import Cluster, ClusterArgs
from components.cluster.encryption import Encryption, EncryptionArgs
from components.cluster.system_nodes import SystemNodeCapacity
from components.gpu.examples import ExampleWorkloads, ExampleWorkloadsArgs, GpuExample
from components.gpu.gpu_pool import GpuPool, GpuPoolArgs
from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from components.karpenter.cpu_pool import CpuPool, CpuPoolArgs
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from components.karpenter.node_class import Volume
from components.money.budget import Budget, BudgetArgs
from components.network.network import Network, NetworkArgs
from components.pods import GPU_TOLERATION
from components.serving.ollama_model import model_url
from config.bill import zones
from config.schema import Budget as BudgetConfig
from config.schema import CpuPool as CpuPoolConfig
from config.schema import GpuPool as PoolConfig
from config.schema import StackConfig
from config.services import service_name
from gpu.contract import POOL_LABEL, STACK_TAG
from gpu.sharing import AMIS
from stacks.serving import Stand, serve
from stacks.summary import idle_floor_usd
from stacks.tags import stack_tags
from stacks.ways_in import dialogue_url, next_steps
from stacks.workloads import gpu_workload


@dataclass(frozen=True)
class Platform:
    """What a stack consists of, and what it hands out."""

    cluster: Cluster
    karpenter: Karpenter
    pools: Mapping[str, GpuPool]
    outputs: Mapping[str, Any]


def build(config: StackConfig) -> Platform:
    """Registers every resource of the stack.

    Destruction runs backwards: workloads, NodePools, EC2NodeClasses, the device plugin, Karpenter's controller and
    definitions, system nodes, cluster, network. Nothing that Karpenter must clean up outlives what it needs for that.
    """
    tags = stack_tags(config)
    provider = aws.Provider("aws", region=config.region)
    account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider)).account_id
    in_aws = pulumi.ResourceOptions(providers=[provider])

    keys = Encryption(
        "encryption",
        EncryptionArgs(cluster_name=config.cluster_name, account_id=account_id, region=config.region, tags=tags),
        in_aws,
    )
    network = Network("network", _network_args(config, account_id, keys, tags), in_aws)
    cluster = Cluster("cluster", _cluster_args(config, account_id, keys, network, tags), in_aws)
    kubernetes = k8s.Provider(
        "kubernetes",
        kubeconfig=cluster.kubeconfig,
        # Without it a changed kubeconfig text could replace the provider, and everything in the cluster with it.
        cluster_identifier=config.cluster_name,
        enable_server_side_apply=True,
        opts=pulumi.ResourceOptions(depends_on=[*cluster.ready]),
    )
    in_both = pulumi.ResourceOptions(providers=[provider, kubernetes])
    in_cluster = pulumi.ResourceOptions(providers=[kubernetes])

    running = [*cluster.ready, *network.egress]
    karpenter = Karpenter("karpenter", _karpenter_args(config, account_id, keys, running, tags), in_both)
    if config.budget:
        Budget("budget", _budget_args(config, config.budget, karpenter, tags), in_aws)
    cpu_pools = [CpuPool(f"cpu-{pool.name}", _cpu_pool_args(pool, karpenter), in_cluster) for pool in config.cpu_pools]
    sharing = GpuSharing("gpu-sharing", _sharing_args(config), in_cluster)
    pools = {
        pool.name: GpuPool(f"gpu-{pool.name}", _gpu_pool_args(pool, config, karpenter, sharing), in_cluster)
        for pool in config.pools
    }
    node_pools = [*(pool.node_pool for pool in cpu_pools), *(pool.node_pool for pool in pools.values())]
    _workloads(config, node_pools, in_cluster)
    serve(
        config,
        Stand(
            cluster=cluster,
            network=network,
            sharing=sharing,
            pools=pools,
            cpu_pools=[pool.node_pool for pool in cpu_pools],
            data_key_arn=keys.data_key_arn,
            running=running,
            tags=tags,
            in_aws=in_aws,
            in_cluster=in_cluster,
        ),
    )
    return Platform(cluster, karpenter, pools, _outputs(config, cluster))


def _network_args(
    config: StackConfig, account_id: pulumi.Input[str], keys: Encryption, tags: Mapping[str, str]
) -> NetworkArgs:
    return NetworkArgs(
        cluster_name=config.cluster_name,
        cidr=config.network.cidr,
        region=config.region,
        account_id=account_id,
        zone_ids=zones(config),
        nat=config.network.nat,
        endpoints=config.network.interface_endpoints,
        logs_key_arn=keys.data_key_arn,
        flow_log_retention_days=config.cluster.log_retention_days,
        tags=tags,
    )


def _cluster_args(
    config: StackConfig, account_id: pulumi.Input[str], keys: Encryption, network: Network, tags: Mapping[str, str]
) -> ClusterArgs:
    cluster = config.cluster
    nodes = cluster.system_nodes
    return ClusterArgs(
        cluster_name=config.cluster_name,
        kubernetes_version=cluster.version,
        region=config.region,
        account_id=account_id,
        vpc_id=network.vpc_id,
        private_subnet_ids=network.private_subnet_ids,
        node_egress=network.egress,
        public_access_cidrs=cluster.public_access_cidrs,
        access=(
            *(AccessGrant(principal_arn=arn, policy="cluster-admin") for arn in cluster.admins),
            *(AccessGrant(principal_arn=arn, policy="view") for arn in cluster.viewers),
        ),
        system_nodes=SystemNodeCapacity(
            instance_types=nodes.instance_types, min=nodes.min, desired=nodes.desired, max=nodes.max
        ),
        data_key_arn=keys.data_key_arn,
        volume_key_arn=keys.volume_key_arn,
        log_retention_days=cluster.log_retention_days,
        deletion_protection=cluster.deletion_protection,
        tags=tags,
    )


def _karpenter_args(
    config: StackConfig,
    account_id: pulumi.Input[str],
    keys: Encryption,
    after: Sequence[pulumi.Resource],
    tags: Mapping[str, str],
) -> KarpenterArgs:
    return KarpenterArgs(
        cluster_name=config.cluster_name,
        account_id=account_id,
        region=config.region,
        volume_key_arn=keys.volume_key_arn,
        node_repair=config.cluster.node_repair,
        # Alpha: only where a pool keeps slots warm at all hours.
        capacity_buffer=any(pool.warm and pool.warm.start is None for pool in config.pools),
        tags=tags,
        after=after,
    )


def _budget_args(
    config: StackConfig, budget: BudgetConfig, karpenter: Karpenter, tags: Mapping[str, str]
) -> BudgetArgs:
    return BudgetArgs(
        name=config.cluster_name,
        monthly_usd=budget.monthly_usd,
        emails=budget.emails,
        tag=(STACK_TAG, config.stack),
        buyer_role_name=karpenter.controller_role_name,
        tags=tags,
    )


def _cpu_pool_args(pool: CpuPoolConfig, karpenter: Karpenter) -> CpuPoolArgs:
    return CpuPoolArgs(
        karpenter=karpenter,
        pool=pool.name,
        arch=pool.arch,
        cpus=pool.cpus,
        capacity_types=pool.capacity_types,
        cpu_limit=pool.limit_cpus,
        # What an m instance has: a fixed figure would stop a larger pool long before its vCPUs do.
        memory_limit_gib=max(256, 4 * pool.limit_cpus),
    )


def _sharing_args(config: StackConfig) -> GpuSharingArgs:
    by_chart = [pool for pool in config.pools if AMIS[pool.ami].plugin_by_chart]
    return GpuSharingArgs(
        profiles={pool.name: config.gpu_pools[pool.name].profile for pool in by_chart},
        untrusted=[pool.name for pool in by_chart if pool.tenants == "untrusted"],
        installer=config.gpu_sharing.installer,
    )


def _gpu_pool_args(pool: PoolConfig, config: StackConfig, karpenter: Karpenter, sharing: GpuSharing) -> GpuPoolArgs:
    volume = pool.volume
    return GpuPoolArgs(
        karpenter=karpenter,
        pool=config.gpu_pools[pool.name],
        justification=pool.on_demand.justification if pool.on_demand else None,
        expires=pool.on_demand.expires if pool.on_demand else None,
        tenants=pool.tenants,
        volume=Volume(
            size_gib=volume.size_gib,
            iops=volume.iops,
            throughput_mib_per_s=volume.throughput_mibps,
            snapshot_id=volume.snapshot_id,
            initialization_mib_per_s=volume.initialization_rate_mibps,
        ),
        fast_image_pull=pool.fast_image_pull,
        instance_store=pool.instance_store,
        consolidate_after=pool.consolidate_after,
        after=[sharing.releases[pool.name]] if pool.name in sharing.releases else (),
    )


def _workloads(config: StackConfig, node_pools: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions) -> None:
    if config.examples:
        first = config.gpu_pools[config.pools[0].name]
        gpu = GpuExample(
            resource_name=first.resource,
            node_selector={POOL_LABEL: first.name},
            tolerations=[GPU_TOLERATION],
        )
        architectures = sorted({pool.arch for pool in config.cpu_pools})
        arguments = ExampleWorkloadsArgs(architectures=architectures, gpu=gpu, after=node_pools)
        ExampleWorkloads("examples", arguments, opts)
    if config.workloads:
        workloads = [gpu_workload(workload, config.gpu_pools[workload.pool]) for workload in config.workloads]
        GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=workloads, after=node_pools), opts)


def _outputs(config: StackConfig, cluster: Cluster) -> Mapping[str, Any]:
    floor = idle_floor_usd(config)
    return {
        "kubeconfig": cluster.kubeconfig,
        "updateKubeconfigCommand": cluster.update_kubeconfig_command,
        "pools": [pool.as_output() for pool in config.gpu_pools.values()],
        "idleFloorUsdPerMonth": None if floor is None else round(floor, 2),
        "dialogueUrl": dialogue_url(config),
        "modelUrls": {model.name: model_url(service_name(model)) for model in config.models},
        "nextSteps": next_steps(config, cluster.update_kubeconfig_command),
    }
