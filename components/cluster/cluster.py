"""The EKS cluster with its access, its system nodes and its add-ons."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi

from components.cluster.access import Access, AccessArgs, AccessGrant
from components.cluster.addon import AddonsArgs
from components.cluster.cluster_addons import ClusterAddons
from components.cluster.node_addons import NodeAddons
from components.cluster.system_nodes import SystemNodeCapacity, SystemNodes, SystemNodesArgs
from components.sdk import aws, eks
from gpu.contract import DISCOVERY_TAG
from gpu.standing import WIDEST_ALLOWED_PREFIX

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
"""All that EKS has."""

HOME_ZONES = 2
"""Zones of the control plane and of the system nodes; EKS wants two at least."""

#: The defaults of the SDK's classes.
_OVERWRITE: Mapping[str, Any] = {
    "resolve_conflicts_on_create": "OVERWRITE",
    "resolve_conflicts_on_update": "OVERWRITE",
}


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Inputs of `Cluster`.

    private_subnet_ids: one a zone. Those of the first `HOME_ZONES` zones hold the control plane's network interfaces
        and the system nodes: EKS refuses to take a control plane to zones that it was not made with (user guide,
        "VPC and subnet requirements"), and replaces a node group whose subnets change. Zones may come and go behind
        these; keep the first ones.
    public_access_cidrs: networks that may reach the API server from outside; empty for a private endpoint alone.
    access: who may use the cluster beside the principal that makes it. Naming that one too is an error of EKS.
    system_nodes: see `SystemNodeCapacity`.
    node_egress: what nodes reach AWS through, `Network.egress`; nodes come after it and go before it.
    data_key_arn, volume_key_arn: see `Encryption`.
    additional_node_policies: see `SystemNodesArgs.additional_policies`.
    kubeconfig_role_arn: role to take before asking for a token, where the AWS provider takes one too.
    """

    cluster_name: str
    kubernetes_version: str
    region: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    node_egress: Sequence[pulumi.Resource] = ()
    public_access_cidrs: tuple[str, ...] = ()
    access: tuple[AccessGrant, ...] = ()
    system_nodes: SystemNodeCapacity = field(default_factory=SystemNodeCapacity)
    data_key_arn: pulumi.Input[str]
    volume_key_arn: pulumi.Input[str]
    log_retention_days: int = 365
    deletion_protection: bool = False
    kubeconfig_role_arn: str | None = None
    additional_node_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for a single subnet, and for networks in the allowlist malformed or wider than a /8."""
        if len(self.private_subnet_ids) < HOME_ZONES:
            raise ValueError(f"a cluster needs subnets in {HOME_ZONES} zones")
        for cidr in self.public_access_cidrs:
            if ipaddress.ip_network(cidr).prefixlen < WIDEST_ALLOWED_PREFIX:
                raise ValueError(f"{cidr} is too wide for an allowlist of the API server")


def control_plane_log_group(cluster_name: str) -> str:
    """The log group that EKS writes to, whoever made it."""
    return f"/aws/eks/{cluster_name}/cluster"


class Cluster(pulumi.ComponentResource):
    """A cluster that is ready for Karpenter.

    Access is by access entries only. EKS makes one with full rights for the principal that creates the cluster, because
    Pulumi applies the objects in the cluster as that principal; grant other people theirs with `ClusterArgs.access`.

    name: the cluster's name, known before anything exists.
    kubeconfig: JSON that gets tokens from `aws eks get-token`; it holds no secret. It is known only once `ready`
    exists, so all objects of a Kubernetes provider made from it come after the system nodes and go before them.
    ready: what objects in the cluster rely on.
    """

    name: str
    kubeconfig: pulumi.Output[str]
    cluster_security_group_id: pulumi.Output[str]
    node_role_arn: pulumi.Output[str]
    volume_key_arn: pulumi.Output[str]
    system_nodes: aws.eks.NodeGroup
    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Cluster", name, None, opts)
        self._name = name
        self._args = args
        control_plane = self._control_plane(self._log_group())
        needs_control_plane = pulumi.ResourceOptions(parent=self, depends_on=[control_plane])
        discovery = self._discovery_tag(control_plane)
        access = Access(f"{name}-access", self._access_args(), needs_control_plane)
        node_addons = NodeAddons(f"{name}-node-addons", self._addons_args(), needs_control_plane)
        nodes = SystemNodes(
            f"{name}-system",
            self._system_nodes_args([control_plane, *node_addons.addons, *args.node_egress]),
            pulumi.ResourceOptions(parent=self),
        )
        addons = ClusterAddons(
            f"{name}-addons",
            self._addons_args(),
            pulumi.ResourceOptions(parent=self, depends_on=[control_plane, nodes.node_group]),
        )
        self.name = args.cluster_name
        self.ready = (nodes.node_group, discovery, *node_addons.addons, *addons.addons, *access.grants)
        self.kubeconfig = _after(control_plane.kubeconfig_json, self.ready)
        self.cluster_security_group_id = control_plane.cluster_security_group_id
        self.node_role_arn = nodes.role_arn
        self.volume_key_arn = pulumi.Output.from_input(args.volume_key_arn)
        self.system_nodes = nodes.node_group
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})

    def _home_subnet_ids(self) -> list[pulumi.Input[str]]:
        return [*self._args.private_subnet_ids[:HOME_ZONES]]

    def _log_group(self) -> aws.cloudwatch.LogGroup:
        # EKS would make it otherwise: without encryption, and keeping logs for ever. After a destroy it may do so, and
        # nothing keeps its service-linked role from it (docs/operations.md, "What is left").
        return aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name=control_plane_log_group(self._args.cluster_name),
            kms_key_id=self._args.data_key_arn,
            retention_in_days=self._args.log_retention_days,
            tags=dict(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _control_plane(self, log_group: aws.cloudwatch.LogGroup) -> eks.Cluster:
        args = self._args
        return eks.Cluster(
            self._name,
            name=args.cluster_name,
            version=args.kubernetes_version,
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            deletion_protection=args.deletion_protection,
            authentication_mode=cast("eks.AuthenticationMode", "API"),
            vpc_id=args.vpc_id,
            private_subnet_ids=self._home_subnet_ids(),
            endpoint_private_access=True,
            endpoint_public_access=bool(args.public_access_cidrs),
            public_access_cidrs=[*args.public_access_cidrs] or None,
            # Nodes then use the security group that EKS makes for the cluster.
            skip_default_security_groups=True,
            skip_default_node_group=True,
            # Pods have their roles from Pod Identity.
            create_oidc_provider=False,
            encryption_config_key_arn=args.data_key_arn,
            enabled_cluster_log_types=[*LOG_TYPES],
            # Every add-on is one of ours, see components.cluster.addon.
            bootstrap_self_managed_addons=False,
            use_default_vpc_cni=True,
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False, **_OVERWRITE),
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False, **_OVERWRITE),
            provider_credential_opts=(
                eks.KubeconfigOptionsArgs(role_arn=args.kubeconfig_role_arn) if args.kubeconfig_role_arn else None
            ),
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[log_group]),
        )

    def _discovery_tag(self, control_plane: eks.Cluster) -> aws.ec2.Tag:
        # EKS makes the security group, so its tags are not ours to declare with it.
        return aws.ec2.Tag(
            f"{self._name}-discovery",
            resource_id=control_plane.cluster_security_group_id,
            key=DISCOVERY_TAG,
            value=self._args.cluster_name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[control_plane]),
        )

    def _access_args(self) -> AccessArgs:
        return AccessArgs(
            cluster_name=self._args.cluster_name,
            partition=self._args.partition,
            grants=self._args.access,
            tags=self._args.tags,
        )

    def _addons_args(self) -> AddonsArgs:
        return AddonsArgs(
            cluster_name=self._args.cluster_name,
            account_id=self._args.account_id,
            kubernetes_version=self._args.kubernetes_version,
            partition=self._args.partition,
            tags=self._args.tags,
        )

    def _system_nodes_args(self, after: Sequence[pulumi.Resource]) -> SystemNodesArgs:
        return SystemNodesArgs(
            cluster_name=self._args.cluster_name,
            kubernetes_version=self._args.kubernetes_version,
            partition=self._args.partition,
            subnet_ids=self._home_subnet_ids(),
            volume_key_arn=self._args.volume_key_arn,
            capacity=self._args.system_nodes,
            additional_policies=self._args.additional_node_policies,
            tags=self._args.tags,
            after=after,
        )


def _after(value: pulumi.Output[str], resources: Sequence[pulumi.Resource]) -> pulumi.Output[str]:
    """The value, known only once the resources exist; what uses it depends on them."""
    urns = [resource.urn for resource in resources]
    return pulumi.Output.all(value, *urns).apply(lambda known: str(known[0]))
