"""Karpenter: the controller that buys and returns nodes, and everything in AWS and in the cluster it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

import versions
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.karpenter import karpenter_policies as policies
from components.karpenter.controller_role import ControllerRole, ControllerRoleArgs
from components.karpenter.interruption import InterruptionQueue, InterruptionQueueArgs
from components.karpenter.node_class import ClusterNodes
from components.karpenter.node_role import NodeRole, NodeRoleArgs
from components.sdk import k8s
from gpu.contract import OS_LABEL
from gpu.standing import NODE_ROLE_SUFFIX, ROLE_NAME_LIMIT
from gpu.system_pods import KARPENTER_CPU_MILLIS, KARPENTER_REPLICAS, karpenter_cpu_millis, karpenter_replicas

_MAX_CLUSTER_NAME = ROLE_NAME_LIMIT - len(NODE_ROLE_SUFFIX)


@dataclass(frozen=True, kw_only=True)
class KarpenterArgs:
    """Inputs of `Karpenter`. Raises ValueError if the cluster's name is too long for the role named after it.

    cluster_name: name of the EKS cluster, a plain value: roles, rules and policies are named by it.
    account_id, region, partition: where the cluster is.
    volume_key_arn: KMS key of the nodes' volumes; None for the account's own key of EBS. Spot needs more than the
    controller's permission: the key's own policy must let EC2 act for the account (`kms:ViaService`,
    `kms:CallerAccount`), because Spot instances are launched by a service-linked role.
    queue_key_arn: see `InterruptionQueueArgs`.
    node_overlay: alpha feature gate; without it Karpenter buys a GPU for every slot that is asked for.
    node_repair: alpha feature gate; replaces a node 10 minutes after EKS' monitoring agent calls its GPUs unfit for a
    known XID error, 30 minutes after any other reason or part, or when the kubelet is silent (karpenter-provider-aws
    v1.15.0, pkg/cloudprovider RepairPolicies). The agent's `DCGMError` comes from a node's boot and never clears
    (aws/eks-node-monitoring-agent#266, #275): healthy GPU nodes would end. Give `GpuPoolArgs.node_repair` the same.
    spot_to_spot: alpha feature gate; lets consolidation replace Spot nodes by cheaper Spot nodes.
    capacity_buffer: alpha feature gate; keeps spare capacity warm.
    static_capacity: alpha feature gate; keeps as many nodes of a NodePool as its `replicas` says.
    dra_nvidia_gpu: alpha feature gate of the AWS provider; buys nodes for claims of devices of NVIDIA's DRA driver.
    additional_node_policies: see `NodeRoleArgs.additional_policies`.
    oidc_issuer: see `ControllerRoleArgs.oidc_issuer`. access_entry: see `NodeRoleArgs.access_entry`.
    node_selector: labels of the nodes that stay, on which the controller runs.
    cpu, memory: requests and limits of one controller replica, as Kubernetes quantities.
    after: the cluster with its add-ons, the system nodes and the network's routes. On destroy the controller must still
    run, and reach AWS, while it ends its nodes.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    volume_key_arn: pulumi.Input[str] | None
    partition: str = "aws"
    queue_key_arn: pulumi.Input[str] | None = None
    oidc_issuer: pulumi.Input[str] | None = None
    access_entry: bool = True
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))
    node_overlay: bool = True
    node_repair: bool = False
    spot_to_spot: bool = False
    capacity_buffer: bool = False
    static_capacity: bool = False
    dra_nvidia_gpu: bool = False
    system_nodes: int = KARPENTER_REPLICAS
    public_addresses: bool = False
    cpu: str = f"{KARPENTER_CPU_MILLIS // 1000}"
    memory: str = "1Gi"
    log_level: str = "info"
    additional_node_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        if len(self.cluster_name) > _MAX_CLUSTER_NAME:
            raise ValueError(
                f"cluster name {self.cluster_name!r} has {len(self.cluster_name)} characters; at most "
                f"{_MAX_CLUSTER_NAME}: the nodes' role is called <cluster>{NODE_ROLE_SUFFIX} and IAM allows "
                f"{ROLE_NAME_LIMIT}"
            )


class Karpenter(pulumi.ComponentResource):
    """Karpenter with its permissions, interruption queue, custom resource definitions and controller.

    Needs both an AWS and a Kubernetes provider. Node pools must depend on `ready`: their nodes end before it.
    """

    controller_role_name: pulumi.Output[str]
    node_role_name: str
    """Name of the role that EC2NodeClasses give to nodes; known in preview."""
    queue_name: str
    nodes: ClusterNodes
    """What node pools need of it."""
    ready: pulumi.Resource
    """The controller's release: custom resources made after it are reconciled, and destroyed before it."""

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Karpenter", name, None, opts)
        self.node_role_name = f"{args.cluster_name}{NODE_ROLE_SUFFIX}"
        self.nodes = ClusterNodes(
            cluster_name=args.cluster_name,
            node_role_name=self.node_role_name,
            volume_key_arn=args.volume_key_arn,
            public_addresses=args.public_addresses,
            tags=args.tags,
        )

        child = pulumi.ResourceOptions(parent=self)
        queue = InterruptionQueue(f"{name}-interruption", _queue_args(args), opts=child)
        self.queue_name = queue.queue_name
        node_role = NodeRole(
            f"{name}-node",
            NodeRoleArgs(
                cluster_name=args.cluster_name,
                partition=args.partition,
                access_entry=args.access_entry,
                additional_policies=args.additional_node_policies,
                tags=args.tags,
                after=args.after,
            ),
            opts=child,
        )
        controller_role = ControllerRole(f"{name}-controller", _controller_role_args(args, self.queue_name), opts=child)
        self.controller_role_name = controller_role.role.name
        crds = _release(
            f"{name}-crd",
            versions.KARPENTER_CRD_CHART,
            "karpenter-crd",
            None,
            pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
        )
        self.ready = _release(
            f"{name}-controller",
            versions.KARPENTER_CHART,
            policies.CONTROLLER_SERVICE_ACCOUNT,
            chart_values(args, self.queue_name, controller_role.role.arn if args.oidc_issuer is not None else None),
            pulumi.ResourceOptions(parent=self, depends_on=[crds, queue, node_role, controller_role, *args.after]),
        )
        self.register_outputs({"node_role_name": self.node_role_name, "queue_name": self.queue_name})


def chart_values(args: KarpenterArgs, queue_name: str, role_arn: pulumi.Input[str] | None = None) -> dict[str, Any]:
    """Values of Karpenter's chart. role_arn: what the service account names where the role is taken by OIDC.

    The controller runs on system nodes only, never on a node it could remove, and resolves names by the VPC's DNS so
    that it can buy the very nodes CoreDNS waits for.
    """
    limits = {"cpu": args.cpu, "memory": args.memory}
    requests = limits if args.system_nodes > 1 else {**limits, "cpu": f"{karpenter_cpu_millis(args.system_nodes)}m"}
    account: dict[str, Any] = {"create": True, "name": policies.CONTROLLER_SERVICE_ACCOUNT}
    if role_arn is not None:
        account["annotations"] = {"eks.amazonaws.com/role-arn": role_arn}
    # Only where it is on: with it the chart tells Karpenter not to ignore pods with claims.
    static: dict[str, Any] = {"staticCapacity": True} if args.static_capacity else {}
    aws_gates: dict[str, Any] = {"awsFeatureGates": {"draNVIDIAGPU": True}} if args.dra_nvidia_gpu else {}
    return {
        "serviceAccount": account,
        "serviceMonitor": {"enabled": False},
        "replicas": karpenter_replicas(args.system_nodes),
        "podDisruptionBudget": {"name": "karpenter", "maxUnavailable": 1},
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "nodeSelector": {OS_LABEL: "linux", **args.node_selector},
        "tolerations": [SYSTEM_NODE_TOLERATION],
        "logLevel": args.log_level,
        "controller": {"resources": {"requests": requests, "limits": limits}},
        "settings": {
            "clusterName": args.cluster_name,
            "interruptionQueue": queue_name,
            "featureGates": {
                "nodeOverlay": args.node_overlay,
                "nodeRepair": args.node_repair,
                "spotToSpotConsolidation": args.spot_to_spot,
                "capacityBuffer": args.capacity_buffer,
                **static,
            },
            **aws_gates,
        },
    }


def _release(
    name: str, chart: versions.Chart, release: str, values: dict[str, Any] | None, opts: pulumi.ResourceOptions
) -> k8s.helm.v3.Release:
    return k8s.helm.v3.Release(
        name,
        name=release,
        namespace=policies.CONTROLLER_NAMESPACE,
        chart=chart.chart,
        version=chart.version,
        values=values,
        # The definitions have a release of their own: Helm never upgrades those it finds beside a chart's templates.
        skip_crds=True,
        # An interrupted first install would otherwise block every later one.
        atomic=True,
        max_history=5,
        timeout=600,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="15m", update="15m", delete="15m")),
        ),
    )


def _queue_args(args: KarpenterArgs) -> InterruptionQueueArgs:
    return InterruptionQueueArgs(
        cluster_name=args.cluster_name,
        account_id=args.account_id,
        region=args.region,
        partition=args.partition,
        key_arn=args.queue_key_arn,
        tags=args.tags,
    )


def _controller_role_args(args: KarpenterArgs, queue_name: str) -> ControllerRoleArgs:
    return ControllerRoleArgs(
        cluster_name=args.cluster_name,
        account_id=args.account_id,
        region=args.region,
        partition=args.partition,
        queue_name=queue_name,
        queue_key_arn=args.queue_key_arn,
        volume_key_arn=args.volume_key_arn,
        oidc_issuer=args.oidc_issuer,
        tags=args.tags,
        after=args.after,
    )
