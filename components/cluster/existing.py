"""An EKS cluster that is there: looked up, held against what a program supposes of it, and the way into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class Supposed:
    """What a program takes for granted of a cluster; None where it does not matter."""

    version: str | None = None
    authentication_mode: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExistingCluster:
    """A cluster that was looked up; nothing of it is registered.

    kubeconfig: JSON; the `aws` command gets its tokens. issuer: URL of the issuer of its service accounts' tokens.
    """

    kubeconfig: pulumi.Output[str]
    vpc_id: pulumi.Output[str]
    issuer: pulumi.Output[str]


def look_up_cluster(name: str, region: str, provider: aws.Provider, supposed: Supposed) -> ExistingCluster:
    """Asks for a cluster. Where it is not as supposed the program ends, with words, before the cluster is touched."""
    answer = aws.eks.get_cluster_output(name=name, opts=pulumi.InvokeOutputOptions(provider=provider))
    found = answer.apply(lambda cluster: _fitting(name, cluster, supposed))
    return ExistingCluster(
        kubeconfig=found.apply(
            lambda cluster: _kubeconfig(name, region, cluster.endpoint, cluster.certificate_authorities[0]["data"])
        ),
        vpc_id=found.apply(lambda cluster: _first(cluster.vpc_config, "vpc_id")),
        issuer=found.apply(lambda cluster: _first(_first(cluster.identities, "oidcs"), "issuer")),
    )


def look_up_oidc_provider(cluster: ExistingCluster, provider: aws.Provider) -> pulumi.Output[str]:
    """URL of a cluster's issuer, once IAM has said that it knows a provider of it: without one nobody gets a role."""
    options = pulumi.InvokeOutputOptions(provider=provider)
    return aws.iam.get_open_id_connect_provider_output(url=cluster.issuer, opts=options).apply(
        lambda found: f"https://{found.url.removeprefix('https://')}"
    )


def cluster_problem(name: str, found: Mapping[str, str | None], supposed: Supposed) -> str | None:
    """What is wrong with a cluster, and the key that says it right. found: by the fields of `Supposed`."""
    keys = {"version": "cluster.version", "authentication_mode": "cluster.authenticationMode"}
    for field, key in keys.items():
        wanted, given = getattr(supposed, field), found.get(field)
        if wanted and given and wanted != given:
            return f'gpu-slices:{key} says "{wanted}", and cluster {name} has "{given}": write that'
    return None


def update_kubeconfig_command(name: str, region: str) -> str:
    """The command that gives kubectl the way into a cluster."""
    return f"aws eks update-kubeconfig --region {region} --name {name} --alias {name}"


def _fitting(name: str, cluster: aws.eks.GetClusterResult, supposed: Supposed) -> aws.eks.GetClusterResult:
    mode = _first(cluster.access_configs, "authentication_mode")
    problem = cluster_problem(name, {"version": cluster.version, "authentication_mode": mode}, supposed)
    if problem:
        raise pulumi.RunError(problem)
    return cluster


def _first(given: Any, key: str) -> Any:
    """An attribute of the only entry: what is one object in AWS is a list of one here. None where it is not told."""
    return getattr(given[0] if isinstance(given, list) and given else given, key, None)


def _kubeconfig(name: str, region: str, endpoint: str, authority: str) -> str:
    """As pulumi-eks writes it for a cluster of its own."""
    token = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    login = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": token}
    cluster = {"server": endpoint, "certificate-authority-data": authority}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
            "current-context": "aws",
            "users": [{"name": "aws", "user": {"exec": login}}],
        }
    )
