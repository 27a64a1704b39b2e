"""PullThroughPolicy: what nodes may do beside pulling where their images come from ECR's pull through cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.arguments import Arguments
from components.sdk import aws
from gpu.registries import UPSTREAMS, EcrRegistry


@dataclass(frozen=True, kw_only=True)
class PullThroughPolicyArgs(Arguments):
    """Inputs of `PullThroughPolicy`. registry: the one that has the rules; of another account, its own registry policy
    must let the nodes in as well."""

    cluster_name: str
    registry: EcrRegistry
    partition: str = "aws"
    tags: Mapping[str, str] = field(default_factory=dict)


class PullThroughPolicy(pulumi.ComponentResource):
    """A policy for the roles of nodes. Needs an AWS provider.

    The first pull of an image makes its repository in ECR, as whoever pulls it (ECR user guide, "IAM permissions
    required to sync an upstream registry"); AmazonEC2ContainerRegistryPullOnly lets nodes import images, and not that.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: PullThroughPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:PullThroughPolicy", name, None, opts)
        policy = aws.iam.Policy(
            name,
            description=f"Nodes of {args.cluster_name}: repositories of ECR's pull through cache",
            policy=json.dumps({"Version": "2012-10-17", "Statement": [_statement(args)]}),
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = policy.arn
        self.register_outputs({"arn": self.arn})


def _statement(args: PullThroughPolicyArgs) -> dict[str, object]:
    registry = args.registry
    repositories = f"arn:{args.partition}:ecr:{registry.region}:{registry.account}:repository"
    folder = f"{registry.path}/" if registry.path else ""
    prefixes = [upstream.prefix for upstream in UPSTREAMS.values() if upstream.ecr]
    return {
        "Sid": "PullThrough",
        "Effect": "Allow",
        "Action": ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"],
        "Resource": [f"{repositories}/{folder}{prefix}/*" for prefix in prefixes],
    }
