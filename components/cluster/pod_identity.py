"""Roles that pods take by EKS Pod Identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi

from components.sdk import aws


@dataclass(frozen=True, kw_only=True)
class PodRoleArgs:
    """Inputs of `PodRole`. `managed_policies` are names of AWS's own policies, such as AmazonEKS_CNI_Policy.

    additional_policies: ARNs of others, by a name of one's own.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    namespace: str
    service_account: str
    managed_policies: tuple[str, ...] = ()
    additional_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class PodRole(pulumi.ComponentResource):
    """A role for the pods of one service account of one cluster; somebody else makes the association.

    role_arn is known to others only once the policies are attached, so pods never start with a role that may nothing.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:PodRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            description=f"{args.namespace}/{args.service_account} in {args.cluster_name}",
            assume_role_policy=_trust(args),
            tags=dict(args.tags),
            opts=child,
        )
        policies: dict[str, pulumi.Input[str]] = {
            **{policy: f"arn:{args.partition}:iam::aws:policy/{policy}" for policy in args.managed_policies},
            **args.additional_policies,
        }
        attachments = [
            aws.iam.RolePolicyAttachment(f"{name}-{policy}", role=role.name, policy_arn=arn, opts=child)
            for policy, arn in policies.items()
        ]
        ids = [attachment.id for attachment in attachments]
        self.role_arn = pulumi.Output.all(role.arn, *ids).apply(lambda known: str(known[0]))
        self.register_outputs({"role_arn": self.role_arn})


@dataclass(frozen=True, kw_only=True)
class OwnPolicy:
    """A policy that is made for one role. key: its name among the role's `additional_policies`."""

    name: str
    key: str
    description: str
    document: pulumi.Input[str]


def pod_access(
    name: str, args: PodRoleArgs, policy: OwnPolicy, parent: pulumi.Resource, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """The association by which pods of a service account may what a policy says; its role and policy with it.

    parent: of all three. opts: of the association, which is what pods come after: they get credentials when they are
    made.
    """
    child = pulumi.ResourceOptions(parent=parent)
    made = aws.iam.Policy(
        policy.name,
        description=policy.description,
        policy=policy.document,
        tags=dict(args.tags),
        opts=child,
    )
    policies = {**args.additional_policies, policy.key: made.arn}
    role = PodRole(name, replace(args, additional_policies=policies), child)
    return aws.eks.PodIdentityAssociation(
        name,
        cluster_name=args.cluster_name,
        namespace=args.namespace,
        service_account=args.service_account,
        role_arn=role.role_arn,
        tags=dict(args.tags),
        opts=opts,
    )


def _trust(args: PodRoleArgs) -> pulumi.Output[str]:
    # EKS user guide, "Create IAM role with trust policy required by EKS Pod Identity".
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "pods.eks.amazonaws.com"},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                    "Condition": {
                        "StringEquals": {
                            "aws:SourceAccount": args.account_id,
                            "aws:RequestTag/eks-cluster-name": args.cluster_name,
                            "aws:RequestTag/kubernetes-namespace": args.namespace,
                            "aws:RequestTag/kubernetes-service-account": args.service_account,
                        }
                    },
                }
            ],
        }
    )
