"""Composes the components of a stack. What differs between dev, staging and prod is data, never another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.cluster.access import AccessGrant
from components.cluster.addons import AddonsArgs
from components.cluster.cluster import HOME_ZONES, Cluster, ClusterArgs
from components.cluster.ebs_driver import STORAGE_CLASS, EbsCsiDriver, EbsCsiDriverArgs
from components.cluster.encryption import Encryption, EncryptionArgs
from components.cluster.existing import (
    ExistingCluster,
    Supposed,
    look_up_cluster,
    look_up_oidc_provider,
    update_kubeconfig_command,
)
from components.cluster.pull_through import PullThroughPolicy, PullThroughPolicyArgs
from components.cluster.system_nodes import SystemNodeCapacity
from components.gpu.examples import ExampleWorkloads, ExampleWorkloadsArgs, GpuExample
from components.gpu.gpu_pool import GpuPool, GpuPoolArgs
from components.gpu.gpu_sharing import ExistingPlugin, GpuSharing, GpuSharingArgs
from components.gpu.packing_scheduler import PackingScheduler, PackingSchedulerArgs
from components.gpu.work_priorities import WorkPriorities, WorkPrioritiesArgs
from components.gpu.workloads import Checkpointing, GpuWorkload, GpuWorkloads, GpuWorkloadsArgs
from components.karpenter.cpu_pool import INTENT_TAINT, CpuPool, CpuPoolArgs
from components.karpenter.interruption import rule_name
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from components.karpenter.node_class import ClusterNodes, OwnNodeClass, Volume
from components.mirror import from_mirror
from components.money.alerts import AlertTopic, AlertTopicArgs, Publisher
from components.money.budget import Budget, BudgetArgs
from components.money.soft_brake import SoftBrake, SoftBrakeArgs
from components.monitoring.alarms import KARPENTER, KNATIVE, Watched
from components.monitoring.gpu_monitoring import GpuMonitoring, GpuMonitoringArgs
from components.monitoring.prometheus import PrometheusMonitoring, PrometheusMonitoringArgs
from components.monitoring.rules import WatchedStack
from components.network.existing import ExistingSubnetsArgs, look_up_subnets
from components.network.network import Network, NetworkArgs
from components.new_only import new_only
from components.pods import tolerations
from components.serving.knative_serving import KnativeServing
from components.serving.model_claims import ModelClaims
from components.serving.ollama_model import model_url
from config.bill import zones
from config.pool_schema import ReservationTerm
from config.pools import EKS_EXCLUDED_ZONES
from config.schema import Budget as BudgetConfig
from config.schema import CpuPool as CpuPoolConfig
from config.schema import ExistingKarpenter, ExistingNetwork, StackConfig
from config.schema import GpuPool as PoolConfig
from config.services import service_name
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import CLUSTER_TAG, DISCOVERY_TAG, POOL_LABEL, REGION_TAG, STACK_TAG
from gpu.importance import placing, priorities
from gpu.prices import HOURS_PER_MONTH
from gpu.registries import ecr_registry
from gpu.sharing import AMIS, Mig
from stacks.checkpoints import checkpointing
from stacks.options import after, system_node_labels
from stacks.serving import Made, Stand, knative_serving, serve
from stacks.summary import costs
from stacks.tags import stack_tags
from stacks.ways_in import aws_auth, dialogue_url, next_steps
from stacks.workloads import gpu_workload, on_knative


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a stack consists of, and what it hands out."""

    pools: Mapping[str, GpuPool]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The cluster with its Karpenter that everything else stands on, made by the stack or found.

    under_karpenter: what NodePools come after and end before. new: for what must be new, where others have objects too.
    """

    kubeconfig: pulumi.Output[str]
    kubernetes: k8s.Provider
    nodes: ClusterNodes
    buyer_role_name: pulumi.Input[str] | None
    made: Made | None = None
    running: Sequence[pulumi.Resource] = ()
    under_karpenter: Sequence[pulumi.Resource] = ()
    new: k8s.Provider | None = None


def build(config: StackConfig) -> Platform:
    """Registers every resource of the stack.

    Destruction runs backwards: workloads, NodePools, EC2NodeClasses, the device plugin, Karpenter's controller and
    definitions, system nodes, cluster, network. Nothing that Karpenter must clean up outlives what it needs for that.
    """
    tags = stack_tags(config)
    provider = aws.Provider("aws", region=config.region)
    in_aws = _in(provider)
    account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider)).account_id
    ground = _ground(config, account_id, provider, tags)
    in_cluster = _on(ground, config)

    topic = _topic(config, ground.made, tags, in_aws)
    if config.budget:
        arguments = _budget_args(config, config.budget, account_id, ground.buyer_role_name, topic, tags)
        Budget("budget", arguments, in_aws)
    under_karpenter = after(in_cluster, *ground.under_karpenter)
    cpu_pools = [
        CpuPool(f"cpu-{pool.name}", _cpu_pool_args(pool, ground), under_karpenter) for pool in config.cpu_pools
    ]
    sharing = GpuSharing("gpu-sharing", _sharing_args(config), in_cluster)
    if ground.made and topic:
        stand = after(_on(ground, config, provider), *ground.running, sharing.namespace)
        _monitoring(config, ground.made, topic, ground.running, tags, in_aws, stand)
    model_claims = _model_claims(config, in_cluster)
    pools = {
        pool.name: GpuPool(
            f"gpu-{pool.name}",
            _gpu_pool_args(pool, config, ground.nodes),
            after(under_karpenter, *_plugin_of(pool.name, sharing), *model_claims.get(pool.name, ())),
        )
        for pool in config.pools
    }
    node_pools = [*(pool.node_pool for pool in cpu_pools), *(pool.node_pool for pool in pools.values())]
    if config.budget and config.budget.soft_brake:
        in_both = _on(ground, config, provider)
        SoftBrake("soft-brake", _soft_brake_args(config, ground.made, tags), after(in_both, *node_pools))
    scheduler = _scheduler(config, after(in_cluster, *ground.running))
    named = [*scheduler, *_priorities(config, in_cluster)]
    keeping = checkpointing(config, ground.made, tags, in_aws)
    base = Stand(
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


def _ground(
    config: StackConfig, account_id: pulumi.Input[str], provider: aws.Provider, tags: Mapping[str, str]
) -> Ground:
    if config.cluster.existing is None:
        return _made(config, account_id, provider, tags)
    if config.karpenter.existing is None:
        return _added(config, account_id, provider, tags)
    return _found(config, config.karpenter.existing, provider, tags)


def _made(
    config: StackConfig, account_id: pulumi.Input[str], provider: aws.Provider, tags: Mapping[str, str]
) -> Ground:
    """Keys, cluster and Karpenter of the stack's own, and its network, where none is there."""
    in_aws = _in(provider)
    keys = Encryption(
        "encryption",
        EncryptionArgs(
            cluster_name=config.cluster_name,
            account_id=account_id,
            region=config.region,
            publishers=_publishers(config),
            tags=tags,
        ),
        in_aws,
    )
    net = _network(config, account_id, keys, provider, tags)
    node_policies = _node_policies(config, tags, in_aws)
    cluster = Cluster("cluster", _cluster_args(config, account_id, keys, net, node_policies, tags), in_aws)
    kubernetes = _kubernetes(config, cluster.kubeconfig, cluster.ready)
    in_both = _mirrored(config, provider, kubernetes)
    driver = _driver(config, account_id, keys, cluster.ready, tags, in_both)
    running = [*cluster.ready, *net.egress, *driver]
    arguments = _karpenter_args(config, account_id, node_policies, tags)
    arguments = replace(arguments, volume_key_arn=keys.volume_key_arn, after=running)
    karpenter = Karpenter("karpenter", arguments, in_both)
    return Ground(
        kubeconfig=cluster.kubeconfig,
        kubernetes=kubernetes,
        nodes=_placed(karpenter.nodes, config.network.existing),
        buyer_role_name=karpenter.controller_role_name,
        made=Made(
            account_id=account_id,
            cluster=cluster,
            vpc_id=net.vpc_id,
            home_subnet_ids=net.subnet_ids[:HOME_ZONES],
            route_table_ids=net.route_table_ids,
            data_key_arn=keys.data_key_arn,
        ),
        running=running,
        under_karpenter=[karpenter.ready],
    )


def _added(
    config: StackConfig, account_id: pulumi.Input[str], provider: aws.Provider, tags: Mapping[str, str]
) -> Ground:
    """A cluster that is there, and a Karpenter of the stack's own in it."""
    mode = config.cluster.authentication_mode
    supposed = Supposed(version=config.cluster.version, authentication_mode=mode)
    cluster = look_up_cluster(config.cluster_name, config.region, provider, supposed)
    kubeconfig = _where_nodes_go(config, cluster, provider)
    kubernetes = _kubernetes(config, kubeconfig, ())
    arguments = replace(
        _karpenter_args(config, account_id, _node_policies(config, tags, _in(provider)), tags),
        access_entry=mode != "CONFIG_MAP",
        oidc_issuer=look_up_oidc_provider(cluster, provider) if config.karpenter.identity == "irsa" else None,
        node_selector=system_node_labels(config),
    )
    karpenter = Karpenter("karpenter", arguments, _mirrored(config, provider, kubernetes))
    if to_let_in := aws_auth(config):
        pulumi.log.warn(to_let_in)
    return Ground(
        kubeconfig=cluster.kubeconfig,
        kubernetes=kubernetes,
        nodes=_placed(karpenter.nodes, config.network.existing),
        buyer_role_name=karpenter.controller_role_name,
        under_karpenter=[karpenter.ready],
        new=_kubernetes(config, kubeconfig, (), new=True),
    )


def _where_nodes_go(config: StackConfig, cluster: ExistingCluster, provider: aws.Provider) -> pulumi.Output[str]:
    """The kubeconfig of a cluster that is there, known once the subnets for nodes are found and do."""
    existing = config.network.existing or ExistingNetwork()
    found = look_up_subnets(
        ExistingSubnetsArgs(
            ids=existing.subnet_ids,
            tags={} if existing.subnet_ids else existing.subnet_tags or {DISCOVERY_TAG: config.cluster_name},
            vpc_id=cluster.vpc_id,
            zones=_zones_of_pools(config),
            # Karpenter needs one; `slices check` says what a single zone means for Spot.
            fewest_zones=1,
        ),
        provider,
    )
    return pulumi.Output.all(cluster.kubeconfig, found.subnet_ids).apply(lambda known: str(known[0]))


def _found(config: StackConfig, existing: ExistingKarpenter, provider: aws.Provider, tags: Mapping[str, str]) -> Ground:
    """A cluster and its Karpenter that are there: looked up, and none of it a resource of the stack."""
    supposed = Supposed(version=config.cluster.version)
    kubeconfig = look_up_cluster(config.cluster_name, config.region, provider, supposed).kubeconfig
    nodes = ClusterNodes(cluster_name=config.cluster_name, node_role_name=existing.node_role, tags=tags)
    return Ground(
        kubeconfig=kubeconfig,
        kubernetes=_kubernetes(config, kubeconfig, ()),
        nodes=_placed(nodes, existing),
        buyer_role_name=existing.controller_role,
        new=_kubernetes(config, kubeconfig, (), new=True),
    )


def _placed(nodes: ClusterNodes, where: ExistingNetwork | ExistingKarpenter | None) -> ClusterNodes:
    """Nodes in the subnets and security groups that the stack file names."""
    if where is None:
        return nodes
    return replace(
        nodes,
        subnet_tags=where.subnet_tags or None,
        subnet_ids=where.subnet_ids,
        security_group_tags=where.security_group_tags or None,
        security_group_ids=where.security_group_ids,
    )


@dataclass(frozen=True, kw_only=True)
class _Net:
    """The network that a cluster of the stack's own is in, made or found. subnet_ids: private ones."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    route_table_ids: Sequence[pulumi.Input[str]] = ()
    egress: Sequence[pulumi.Resource] = ()


def _network(
    config: StackConfig,
    account_id: pulumi.Input[str],
    keys: Encryption,
    provider: aws.Provider,
    tags: Mapping[str, str],
) -> _Net:
    existing = config.network.existing
    if existing is None:
        made = Network("network", _network_args(config, account_id, keys, tags), _in(provider))
        return _Net(
            vpc_id=made.vpc_id,
            subnet_ids=made.private_subnet_ids,
            route_table_ids=made.private_route_table_ids,
            egress=made.egress,
        )
    found = look_up_subnets(
        ExistingSubnetsArgs(
            ids=existing.subnet_ids,
            tags=existing.subnet_tags,
            vpc_id=existing.vpc_id,
            zones=_zones_of_pools(config),
            no_homes=[*EKS_EXCLUDED_ZONES],
        ),
        provider,
    )
    return _Net(vpc_id=found.vpc_id, subnet_ids=found.home_subnet_ids)


def _zones_of_pools(config: StackConfig) -> Mapping[str, Sequence[str]]:
    """Zone ids that offer a type of each GPU pool."""
    return {
        pool.name: sorted({zone for each in pool.types for zone in each.zone_ids.get(config.region, ())})
        for pool in config.gpu_pools.values()
    }


def _in(provider: aws.Provider) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(providers=[provider])


def _mirrored(config: StackConfig, *providers: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    """Providers of what runs in the cluster; its images and charts come from the mirror, if there is one."""
    mirror = config.cluster.registry_mirror
    transformations = [from_mirror(mirror)] if mirror else None
    return pulumi.ResourceOptions(providers=[*providers], transformations=transformations)


def _on(ground: Ground, config: StackConfig, *others: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    """Of what stands on the ground: it takes nothing over that is there. others: providers that it needs as well."""
    opts = _mirrored(config, *others, ground.kubernetes)
    if ground.new is None:
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[new_only(ground.new)]))


def _kubernetes(
    config: StackConfig, kubeconfig: pulumi.Input[str], ready: Sequence[pulumi.Resource], *, new: bool = False
) -> k8s.Provider:
    """Of the cluster. new: for objects that are made and never taken over."""
    return k8s.Provider(
        "kubernetes-new" if new else "kubernetes",
        kubeconfig=kubeconfig,
        # Without it a changed kubeconfig text could replace the provider, and everything in the cluster with it.
        cluster_identifier=config.cluster_name,
        enable_server_side_apply=not new,
        opts=pulumi.ResourceOptions(depends_on=[*ready]),
    )


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


def _node_policies(
    config: StackConfig, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> Mapping[str, pulumi.Input[str]]:
    """Policies of the nodes' roles beside those that all nodes need, by name."""
    registry = ecr_registry(config.cluster.registry_mirror or "")
    if registry is None:
        return {}
    arguments = PullThroughPolicyArgs(cluster_name=config.cluster_name, registry=registry, tags=tags)
    return {"pull-through": PullThroughPolicy("pull-through", arguments, opts).arn}


def _cluster_args(
    config: StackConfig,
    account_id: pulumi.Input[str],
    keys: Encryption,
    net: _Net,
    node_policies: Mapping[str, pulumi.Input[str]],
    tags: Mapping[str, str],
) -> ClusterArgs:
    cluster = config.cluster
    nodes = cluster.system_nodes
    return ClusterArgs(
        cluster_name=config.cluster_name,
        kubernetes_version=cluster.version,
        region=config.region,
        account_id=account_id,
        vpc_id=net.vpc_id,
        private_subnet_ids=net.subnet_ids,
        node_egress=net.egress,
        public_access_cidrs=cluster.public_access_cidrs,
        access=(
            *(AccessGrant(principal_arn=arn, policy="cluster-admin") for arn in cluster.admins),
            *(AccessGrant(principal_arn=arn, policy="view") for arn in cluster.viewers),
        ),
        system_nodes=SystemNodeCapacity(
            instance_types=nodes.instance_types,
            capacity_type=nodes.capacity_type,
            min=nodes.min,
            desired=nodes.desired,
            max=nodes.max,
        ),
        data_key_arn=keys.data_key_arn,
        volume_key_arn=keys.volume_key_arn,
        log_retention_days=cluster.log_retention_days,
        deletion_protection=cluster.deletion_protection,
        additional_node_policies=node_policies,
        tags=tags,
    )


def _karpenter_args(
    config: StackConfig,
    account_id: pulumi.Input[str],
    node_policies: Mapping[str, pulumi.Input[str]],
    tags: Mapping[str, str],
) -> KarpenterArgs:
    """Of a Karpenter of the stack's own, wherever it runs."""
    return KarpenterArgs(
        cluster_name=config.cluster_name,
        account_id=account_id,
        region=config.region,
        volume_key_arn=None,
        node_repair=config.cluster.node_repair,
        system_nodes=config.cluster.system_nodes.desired,
        public_addresses=config.network.nat == "none",
        # Alpha: only where a pool keeps slots warm at all hours.
        capacity_buffer=any(pool.warm and pool.warm.start is None for pool in config.pools),
        # Alpha: only where a pool has a fixed number of nodes.
        static_capacity=any(pool.static is not None for pool in config.gpu_pools.values()),
        # Alpha: only where pods claim memory.
        dra_nvidia_gpu=any(pool.claims for pool in config.gpu_pools.values()),
        additional_node_policies=node_policies,
        tags=tags,
    )


def _driver(
    config: StackConfig,
    account_id: pulumi.Input[str],
    keys: Encryption,
    after: Sequence[pulumi.Resource],
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> Sequence[pulumi.Resource]:
    """What makes the volumes of conversations, where the stack file names no other class, and of Prometheus."""
    conversations = config.models and config.dialogue and config.dialogue.needs_driver
    if not (conversations or config.monitoring.needs_driver):
        return ()
    arguments = EbsCsiDriverArgs(
        cluster_name=config.cluster_name,
        kubernetes_version=config.cluster.version,
        account_id=account_id,
        volume_key_arn=keys.volume_key_arn,
        system_volumes=config.monitoring.needs_driver,
        # A class cannot be changed: tags that people change would make it anew.
        volume_tags={key: tags[key] for key in (STACK_TAG, CLUSTER_TAG, REGION_TAG)},
        tags=tags,
        after=after,
    )
    return EbsCsiDriver("ebs-csi", arguments, opts).ready


def _publishers(config: StackConfig) -> Sequence[Publisher]:
    """AWS' services that publish to the stack's topic."""
    found: list[Publisher] = []
    if config.budget:
        found.append("budgets")
        if config.budget.anomalies:
            found.append("costalerts")
    if config.monitoring.backend == "cloudwatch":
        found.append("cloudwatch")
    return found


def _topic(
    config: StackConfig, made: Made | None, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> AlertTopic | None:
    """The topic that hears of money and alarms: where the stack has a key for it."""
    publishers = _publishers(config)
    # Alertmanager publishes as a role of the account, which a topic admits by itself.
    if made is None or not (publishers or config.monitoring.backend == "prometheus"):
        return None
    arguments = AlertTopicArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        key_arn=made.data_key_arn,
        publishers=publishers,
        tags=tags,
    )
    return AlertTopic("alerts", arguments, opts)


def _budget_args(
    config: StackConfig,
    budget: BudgetConfig,
    account_id: pulumi.Input[str],
    buyer_role_name: pulumi.Input[str] | None,
    topic: AlertTopic | None,
    tags: Mapping[str, str],
) -> BudgetArgs:
    assert buyer_role_name is not None, "the configuration lets no budget pass without the role"
    return BudgetArgs(
        name=config.own_name,
        monthly_usd=budget.monthly_usd,
        emails=budget.emails,
        tag=(STACK_TAG, config.stack),
        buyer_role_name=buyer_role_name,
        account_id=account_id,
        topic_arn=topic.arn if topic else None,
        anomalies=budget.anomalies,
        tags=tags,
    )


def _soft_brake_args(config: StackConfig, made: Made | None, tags: Mapping[str, str]) -> SoftBrakeArgs:
    assert made is not None, "the configuration lets no soft brake pass without a cluster of the stack's own"
    pools = config.gpu_pools.values()
    return SoftBrakeArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        budget_name=config.own_name,
        pools=[pool.name for pool in pools if not pool.always_paid],
        others=[pool.name for pool in pools if pool.always_paid],
        tags=tags,
        after=made.cluster.ready,
    )


def _monitoring(
    config: StackConfig,
    made: Made,
    topic: AlertTopic,
    running: Sequence[pulumi.Resource],
    tags: Mapping[str, str],
    in_aws: pulumi.ResourceOptions,
    in_both: pulumi.ResourceOptions,
) -> None:
    """What watches the stack. in_both: for what is in the cluster as well, after what it stands on."""
    match config.monitoring.backend:
        case "off":
            pass
        case "cloudwatch":
            GpuMonitoring("monitoring", _monitoring_args(config, made, topic, running, tags), in_aws)
        case "prometheus":
            PrometheusMonitoring("monitoring", _prometheus_args(config, made, topic, tags), in_both)
        case _:
            assert_never(config.monitoring.backend)


def _prometheus_args(
    config: StackConfig, made: Made, topic: AlertTopic, tags: Mapping[str, str]
) -> PrometheusMonitoringArgs:
    return PrometheusMonitoringArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        watched=watched_stack(config),
        topic_arn=topic.arn,
        key_arn=made.data_key_arn,
        storage_class=STORAGE_CLASS if config.monitoring.needs_driver else None,
        volume_gib=config.monitoring.volume_gib,
        tags=tags,
    )


def watched_stack(config: StackConfig) -> WatchedStack:
    """What Prometheus watches of a stack."""
    return WatchedStack(
        gpu_pools=list(config.gpu_pools),
        serving=config.knative,
        dialogue=bool(config.models and config.dialogue and config.dialogue.image),
        usd_per_hour=_usd_per_hour(config),
    )


def _usd_per_hour(config: StackConfig) -> float | None:
    """Mean of an hour that the budget bears."""
    return config.budget.monthly_usd / HOURS_PER_MONTH if config.budget else None


def _monitoring_args(
    config: StackConfig, made: Made, topic: AlertTopic, after: Sequence[pulumi.Resource], tags: Mapping[str, str]
) -> GpuMonitoringArgs:
    return GpuMonitoringArgs(
        addons=AddonsArgs(
            cluster_name=config.cluster_name,
            kubernetes_version=config.cluster.version,
            account_id=made.account_id,
            tags=tags,
        ),
        watched=watched(config),
        region=config.region,
        key_arn=made.data_key_arn,
        topic_arn=topic.arn,
        log_retention_days=config.cluster.log_retention_days,
        tags=tags,
        after=after,
    )


def watched(config: StackConfig) -> Watched:
    """What monitoring watches of a stack. A GPU counts at the price of the dearest pool's."""
    prices = [
        pool.price.usd_per_hour(pool.capacity_type) / INSTANCE_TYPES[pool.price.instance_type].gpu_count
        for pool in config.gpu_pools.values()
        if pool.price
    ]
    return Watched(
        cluster_name=config.cluster_name,
        spot_rule=rule_name(config.cluster_name, "spot"),
        controllers=[KARPENTER, KNATIVE] if config.knative else [KARPENTER],
        utilisation=not any(isinstance(pool.profile, Mig) for pool in config.gpu_pools.values()),
        usd_per_gpu_hour=max(prices) if len(prices) == len(config.pools) else None,
        usd_per_hour=_usd_per_hour(config),
    )


def _cpu_pool_args(pool: CpuPoolConfig, ground: Ground) -> CpuPoolArgs:
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


def _sharing_args(config: StackConfig) -> GpuSharingArgs:
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


def _scheduler(config: StackConfig, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    """The scheduler that pods on GPUs name, where they name one: they wait without it."""
    if config.gpu_sharing.scheduler is None:
        return ()
    arguments = PackingSchedulerArgs(
        kubernetes_version=config.cluster.version, node_selector=system_node_labels(config)
    )
    return [PackingScheduler("packing-scheduler", arguments, opts)]


def _priorities(config: StackConfig, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    """The priority classes that pods name, where some do: the API server refuses them without."""
    classes = priorities([work.importance for work in config.work], config.own_name)
    if not classes:
        return ()
    return [WorkPriorities("work-priorities", WorkPrioritiesArgs(classes=classes), opts)]


def _plugin_of(pool: str, sharing: GpuSharing) -> Sequence[pulumi.Resource]:
    """What configures the device plugin on the pool's nodes, where the host does not: it must outlive them."""
    return [sharing.plugins[pool]] if pool in sharing.plugins else []


def _model_claims(config: StackConfig, opts: pulumi.ResourceOptions) -> Mapping[str, Sequence[pulumi.Resource]]:
    """What gives models their claims, by the pools on which it must precede them."""
    pools = [name for name in dict.fromkeys(model.pool for model in config.models) if config.gpu_pools[name].claims]
    return dict.fromkeys(pools, ModelClaims("model-claims", opts).ready) if pools else {}


def _gpu_pool_args(pool: PoolConfig, config: StackConfig, nodes: ClusterNodes) -> GpuPoolArgs:
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
