"""PullThroughCache: the rules of ECR's pull through cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.arguments import Arguments
from components.sdk import aws
from gpu.registries import UPSTREAMS, Upstream

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
