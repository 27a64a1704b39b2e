"""NodeRole: what the nodes that Karpenter launches may, and that they may join the cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.cluster.system_nodes import node_policies
from components.karpenter import karpenter_policies as policies
from components.sdk import aws
from gpu.standing import NODE_ROLE_SUFFIX


@dataclass(frozen=True, kw_only=True)
class NodeRoleArgs:
    """Inputs of `NodeRole`.

    additional_policies: ARNs of policies beside those that every node needs, by a name of one's own.
    access_entry: whether the cluster knows access entries; where it knows `aws-auth` alone, somebody adds the role.
    after: the cluster, which must exist before the role can be let into it.
    """

    cluster_name: str
    partition: str
    access_entry: bool = True
    additional_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class NodeRole(pulumi.ComponentResource):
    """The role that Karpenter's nodes run under, and the access entry that lets them join the cluster."""

    def __init__(self, name: str, args: NodeRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:NodeRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.role = aws.iam.Role(
            name,
            # EC2NodeClasses name it.
            name=f"{args.cluster_name}{NODE_ROLE_SUFFIX}",
            description=f"Nodes that Karpenter launches for {args.cluster_name}",
            assume_role_policy=json.dumps(policies.document(policies.node_trust())),
            tags=dict(args.tags),
            opts=child,
        )
        for policy, arn in node_policies(args.partition, args.additional_policies).items():
            aws.iam.RolePolicyAttachment(f"{name}-{policy}", role=self.role.name, policy_arn=arn, opts=child)
        if args.access_entry:
            aws.eks.AccessEntry(
                name,
                cluster_name=args.cluster_name,
                principal_arn=self.role.arn,
                type="EC2_LINUX",
                tags=dict(args.tags),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
            )
        self.register_outputs({"role_name": self.role.name})
