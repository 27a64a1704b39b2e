"""What a stack stands on: network, cluster and Karpenter, made by the stack or found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.cluster.access import AccessGrant
from components.cluster.addon import AddonsArgs
from components.cluster.cluster import HOME_ZONES, Cluster, ClusterArgs
from components.cluster.ebs_driver import EbsCsiDriver, EbsCsiDriverArgs
from components.cluster.encryption import Encryption, EncryptionArgs
from components.cluster.existing import (
    ExistingCluster,
    Supposed,
    look_up_cluster,
    look_up_oidc_provider,
)
from components.cluster.pull_through_policy import PullThroughPolicy, PullThroughPolicyArgs
from components.cluster.system_nodes import SystemNodeCapacity
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from components.karpenter.node_class import ClusterNodes
from components.mirror import from_mirror
from components.network.existing import ExistingSubnetsArgs, look_up_subnets
from components.network.network import Network, NetworkArgs
from components.new_only import new_only
from config.pools import EKS_EXCLUDED_ZONES
from config.schema import ExistingKarpenter, ExistingNetwork, StackConfig
from gpu.contract import CLUSTER_TAG, DISCOVERY_TAG, REGION_TAG, STACK_TAG
from gpu.registries import ecr_registry
from stacks.options import system_node_labels
from stacks.own_cluster import OwnCluster
from stacks.watching import topic_publishers
from stacks.ways_in import aws_auth


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The cluster with its Karpenter that everything else stands on, made by the stack or found.

    under_karpenter: what NodePools come after and end before. new: for what must be new, where others have objects too.
    """

    kubeconfig: pulumi.Output[str]
    kubernetes: k8s.Provider
    nodes: ClusterNodes
    buyer_role_name: pulumi.Input[str] | None
    made: OwnCluster | None = None
    running: Sequence[pulumi.Resource] = ()
    under_karpenter: Sequence[pulumi.Resource] = ()
    new: k8s.Provider | None = None


def ground_of(
    config: StackConfig, account_id: pulumi.Input[str], provider: aws.Provider, tags: Mapping[str, str]
) -> Ground:
    """What the stack file says of cluster, network and Karpenter, made or looked up."""
    if config.cluster.existing is None:
        return _made(config, account_id, provider, tags)
    if config.karpenter.existing is None:
        return _added(config, account_id, provider, tags)
    return _found(config, config.karpenter.existing, provider, tags)


def _made(
    config: StackConfig, account_id: pulumi.Input[str], provider: aws.Provider, tags: Mapping[str, str]
) -> Ground:
    """Keys, cluster and Karpenter of the stack's own, and its network, where none is there."""
    in_aws = aws_options(provider)
    keys = Encryption(
        "encryption",
        EncryptionArgs(
            cluster_name=config.cluster_name,
            account_id=account_id,
            region=config.region,
            publishers=topic_publishers(config),
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
        made=OwnCluster(
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
        _karpenter_args(config, account_id, _node_policies(config, tags, aws_options(provider)), tags),
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
        made = Network("network", _network_args(config, account_id, keys, tags), aws_options(provider))
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
        zone_ids=config.zones,
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
        addons=AddonsArgs(
            cluster_name=config.cluster_name,
            kubernetes_version=config.cluster.version,
            account_id=account_id,
            tags=tags,
        ),
        volume_key_arn=keys.volume_key_arn,
        system_volumes=config.monitoring.needs_driver,
        # A class cannot be changed: tags that people change would make it anew.
        volume_tags={key: tags[key] for key in (STACK_TAG, CLUSTER_TAG, REGION_TAG)},
        after=after,
    )
    return EbsCsiDriver("ebs-csi", arguments, opts).ready


def aws_options(provider: aws.Provider) -> pulumi.ResourceOptions:
    """Of what is in the account alone."""
    return pulumi.ResourceOptions(providers=[provider])


def _mirrored(config: StackConfig, *providers: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    """Providers of what runs in the cluster; its images and charts come from the mirror, if there is one."""
    mirror = config.cluster.registry_mirror
    transformations = [from_mirror(mirror)] if mirror else None
    return pulumi.ResourceOptions(providers=[*providers], transformations=transformations)


def on_ground(ground: Ground, config: StackConfig, *others: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    """Of what stands on the ground: it takes nothing over that is there. others: providers that it needs as well."""
    opts = _mirrored(config, *others, ground.kubernetes)
    if ground.new is None:
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[new_only(ground.new)]))
