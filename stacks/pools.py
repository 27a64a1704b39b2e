"""What each pool of a stack is made of, and what its nodes and pods need beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.gpu.gpu_pool import GpuPoolArgs
from components.gpu.gpu_sharing import ExistingPlugin, GpuSharing, GpuSharingArgs
from components.gpu.packing_scheduler import PackingScheduler, PackingSchedulerArgs
from components.gpu.work_priorities import WorkPriorities, WorkPrioritiesArgs
from components.karpenter.cpu_pool import INTENT_TAINT, CpuPoolArgs
from components.karpenter.node_class import ClusterNodes, OwnNodeClass, Volume
from components.serving.model_claims import ModelClaims
from config.pool_schema import ReservationTerm
from config.schema import CpuPool as CpuPoolConfig
from config.schema import GpuPool as PoolConfig
from config.schema import StackConfig
from gpu.importance import priorities
from gpu.sharing import AMIS
from stacks.ground import Ground
from stacks.options import system_node_labels


def cpu_pool_args(pool: CpuPoolConfig, ground: Ground) -> CpuPoolArgs:
    """Of a pool of nodes without GPUs."""
    return CpuPoolArgs(
        nodes=ground.nodes,
        pool=pool.name,
        arch=pool.arch,
        cpus=pool.cpus,
        capacity_types=pool.capacity_types,
        # A cluster that is there has pods of others, which stay where they are.
        taints=() if ground.made else [INTENT_TAINT],
        cpu_limit=pool.limit_cpus,
        # What an m instance has: a fixed figure would stop a larger pool long before its vCPUs do.
        memory_limit_gib=max(256, 4 * pool.limit_cpus),
    )


def gpu_pool_args(pool: PoolConfig, config: StackConfig, nodes: ClusterNodes) -> GpuPoolArgs:
    """Of a pool of GPU nodes: the figures from `config.gpu_pools`, the nodes' own as the stack file has them."""
    volume = pool.volume
    return GpuPoolArgs(
        nodes=nodes,
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
        gpu_operator=config.gpu_sharing.existing is not None and config.gpu_sharing.installer == "gpu-operator",
        consolidation_policy=pool.consolidation_policy,
        consolidate_after=pool.consolidate_after,
        expire_after=pool.expire_after,
        termination_grace_period=pool.termination_grace_period,
        labels=pool.labels,
        own=_own_node_class(pool),
        user_data=pool.node_class.user_data,
        node_repair=config.cluster.node_repair,
    )


def _own_node_class(pool: PoolConfig) -> OwnNodeClass:
    own = pool.node_class
    return OwnNodeClass(
        ami_alias=own.ami_alias,
        ami_ids=own.ami_ids,
        role=own.role,
        instance_profile=own.instance_profile,
        volumes={
            each.device_name: Volume(
                size_gib=each.size_gib,
                iops=each.iops,
                throughput_mib_per_s=each.throughput_mibps,
                snapshot_id=each.snapshot_id,
            )
            for each in own.volumes
        },
        reservations=[_term(each) for each in pool.capacity_reservation_selector_terms],
    )


def _term(term: ReservationTerm) -> Mapping[str, Any]:
    """As an EC2NodeClass has it: an id stands alone."""
    if term.id:
        return {"id": term.id}
    return {"tags": dict(term.tags), **({"ownerID": term.owner_id} if term.owner_id else {})}


def sharing_args(config: StackConfig) -> GpuSharingArgs:
    """Of what shares the GPUs of all pools: device plugin, or driver of claims."""
    claims = [pool.name for pool in config.pools if config.gpu_pools[pool.name].claims]
    by_chart = [pool for pool in config.pools if AMIS[pool.ami].plugin_by_chart]
    existing = config.gpu_sharing.existing
    return GpuSharingArgs(
        profiles={pool.name: config.gpu_pools[pool.name].profile for pool in by_chart if pool.name not in claims},
        claims=claims,
        taints={pool.name: config.gpu_pools[pool.name].taints for pool in by_chart},
        untrusted=[pool.name for pool in by_chart if pool.tenants == "untrusted"],
        installer=config.gpu_sharing.installer,
        existing=ExistingPlugin(config_map=existing.config_map, namespace=existing.namespace) if existing else None,
        node_selector=system_node_labels(config),
    )


def plugin_of(pool: str, sharing: GpuSharing) -> Sequence[pulumi.Resource]:
    """What configures the device plugin on the pool's nodes, where the host does not: it must outlive them."""
    return [sharing.plugins[pool]] if pool in sharing.plugins else []


def claims_of_models(config: StackConfig, opts: pulumi.ResourceOptions) -> Mapping[str, Sequence[pulumi.Resource]]:
    """What gives models their claims, by the pools on which it must precede them."""
    pools = [name for name in dict.fromkeys(model.pool for model in config.models) if config.gpu_pools[name].claims]
    return dict.fromkeys(pools, ModelClaims("model-claims", opts).ready) if pools else {}


def packing_scheduler(config: StackConfig, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    """The scheduler that pods on GPUs name, where they name one: they wait without it."""
    if config.gpu_sharing.scheduler is None:
        return ()
    arguments = PackingSchedulerArgs(
        kubernetes_version=config.cluster.version, node_selector=system_node_labels(config)
    )
    return [PackingScheduler("packing-scheduler", arguments, opts)]


def work_priorities(config: StackConfig, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    """The priority classes that pods name, where some do: the API server refuses them without."""
    classes = priorities([work.importance for work in config.work], config.own_name)
    if not classes:
        return ()
    return [WorkPriorities("work-priorities", WorkPrioritiesArgs(classes=classes), opts)]
