"""ControllerRole: what Karpenter's controller may."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.karpenter import karpenter_policies as policies
from components.sdk import aws


@dataclass(frozen=True, kw_only=True)
class ControllerRoleArgs:
    """Inputs of `ControllerRole`. `queue_key_arn` is None when SQS keeps the queue's key itself.

    volume_key_arn: None where nodes' volumes are encrypted with the account's own key of EBS, which needs no right.
    oidc_issuer: URL of the cluster's issuer, whose provider must be in IAM: the role is then taken by it, and the
    service account must name the role. None for EKS Pod Identity.
    after: the cluster, which must exist before anything in it can be bound to the role.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str
    queue_name: str
    queue_key_arn: pulumi.Input[str] | None
    volume_key_arn: pulumi.Input[str] | None
    oidc_issuer: pulumi.Input[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class ControllerRole(pulumi.ComponentResource):
    """The controller's role with its policies, bound to its service account.

    By EKS Pod Identity, or by the cluster's OIDC provider.
    """

    def __init__(self, name: str, args: ControllerRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ControllerRole", name, None, opts)
        self._prefix = name
        self._role_args = args
        child = pulumi.ResourceOptions(parent=self)
        self.role = aws.iam.Role(
            name,
            description=f"Karpenter's controller in {args.cluster_name}",
            assume_role_policy=self._trust(),
            tags=dict(args.tags),
            opts=child,
        )
        self._attach("node-lifecycle", policies.node_lifecycle)
        self._attach("iam-integration", policies.iam_integration)
        self._attach("eks-integration", policies.eks_integration)
        self._attach("resource-discovery", policies.resource_discovery)
        self._attach(
            "interruption",
            lambda scope, *key: policies.interruption(scope, args.queue_name, *key),
            *([] if args.queue_key_arn is None else [args.queue_key_arn]),
        )
        if args.volume_key_arn is not None:
            self._attach("volume-encryption", policies.volume_encryption, args.volume_key_arn)
        if args.oidc_issuer is None:
            aws.eks.PodIdentityAssociation(
                name,
                cluster_name=args.cluster_name,
                namespace=policies.CONTROLLER_NAMESPACE,
                service_account=policies.CONTROLLER_SERVICE_ACCOUNT,
                role_arn=self.role.arn,
                tags=dict(args.tags),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
            )
        self.register_outputs({"role_arn": self.role.arn})

    def _trust(self) -> pulumi.Output[str]:
        issuer = self._role_args.oidc_issuer
        if issuer is None:
            return self._document(policies.controller_trust)
        return self._document(policies.controller_trust_by_issuer, issuer)

    def _attach(
        self, topic: str, statements: Callable[..., list[policies.Statement]], *values: pulumi.Input[str]
    ) -> None:
        name = f"{self._prefix}-{topic}"
        child = pulumi.ResourceOptions(parent=self)
        policy = aws.iam.Policy(
            name,
            description=f"Karpenter's controller in {self._role_args.cluster_name}: {topic}",
            policy=self._document(statements, *values),
            tags=dict(self._role_args.tags),
            opts=child,
        )
        aws.iam.RolePolicyAttachment(name, role=self.role.name, policy_arn=policy.arn, opts=child)

    def _document(
        self, statements: Callable[..., list[policies.Statement]], *values: pulumi.Input[str]
    ) -> pulumi.Output[str]:
        # The cluster's name is part of condition keys, which Output.json_dumps cannot fill in.
        def text(known: list[str]) -> str:
            account_id, *rest = known
            scope = policies.Scope(
                cluster_name=self._role_args.cluster_name,
                account_id=account_id,
                region=self._role_args.region,
                partition=self._role_args.partition,
            )
            return json.dumps(policies.document(statements(scope, *rest)), separators=(",", ":"))

        return pulumi.Output.all(self._role_args.account_id, *values).apply(text)
