"""A cluster to look at, alone or in its network."""

import dataclasses
import functools
import json
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.cluster.access import AccessGrant
from components.cluster.cluster import Cluster, ClusterArgs
from components.network.network import Network, NetworkArgs
from tests.unit.components.recording import Recording, Registration, record

ACCOUNT = "123456789012"
DATA_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/data"
VOLUME_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/volumes"
OPS = f"arn:aws:iam::{ACCOUNT}:role/team/ops"
AUDIT = f"arn:aws:iam::{ACCOUNT}:user/audit"
ARGS = ClusterArgs(
    cluster_name="gpu-slices-test",
    kubernetes_version="1.36",
    region="us-east-1",
    account_id=ACCOUNT,
    vpc_id="vpc-1",
    private_subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
    access=(
        AccessGrant(principal_arn=OPS, policy="cluster-admin"),
        AccessGrant(principal_arn=AUDIT, policy="view", namespaces=("models", "examples")),
    ),
    data_key_arn=DATA_KEY,
    volume_key_arn=VOLUME_KEY,
    tags={"team": "ml"},
)
EKS = "eks:index:Cluster"
ADDON = "aws:eks/addon:Addon"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ENTRY = "aws:eks/accessEntry:AccessEntry"
POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
WATCH = ("kubeconfig", "cluster_security_group_id", "node_role_arn", "volume_key_arn")


def build(preview: bool = False, **changes: Any) -> Recording[Cluster]:
    """The recording of a cluster; one without changes is made once."""
    return _build(preview, changes) if changes else _plain(preview)


def _build(preview: bool, changes: dict[str, Any]) -> Recording[Cluster]:
    args = dataclasses.replace(ARGS, **changes)
    return record(lambda: Cluster("cluster", args), watch=WATCH, preview=preview)


@functools.cache
def _plain(preview: bool) -> Recording[Cluster]:
    return _build(preview, {})


def addon(recording: Recording[Any], name: str) -> Registration:
    (found,) = [each for each in recording.of_type(ADDON) if each.inputs["addonName"] == name]
    return found


def configuration(recording: Recording[Any], name: str) -> Any:
    return json.loads(addon(recording, name).inputs["configurationValues"])


@functools.cache
def recorded_in_a_network(*, preview: bool = False) -> Recording[Cluster]:
    """What `in_a_network` registers, recorded once."""
    return record(in_a_network, preview=preview)


def in_a_network() -> Cluster:
    """A cluster in its network, and an object in the cluster that depends on nothing but its provider."""
    network = Network(
        "network",
        NetworkArgs(
            cluster_name="gpu-slices-test",
            cidr="10.42.0.0/16",
            region="us-east-1",
            account_id=ACCOUNT,
            zone_ids=("use1-az1", "use1-az4"),
            endpoints=True,
            logs_key_arn=DATA_KEY,
        ),
    )
    args = dataclasses.replace(
        ARGS, vpc_id=network.vpc_id, private_subnet_ids=network.private_subnet_ids, node_egress=network.egress
    )
    cluster = Cluster("cluster", args)
    provider = k8s.Provider("k8s", kubeconfig=cluster.kubeconfig, cluster_identifier=cluster.name)
    k8s.core.v1.Namespace("inside", opts=pulumi.ResourceOptions(provider=provider))
    return cluster
