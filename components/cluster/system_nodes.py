"""The managed Graviton nodes that run Karpenter and the add-ons. They never have GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

import versions
from components.arguments import Arguments, check_minor
from components.sdk import aws
from gpu.contract import CONTROLLER_LABEL, SYSTEM_NODE_TAINT
from gpu.prices import CapacityType
from gpu.standing import SYSTEM_VOLUME_GIB

#: Of system nodes, as in Karpenter's getting-started guide.
SYSTEM_NODE_LABEL = {CONTROLLER_LABEL: "true"}
#: Of pods that run there.
SYSTEM_NODE_TOLERATION = {"key": SYSTEM_NODE_TAINT, "operator": "Exists"}

ROOT_DEVICE = "/dev/xvda"
"""Root device of AL2023 images."""

#: Join the cluster, pull images, give shell access by Session Manager. The CNI's come from Pod Identity.
_NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore")

#: What EKS calls the ways to buy (API reference, Nodegroup `capacityType`).
_EKS_NAMES: Mapping[CapacityType, str] = {"spot": "SPOT", "on-demand": "ON_DEMAND"}


@dataclass(frozen=True, kw_only=True)
class SystemNodeCapacity:
    """Which nodes, and how many. Instance types must be arm64; volumes in GiB."""

    instance_types: tuple[str, ...] = ("m7g.large",)
    capacity_type: CapacityType = "on-demand"
    min: int = 1
    desired: int = 2
    max: int = 3
    volume_gib: int = SYSTEM_VOLUME_GIB

    def __post_init__(self) -> None:
        """Raise ValueError unless 1 <= min <= desired <= max: without a node nothing could add one."""
        if not 1 <= self.min <= self.desired <= self.max:
            raise ValueError(f"system nodes: 1 <= min {self.min} <= desired {self.desired} <= max {self.max} must hold")


@dataclass(frozen=True, kw_only=True)
class SystemNodesArgs(Arguments):
    """Inputs of `SystemNodes`.

    kubernetes_version: minor of the cluster, of those in `versions.SYSTEM_NODE_RELEASES`: ValueError for others.
    additional_policies: ARNs of policies of the nodes' role beside those that every node needs, by a name of one's own.
    after: what the nodes reach AWS through, and must outlive them.
    """

    cluster_name: str
    kubernetes_version: str
    partition: str = "aws"
    subnet_ids: Sequence[pulumi.Input[str]]
    volume_key_arn: pulumi.Input[str]
    capacity: SystemNodeCapacity = field(default_factory=SystemNodeCapacity)
    additional_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minor("releases of system nodes", self.kubernetes_version, versions.SYSTEM_NODE_RELEASES)


class SystemNodes(pulumi.ComponentResource):
    """A managed node group of arm64 AL2023 nodes, labelled and tainted for Karpenter and the add-ons.

    On-demand by default, because these nodes replace the Spot nodes that are lost, and must not be lost with them. EKS
    makes the access entry of the role by itself.
    """

    node_group: aws.eks.NodeGroup
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: SystemNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:SystemNodes", name, None, opts)
        self._name = name
        self._args = args
        role, attachments = self._role()
        template = self._launch_template()
        self.role_arn = role.arn
        self.node_group = aws.eks.NodeGroup(
            name,
            cluster_name=args.cluster_name,
            # Both follow the control plane; EKS replaces the nodes one by one.
            version=args.kubernetes_version,
            release_version=versions.SYSTEM_NODE_RELEASES[args.kubernetes_version],
            node_role_arn=role.arn,
            subnet_ids=[*args.subnet_ids],
            ami_type="AL2023_ARM_64_STANDARD",
            capacity_type=_EKS_NAMES[args.capacity.capacity_type],
            instance_types=[*args.capacity.instance_types],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=args.capacity.min, desired_size=args.capacity.desired, max_size=args.capacity.max
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            # Of these nodes only: no GPU's health is in it, whose signal latches (`KarpenterArgs.node_repair`).
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=SYSTEM_NODE_LABEL,
            taints=[aws.eks.NodeGroupTaintArgs(key=SYSTEM_NODE_TAINT, value="true", effect="NO_SCHEDULE")],
            tags={**args.tags, "Name": f"{args.cluster_name}-system"},
            opts=pulumi.ResourceOptions(
                parent=self,
                # Nodes that lose a policy while they drain leave their network interfaces behind.
                depends_on=[*attachments, *args.after],
                # Somebody, or an autoscaler, may have set another number since.
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )
        self.register_outputs({"role_arn": self.role_arn})

    def _role(self) -> tuple[aws.iam.Role, list[aws.iam.RolePolicyAttachment]]:
        child = pulumi.ResourceOptions(parent=self)
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = aws.iam.Role(
            self._name,
            description=f"System nodes of {self._args.cluster_name}",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            tags=dict(self._args.tags),
            opts=child,
        )
        policies = node_policies(self._args.partition, self._args.additional_policies)
        attachments = [
            aws.iam.RolePolicyAttachment(f"{self._name}-{policy}", role=role.name, policy_arn=arn, opts=child)
            for policy, arn in policies.items()
        ]
        return role, attachments

    def _launch_template(self) -> aws.ec2.LaunchTemplate:
        tags = {**self._args.tags, "Name": f"{self._args.cluster_name}-system"}
        return aws.ec2.LaunchTemplate(
            self._name,
            description=f"System nodes of {self._args.cluster_name}",
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # One hop: containers with a network of their own cannot ask for the credentials of the node.
                http_put_response_hop_limit=1,
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=self._args.capacity.volume_gib,
                        encrypted="true",
                        kms_key_id=self._args.volume_key_arn,
                        delete_on_termination="true",
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume", "network-interface")
            ],
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )


def node_policies(partition: str, additional: Mapping[str, pulumi.Input[str]]) -> Mapping[str, pulumi.Input[str]]:
    """ARNs of the policies of a node's role, by name: what every node needs, and additional ones."""
    return {**{name: f"arn:{partition}:iam::aws:policy/{name}" for name in _NODE_POLICIES}, **additional}
