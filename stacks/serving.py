"""Composes what serves on request: Knative, nodes' caches, a service for each model, the dialogue, its door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.cluster.ebs_driver import STORAGE_CLASS
from components.gpu.gpu_pool import GpuPool
from components.gpu.gpu_sharing import GpuSharing
from components.gpu.gpu_workload import GpuWorkload
from components.gpu.workloads import knative_features
from components.karpenter.cpu_pool import Architecture
from components.serving import conversations
from components.serving.app_image import AppImage, AppImageArgs
from components.serving.conversation_table import ConversationTable, ConversationTableArgs
from components.serving.dialogue import NAMESPACE, SERVICE, SERVICE_ACCOUNT, Dialogue, DialogueArgs, Speaker, Table
from components.serving.door import Door, DoorArgs
from components.serving.knative_config import FEATURES, Feature
from components.serving.knative_serving import KnativeServing, KnativeServingArgs
from components.serving.model_space import ModelSpace, ModelSpaceArgs
from components.serving.ollama_model import (
    MpsClient,
    OllamaModel,
    OllamaModelArgs,
    ServedModel,
    Weights,
    model_url,
)
from components.serving.warm_slots import WarmSlots, WarmSlotsArgs
from config.fields import BUILD
from config.floor import gateway_on_spot
from config.schema import Dialogue as DialogueConfig
from config.schema import Door as DoorConfig
from config.schema import Model, StackConfig
from config.services import Service, ollama_name, service_claim, service_name, stack_services, tagged_name
from gpu.importance import placing
from gpu.pool import Pool
from gpu.weights import WEIGHTS
from stacks.options import after, system_node_labels
from stacks.own_cluster import OwnCluster

DIALOGUE_FOLDER = "apps/dialogue"


@dataclass(frozen=True, kw_only=True)
class ServingBase:
    """What serving stands on. made: None in a cluster that is there, where checks let no door and no build pass."""

    made: OwnCluster | None
    sharing: GpuSharing
    pools: Mapping[str, GpuPool]
    cpu_pools: Sequence[pulumi.Resource]
    running: Sequence[pulumi.Resource]
    """The cluster's nodes, and what they reach the Internet through."""
    tags: Mapping[str, str]
    in_aws: pulumi.ResourceOptions
    in_cluster: pulumi.ResourceOptions


def knative_serving(config: StackConfig, base: ServingBase, workloads: Sequence[GpuWorkload]) -> KnativeServing | None:
    """Knative with the flags that models, the dialogue and workloads need; None where nothing is served by it."""
    if not config.knative:
        return None
    if exposed := gateway_on_spot(config):
        pulumi.log.warn(exposed)
    door = config.serving.door
    return KnativeServing(
        "knative",
        KnativeServingArgs(
            features=_features(config).union(*map(knative_features, workloads)),
            replicas=config.serving.replicas,
            domain=door.domain if door else None,
            tls_secret=door.tls_secret if door else None,
            metrics=config.monitoring.backend == "prometheus",
            vpc_cidr=config.network.cidr if door else None,
            node_selector=system_node_labels(config),
        ),
        after(base.in_cluster, *base.running),
    )


def serve(config: StackConfig, base: ServingBase, knative: KnativeServing | None) -> None:
    """Registers what keeps slots warm, and everything else that a stack with models has more than one without."""
    _warm_slots(config, base)
    if not config.models or knative is None:
        return
    door = config.serving.door
    cached = dict.fromkeys(model.pool for model in config.models if WEIGHTS[model.weights.source].cached)
    space = ModelSpace(
        "models",
        ModelSpaceArgs(
            cached_pools=list(cached),
            taints=[*dict.fromkeys(each for name in cached for each in config.gpu_pools[name].taints)],
            registries=config.serving.registry_cidrs,
            claims=[claim for service in stack_services(config) if (claim := _claim(service, config))],
        ),
        after(base.in_cluster, base.sharing.namespace, *(base.pools[name].node_pool for name in cached)),
    )
    ready = (knative.ready, *space.ready)
    for service in stack_services(config):
        pool = config.gpu_pools[service.first.pool]
        opts = after(base.in_cluster, *ready, base.pools[pool.name].node_pool)
        OllamaModel(f"model-{service.name}", _model_args(service, pool, config), opts)
    if config.dialogue and config.dialogue.image:
        _dialogue(config, config.dialogue, [knative.ready, *base.cpu_pools], base)
    if door:
        if door.plain_http is not None:
            pulumi.log.warn(f"the door speaks plain HTTP, keys and all, inside the VPC: {door.plain_http}")
        Door("door", _door_args(config, door, _own(base), base.tags), base.in_aws)


def _claim(service: Service, config: StackConfig) -> int:
    return service_claim(service, config.gpu_pools[service.first.pool])


def _features(config: StackConfig) -> set[Feature]:
    """Flags that models and the dialogue need."""
    if not config.models:
        return set()
    kept = config.dialogue and config.dialogue.on_volume
    of_models = {feature for model in config.models for feature in _weights(model).features}
    named: set[Feature] = {"schedulername"} if config.gpu_sharing.scheduler else set()
    if any(model.importance != "standard" for model in config.models):
        named.add("priorityclassname")
    return {*FEATURES, *of_models, *named, *(conversations.FEATURES if kept else ())}


def _weights(model: Model) -> Weights:
    return Weights(source=model.weights.source, image=model.weights.image)


def _model_args(service: Service, pool: Pool, config: StackConfig) -> OllamaModelArgs:
    first, claim = service.first, service_claim(service, pool)
    return OllamaModelArgs(
        service=service.name,
        models=[ServedModel(name=tagged_name(model), digest=model.weights.digest) for model in service.models],
        pool=pool.name,
        resource_name=pool.resource,
        claim_mib=claim or None,
        promised_mib=pool.promised_mib(claim),
        share=pool.claim_share(claim) if claim else pool.host_share,
        taints=pool.taints,
        weights_mib=service.weights_mib,
        memory_mib=None if service.is_known else service.memory_mib,
        context_length=first.context_length,
        parallel=first.parallel,
        kv_cache_type=first.kv_cache_type,
        weights=_weights(first),
        mps=MpsClient(memory_mib=first.mps.memory_mib, threads_percent=first.mps.max_compute_percent)
        if first.mps
        else MpsClient(),
        min_scale=first.min_scale,
        max_scale=service.max_scale,
        idle=first.idle,
        scheduler=config.gpu_sharing.scheduler,
        placing=placing(first.importance, pool.capacity_types, config.own_name, pool.reservation_type),
    )


def _warm_slots(config: StackConfig, base: ServingBase) -> None:
    for section in config.pools:
        if section.warm is None:
            continue
        pool, warm = config.gpu_pools[section.name], section.warm
        arguments = WarmSlotsArgs(
            pool=pool.name,
            resource_name=pool.resource,
            share=pool.host_share,
            taints=pool.taints,
            slots=warm.slots,
            days=warm.days,
            start=warm.start,
            end=warm.end,
            time_zone=warm.time_zone,
        )
        WarmSlots(f"warm-{pool.name}", arguments, after(base.in_cluster, base.pools[pool.name].node_pool))


def _dialogue(
    config: StackConfig, dialogue: DialogueConfig, ready: Sequence[pulumi.Resource], base: ServingBase
) -> None:
    arch = _architecture(config)
    image: pulumi.Input[str] = dialogue.image or BUILD
    if image == BUILD:
        arguments = AppImageArgs(
            repository=f"{config.cluster_name}/dialogue",
            context=DIALOGUE_FOLDER,
            platform="linux/amd64" if arch == "amd64" else "linux/arm64",
            key_arn=_own(base).data_key_arn,
            tags=base.tags,
        )
        image = AppImage("dialogue-image", arguments, base.in_aws).reference
    table = None
    if dialogue.store == "dynamodb":
        kept = ConversationTable("conversations", _table_args(config, _own(base), base.tags), base.in_aws)
        table, ready = Table(name=kept.table_name, region=config.region), [*ready, *kept.ready]
    Dialogue(
        "dialogue",
        DialogueArgs(
            image=image,
            arch=arch,
            speakers=_speakers(config, dialogue),
            settings={key: value for key, value in dialogue.settings.items() if key != "speakers"},
            keys_secret=dialogue.keys_secret,
            public=config.serving.door is not None,
            storage_class=dialogue.storage_class or STORAGE_CLASS,
            table=table,
        ),
        after(base.in_cluster, *ready),
    )


def _table_args(config: StackConfig, made: OwnCluster, tags: Mapping[str, str]) -> ConversationTableArgs:
    return ConversationTableArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        key_arn=made.data_key_arn,
        namespace=NAMESPACE,
        service_account=SERVICE_ACCOUNT,
        vpc_id=made.vpc_id,
        route_table_ids=made.route_table_ids,
        tags=tags,
        after=made.cluster.ready,
    )


def _architecture(config: StackConfig) -> Architecture:
    """What the dialogue is built for: x86 where there is such a pool, since most people build on it."""
    architectures = {pool.arch for pool in config.cpu_pools}
    return "arm64" if architectures == {"arm64"} else "amd64"


def _speakers(config: StackConfig, dialogue: DialogueConfig) -> list[Speaker]:
    models = {model.name: model for model in config.models}
    pools = {pool.name: pool for pool in config.pools}
    starts = {service.name: service.cold_start(pools[service.first.pool]) for service in stack_services(config)}
    found = []
    for name in (*dialogue.speakers, *dialogue.guests):
        model = models[name]
        start = starts[service_name(model)]
        speaker = Speaker(
            name=name,
            model=ollama_name(model),
            url=model_url(service_name(model)),
            context_length=model.context_length,
            guest=name in dialogue.guests,
            node_seconds=start.of("node", "plugin", "mps"),
            image_seconds=start.of("image"),
            weights_seconds=start.of("weights", "load"),
            own=dialogue.settings.get("speakers", {}).get(name, {}),
        )
        found.append(speaker)
    return found


def _own(base: ServingBase) -> OwnCluster:
    assert base.made is not None, "the configuration lets it pass only where the stack makes the cluster"
    return base.made


def _door_args(config: StackConfig, door: DoorConfig, made: OwnCluster, tags: Mapping[str, str]) -> DoorArgs:
    return DoorArgs(
        hosts=[f"{SERVICE}.{door.domain}"],
        allowed_cidrs=door.allowed_cidrs or [config.network.cidr],
        vpc_id=made.vpc_id,
        # Kourier runs in these zones; an address in every other would cost and lead here.
        subnet_ids=made.home_subnet_ids,
        system_nodes=made.cluster.system_nodes,
        node_security_group_id=made.cluster.cluster_security_group_id,
        certificate_arn=door.certificate_arn,
        tls_in_cluster=door.tls_secret is not None,
        zone_id=door.hosted_zone_id,
        idle_seconds=door.idle_seconds,
        deletion_protection=config.cluster.deletion_protection,
        tags=tags,
    )
