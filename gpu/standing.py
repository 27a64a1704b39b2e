"""What stands in every stack: said once for the components that build it and for the bill that counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, assert_never

#: How dear what always stands is: as it is usual, or as cheap as this project builds it (`cluster.floor`).
Floor = Literal["standard", "lean"]
Nat = Literal["single", "per-zone", "none"]
MonitoringBackend = Literal["off", "cloudwatch", "prometheus"]
#: How a controller's pods get their role: by EKS Pod Identity's agent, or by the cluster's OIDC provider in IAM.
Identity = Literal["pod-identity", "irsa"]
#: EKS' add-on for the first, and its DaemonSet (EKS user guide, "Set up the Amazon EKS Pod Identity Agent").
POD_IDENTITY_AGENT: Final = "eks-pod-identity-agent"

#: Most characters of a role name (IAM quotas), and the end of that of Karpenter's nodes, after the cluster's name.
ROLE_NAME_LIMIT: Final = 64
NODE_ROLE_SUFFIX: Final = "-karpenter-node"

#: Wider than this an allowlist of the API server names no organisation any more; two /1 are the whole internet.
WIDEST_ALLOWED_PREFIX: Final = 8
#: Volume of a system node, in GiB.
SYSTEM_VOLUME_GIB: Final = 50
#: Volume on which the dialogue keeps its conversations, in GiB: the smallest of gp3. A conversation takes about 125 KiB
#: at its limits.
CONVERSATIONS_GIB: Final = 1
#: One for data at rest that services write, one for the volumes of nodes (`components.cluster.encryption`).
KMS_KEYS: Final = 2
#: The CUDA job of the examples, which sleeps until somebody starts it.
CUDA_EXAMPLE: Final = "cuda-vector-add"

#: Alarms of `components.monitoring` without the one on money, which needs a budget, and counters of errors.
MONITORING_ALARMS: Final = 6
MONITORING_COUNTERS: Final = 2
#: Observations a minute that Container Insights with enhanced observability bills (CloudWatch's pricing page, as read
#: in public repositories): of a cluster, and of each pod.
OBSERVATIONS_PER_CLUSTER: Final = 1720
OBSERVATIONS_PER_POD: Final = 138
#: Pods of a system node: Karpenter, add-ons, Knative and DaemonSets on two nodes. An estimate.
PODS_PER_SYSTEM_NODE: Final = 15

INTERFACE_SERVICES: Mapping[str, str] = {
    "ec2": "Karpenter buys nodes; the CNI gives pods addresses; nodeadm asks for the node's own name",
    "ecr.api": "the kubelet's credentials for images, of the add-ons and of the account's own",
    "ecr.dkr": "containerd pulls these images; their layers come from S3",
    "eks": "Karpenter reads the cluster's address and version",
    "eks-auth": "Pod Identity's agent gets the credentials of pods",
    "sqs": "Karpenter reads the interruption queue",
    "ssm": "Karpenter looks AMIs up; the agent of Session Manager signs on",
    "ssmmessages": "the agent of Session Manager carries shells to nodes",
}
"""AWS services that nodes and pods of ours call, with who calls each: an endpoint costs the same when nobody does.

Left out of the list that the EKS user guide has for private clusters ("Deploy private clusters with limited internet
access"), since nothing here calls them: `autoscaling` (Cluster Autoscaler), `elasticloadbalancing` (a load balancer
controller), `logs` (EKS and the VPC deliver their logs from AWS' own side) and `sts` (Fargate and IAM roles for service
accounts; pods here have Pod Identity). `ec2messages`: Systems Manager's agent needs it no more (3.3.40 and later).
"""


def nat_zones(nat: Nat, zone_ids: Sequence[str]) -> Sequence[str]:
    """Zones that get a NAT gateway."""
    match nat:
        case "single":
            return zone_ids[:1]
        case "per-zone":
            return zone_ids
        case "none":
            return ()
        case _:
            assert_never(nat)
