"""The way into an EKS cluster: into one that is looked up, and the command for people."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws


def existing_kubeconfig(name: str, region: str, provider: aws.Provider) -> pulumi.Output[str]:
    """Kubeconfig, as JSON, of a cluster that is there; the `aws` command gets its tokens. Nothing is registered."""
    cluster = aws.eks.get_cluster_output(name=name, opts=pulumi.InvokeOutputOptions(provider=provider))
    return pulumi.Output.all(cluster.endpoint, cluster.certificate_authorities).apply(
        lambda found: _kubeconfig(name, region, found[0], found[1][0]["data"])
    )


def update_kubeconfig_command(name: str, region: str) -> str:
    """The command that gives kubectl the way into a cluster."""
    return f"aws eks update-kubeconfig --region {region} --name {name} --alias {name}"


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
