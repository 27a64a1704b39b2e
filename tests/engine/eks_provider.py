"""Stands in for pulumi-eks: the component `eks:index:Cluster` with its role and its cluster inside.

The providers 4.1 to 4.3 register the component without inputs (they are built with a Node SDK before 3.202); later ones
give it all of its inputs. `ENGINE_TEST_EKS_INPUTS` says which of the two this one does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import yaml
from pulumi import provider

INPUTS_VARIABLE = "ENGINE_TEST_EKS_INPUTS"
#: A kubeconfig for the cluster; without it the component makes one that leads nowhere.
KUBECONFIG_VARIABLE = "ENGINE_TEST_KUBECONFIG"


class Cluster(pulumi.ComponentResource):
    """What `eks.Cluster` registers, as far as the program uses it (pulumi-eks, `nodejs/eks/cluster.ts`)."""

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        told = dict(inputs) if os.environ.get(INPUTS_VARIABLE) == "1" else {}
        super().__init__("eks:index:Cluster", name, told, opts)
        child = pulumi.ResourceOptions(parent=self)
        trust = {"Service": "eks.amazonaws.com"}
        statement = {"Effect": "Allow", "Principal": trust, "Action": ["sts:AssumeRole", "sts:TagSession"]}
        role = aws.iam.Role(
            f"{name}-eksRole-role",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            opts=child,
        )
        attached = aws.iam.RolePolicyAttachment(
            f"{name}-eksRole-policy",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
            opts=child,
        )
        given = {_snake(key): value for key, value in inputs.items()}
        self.cluster = aws.eks.Cluster(
            f"{name}-eksCluster",
            name=given.get("name"),
            version=given.get("version"),
            role_arn=given.get("service_role_arn") or role.arn,
            upgrade_policy=given.get("upgrade_policy"),
            deletion_protection=given.get("deletion_protection"),
            access_config=aws.eks.ClusterAccessConfigArgs(authentication_mode=given.get("authentication_mode")),
            bootstrap_self_managed_addons=given.get("bootstrap_self_managed_addons"),
            enabled_cluster_log_types=given.get("enabled_cluster_log_types"),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=given["encryption_config_key_arn"]),
                resources=["secrets"],
            )
            if given.get("encryption_config_key_arn")
            else None,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=given.get("private_subnet_ids") or given.get("subnet_ids") or [],
                endpoint_private_access=given.get("endpoint_private_access"),
                endpoint_public_access=given.get("endpoint_public_access"),
                public_access_cidrs=given.get("public_access_cidrs"),
            ),
            tags=given.get("tags"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attached]),
        )
        kubeconfig = self.cluster.endpoint.apply(lambda _: _kubeconfig())
        self.state = {
            "kubeconfig": kubeconfig.apply(json.loads),
            "kubeconfigJson": kubeconfig,
            "clusterSecurityGroupId": self.cluster.vpc_config.apply(lambda _: "sg-of-the-cluster"),
            "eksCluster": self.cluster,
        }
        self.register_outputs(self.state)


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def _kubeconfig() -> str:
    path = os.environ.get(KUBECONFIG_VARIABLE)
    if path:
        return json.dumps(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [nowhere],
            "contexts": [context],
            "current-context": "nowhere",
            "users": [{"name": "nobody", "user": {"token": "none"}}],
        }
    )


class EksProvider(provider.Provider):
    """Makes the one component."""

    def construct(
        self, name: str, resource_type: str, inputs: Any, options: pulumi.ResourceOptions | None = None
    ) -> provider.ConstructResult:
        assert resource_type == "eks:index:Cluster", f"there is no stand-in for {resource_type}"
        cluster = Cluster(name, inputs, options)
        return provider.ConstructResult(urn=cluster.urn, state=cluster.state)


if __name__ == "__main__":
    version = sys.argv.pop(1)
    provider.main(EksProvider(version), sys.argv[1:])
