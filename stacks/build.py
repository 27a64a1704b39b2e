"""Composes the components of a stack. What differs between dev, staging and prod is data, never another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.cluster.existing import update_kubeconfig_command
from components.gpu.checkpoints import Checkpointing
from components.gpu.examples import ExampleWorkloads, ExampleWorkloadsArgs, GpuExample
from components.gpu.gpu_pool import GpuPool
from components.gpu.gpu_sharing import GpuSharing
from components.gpu.gpu_workload import GpuWorkload
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from components.karpenter.cpu_pool import CpuPool
from components.money.budget import Budget
from components.money.soft_brake import SoftBrake
from components.pods import tolerations
from components.serving.knative_serving import KnativeServing
from components.serving.ollama_model import model_url
from config.schema import StackConfig
from config.services import service_name
from gpu.contract import POOL_LABEL
from gpu.importance import placing
from stacks.checkpoints import checkpointing
from stacks.ground import aws_options, ground_of, on_ground
from stacks.options import after
from stacks.pools import (
    claims_of_models,
    cpu_pool_args,
    gpu_pool_args,
    packing_scheduler,
    plugin_of,
    sharing_args,
    work_priorities,
)
from stacks.serving import ServingBase, knative_serving, serve
from stacks.summary import costs
from stacks.tags import stack_tags
from stacks.watching import alert_topic, budget_args, soft_brake_args, watch
from stacks.ways_in import dialogue_url, next_steps
from stacks.workloads import gpu_workload, on_knative


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a stack consists of, and what it hands out."""

    pools: Mapping[str, GpuPool]
    outputs: Mapping[str, Any]


def build(config: StackConfig) -> Platform:
    """Registers every resource of the stack.

    Destruction runs backwards: workloads, NodePools, EC2NodeClasses, the device plugin, Karpenter's controller and
    definitions, system nodes, cluster, network. Nothing that Karpenter must clean up outlives what it needs for that.
    """
    tags = stack_tags(config)
    provider = aws.Provider("aws", region=config.region)
    in_aws = aws_options(provider)
    account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider)).account_id
    ground = ground_of(config, account_id, provider, tags)
    in_cluster = on_ground(ground, config)

    topic = alert_topic(config, ground.made, tags, in_aws)
    if config.budget:
        arguments = budget_args(config, config.budget, account_id, ground.buyer_role_name, topic, tags)
        Budget("budget", arguments, in_aws)
    under_karpenter = after(in_cluster, *ground.under_karpenter)
    cpu_pools = [CpuPool(f"cpu-{pool.name}", cpu_pool_args(pool, ground), under_karpenter) for pool in config.cpu_pools]
    sharing = GpuSharing("gpu-sharing", sharing_args(config), in_cluster)
    if ground.made and topic:
        stand = after(on_ground(ground, config, provider), *ground.running, sharing.namespace)
        watch(config, ground.made, topic, ground.running, tags, in_aws, stand)
    model_claims = claims_of_models(config, in_cluster)
    pools = {
        pool.name: GpuPool(
            f"gpu-{pool.name}",
            gpu_pool_args(pool, config, ground.nodes),
            after(under_karpenter, *plugin_of(pool.name, sharing), *model_claims.get(pool.name, ())),
        )
        for pool in config.pools
    }
    node_pools = [*(pool.node_pool for pool in cpu_pools), *(pool.node_pool for pool in pools.values())]
    if config.budget and config.budget.soft_brake:
        in_both = on_ground(ground, config, provider)
        SoftBrake("soft-brake", soft_brake_args(config, ground.made, tags), after(in_both, *node_pools))
    scheduler = packing_scheduler(config, after(in_cluster, *ground.running))
    named = [*scheduler, *work_priorities(config, in_cluster)]
    keeping = checkpointing(config, ground.made, tags, in_aws)
    base = ServingBase(
        made=ground.made,
        sharing=sharing,
        pools=pools,
        cpu_pools=[pool.node_pool for pool in cpu_pools],
        running=[*ground.running, *named],
        tags=tags,
        in_aws=in_aws,
        in_cluster=in_cluster,
    )
    workloads = _gpu_workloads(config, keeping)
    knative = knative_serving(config, base, workloads)
    _workloads(config, workloads, knative, after(in_cluster, *node_pools, *named))
    serve(config, base, knative)
    return Platform(pools=pools, outputs=_outputs(config, ground.kubeconfig))


def _gpu_workloads(config: StackConfig, keeping: Mapping[str, Checkpointing]) -> list[GpuWorkload]:
    return [
        gpu_workload(
            workload,
            pool := config.gpu_pools[workload.pool],
            keeping.get(workload.name),
            config.gpu_sharing.scheduler,
            placing(workload.importance, pool.capacity_types, config.own_name, pool.reservation_type),
        )
        for workload in config.workloads
    ]


def _workloads(
    config: StackConfig, workloads: Sequence[GpuWorkload], knative: KnativeServing | None, opts: pulumi.ResourceOptions
) -> None:
    if config.examples:
        first = config.gpu_pools[config.pools[0].name]
        gpu = GpuExample(
            resource_name=first.resource,
            node_selector={POOL_LABEL: first.name},
            tolerations=tolerations(first.taints),
        )
        architectures = sorted({pool.arch for pool in config.cpu_pools})
        arguments = ExampleWorkloadsArgs(architectures=architectures, gpu=gpu)
        ExampleWorkloads("examples", arguments, opts)
    if workloads:
        after_knative = [on_knative(workload, knative.ready) if knative else workload for workload in workloads]
        GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=after_knative), opts)


def _outputs(config: StackConfig, kubeconfig: pulumi.Output[str]) -> Mapping[str, Any]:
    update = update_kubeconfig_command(config.cluster_name, config.region)
    return {
        "kubeconfig": kubeconfig,
        "updateKubeconfigCommand": update,
        "pools": [pool.as_output() for pool in config.gpu_pools.values()],
        **costs(config),
        "dialogueUrl": dialogue_url(config),
        "modelUrls": {model.name: model_url(service_name(model)) for model in config.models},
        "nextSteps": next_steps(config, update),
    }
