"""Add-ons of EKS, in the versions that the plan says.

`eks.Cluster` could install some of them, but out of a plan's sight, always in the newest version of the day, without
Pod Identity, and CoreDNS before there is a node that it could run on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

import versions
from components.arguments import Arguments, check_minor
from components.sdk import aws


@dataclass(frozen=True, kw_only=True)
class AddonsArgs(Arguments):
    """Whose add-ons they are: inputs of `NodeAddons` and `ClusterAddons`, and of each component that brings one.

    kubernetes_version: minor of the cluster; each add-on's version is the one that `versions.EKS_ADDON_VERSIONS` has
    for it. Raises ValueError for a minor that is not in that table.
    """

    cluster_name: str
    kubernetes_version: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minor("add-on versions", self.kubernetes_version, versions.EKS_ADDON_VERSIONS)


def addon(
    name: str,
    args: AddonsArgs,
    addon_name: str,
    opts: pulumi.ResourceOptions,
    *,
    configuration: Mapping[str, Any] | None = None,
    pod_roles: Mapping[str, pulumi.Input[str]] | None = None,
) -> aws.eks.Addon:
    """An add-on of EKS. name: its logical name. addon_name: what EKS calls it, of those in `versions`.

    configuration: values by the add-on's own schema. pod_roles: ARNs of roles by service account.
    """
    return aws.eks.Addon(
        name,
        cluster_name=args.cluster_name,
        addon_name=addon_name,
        addon_version=versions.EKS_ADDON_VERSIONS[args.kubernetes_version][addon_name],
        configuration_values=json.dumps(configuration, sort_keys=True) if configuration else None,
        pod_identity_associations=[
            aws.eks.AddonPodIdentityAssociationArgs(service_account=account, role_arn=role_arn)
            for account, role_arn in (pod_roles or {}).items()
        ]
        or None,
        # What is written here wins over edits by hand.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=dict(args.tags),
        opts=opts,
    )
