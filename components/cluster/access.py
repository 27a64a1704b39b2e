"""Who may use the cluster: EKS access entries, no `aws-auth` ConfigMap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from components.sdk import aws

Policy = Literal["cluster-admin", "admin", "edit", "view", "admin-view"]

_POLICIES: Mapping[Policy, str] = {
    "cluster-admin": "AmazonEKSClusterAdminPolicy",
    "admin": "AmazonEKSAdminPolicy",
    "edit": "AmazonEKSEditPolicy",
    "view": "AmazonEKSViewPolicy",
    "admin-view": "AmazonEKSAdminViewPolicy",
}


@dataclass(frozen=True, kw_only=True)
class AccessGrant:
    """An IAM role or user, and what it may do: in the whole cluster, or in the namespaces named."""

    principal_arn: str
    policy: Policy
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """Inputs of `Access`. A principal may be named once: it has one access entry."""

    cluster_name: str
    partition: str = "aws"
    grants: Sequence[AccessGrant]
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for a principal that is named more than once."""
        principals = [grant.principal_arn for grant in self.grants]
        twice = sorted({principal for principal in principals if principals.count(principal) > 1})
        if twice:
            raise ValueError(f"access is granted more than once to {', '.join(twice)}")


class Access(pulumi.ComponentResource):
    """An access entry with a policy for each grant."""

    grants: tuple[aws.eks.AccessPolicyAssociation, ...]

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Access", name, None, opts)
        self.grants = tuple(self._grant(name, args, grant) for grant in args.grants)
        self.register_outputs({})

    def _grant(self, name: str, args: AccessArgs, grant: AccessGrant) -> aws.eks.AccessPolicyAssociation:
        child_name = f"{name}-{_slug(grant.principal_arn)}"
        entry = aws.eks.AccessEntry(
            child_name,
            cluster_name=args.cluster_name,
            principal_arn=grant.principal_arn,
            type="STANDARD",
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.eks.AccessPolicyAssociation(
            child_name,
            cluster_name=args.cluster_name,
            principal_arn=grant.principal_arn,
            policy_arn=f"arn:{args.partition}:eks::aws:cluster-access-policy/{_POLICIES[grant.policy]}",
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(
                type="namespace" if grant.namespaces else "cluster", namespaces=[*grant.namespaces] or None
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )


def _slug(principal_arn: str) -> str:
    """Account and name: `arn:aws:iam::123456789012:role/team/ops` is `123456789012-role-team~ops`.

    What separates a path is in no name, so that `team/ops` and `team-ops` are two.
    """
    kind, _, name = principal_arn.split("::", 1)[-1].partition("/")
    return f"{kind.replace(':', '-')}-{re.sub('[^A-Za-z0-9_+=,.@-]', '~', name)}"
