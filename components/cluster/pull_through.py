"""ECR's pull through cache: its rules, and what nodes may do beside pulling where their images come from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi

from components.arguments import Arguments
from components.sdk import aws
from gpu.registries import UPSTREAMS, EcrRegistry, Upstream

#: What the names of secrets with credentials begin with (ECR user guide, "Creating a pull through cache rule").
_SECRETS: Final = "ecr-pullthroughcache/"


@dataclass(frozen=True, kw_only=True)
class PullThroughCacheArgs(Arguments):
    """Inputs of `PullThroughCache`.

    upstreams: registries by host, of those in `gpu.registries.UPSTREAMS`, with the ARN of the secret in Secrets Manager
    that holds the credentials for it, whose name begins with `ecr-pullthroughcache/`; None where it needs none.
    Raises ValueError for a registry that ECR cannot pull from, and for credentials that are missing or needless.
    """

    upstreams: Mapping[str, pulumi.Input[str] | None]

    def __post_init__(self) -> None:
        super().__post_init__()
        for host, credentials in self.upstreams.items():
            _check(host, UPSTREAMS.get(host), credentials)


def _check(host: str, upstream: Upstream | None, credentials: pulumi.Input[str] | None) -> None:
    if upstream is None or upstream.ecr is None:
        known = ", ".join(name for name, each in UPSTREAMS.items() if each.ecr)
        raise ValueError(f"ECR pulls nothing through from {host}: it does from {known}")
    if upstream.secret != (credentials is not None):
        wanted = "needs a secret with credentials" if upstream.secret else "needs no credentials"
        raise ValueError(f"ECR's rule for {host} {wanted}")
    if isinstance(credentials, str) and f":secret:{_SECRETS}" not in credentials:
        raise ValueError(f"ECR reads credentials for {host} from secrets whose name begins with {_SECRETS}")


class PullThroughCache(pulumi.ComponentResource):
    """A rule for each upstream registry, under the prefix that `cluster.registryMirror` expects. Needs an AWS provider.

    Rules are of the account and region: one for all clusters. Repositories that a pull has made outlive the rules.
    """

    def __init__(self, name: str, args: PullThroughCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:PullThroughCache", name, None, opts)
        for host, credentials in args.upstreams.items():
            upstream = UPSTREAMS[host]
            aws.ecr.PullThroughCacheRule(
                f"{name}-{upstream.prefix}",
                ecr_repository_prefix=upstream.prefix,
                upstream_registry_url=upstream.url or host,
                credential_arn=credentials,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


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
