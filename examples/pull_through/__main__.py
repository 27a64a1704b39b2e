"""ECR's pull through cache, and the right of an existing cluster's nodes to fill it."""

import pulumi
import pulumi_aws as aws

from components.cluster.pull_through_cache import PullThroughCache, PullThroughCacheArgs
from components.cluster.pull_through_policy import PullThroughPolicy, PullThroughPolicyArgs
from gpu.registries import EcrRegistry

settings = pulumi.Config()
region = settings.require("region")
account = aws.Provider("aws", region=region)
in_aws = pulumi.ResourceOptions(providers=[account])

PullThroughCache(
    "cache",
    PullThroughCacheArgs(
        upstreams={
            "public.ecr.aws": None,
            "registry.k8s.io": None,
            "docker.io": settings.require("dockerHub"),
        }
    ),
    in_aws,
)
policy = PullThroughPolicy(
    "pull-through",
    PullThroughPolicyArgs(
        cluster_name=settings.require("cluster"),
        registry=EcrRegistry(account=settings.require("account"), region=region, path=""),
    ),
    in_aws,
)
aws.iam.RolePolicyAttachment(
    "nodes",
    role=settings.require("nodeRole"),
    policy_arn=policy.arn,
    opts=pulumi.ResourceOptions(provider=account),
)
