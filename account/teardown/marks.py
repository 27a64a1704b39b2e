"""By which tags a thing in AWS is known as a stack's. Only whole keys and values count: `dev` is not `dev2`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gpu.contract import CLUSTER_TAG, REGION_LABEL, REGION_TAG, STACK_TAG

CLUSTER_NAME_TAGS: Final[Mapping[str, str]] = {
    CLUSTER_TAG: "the program, and the EC2NodeClasses for what Karpenter makes",
    "eks:cluster-name": "EKS, on the Auto Scaling groups, launch templates and instances of node groups",
    "aws:eks:cluster-name": "EKS, on the cluster's security group",
    "eks:eks-cluster-name": "Karpenter (pkg/utils/utils.go, GetTags)",
    "elbv2.k8s.aws/cluster": "the AWS Load Balancer Controller",
    "cluster.k8s.amazonaws.com/name": "the VPC CNI, on network interfaces (amazon-vpc-cni-k8s, pkg/awsutils)",
}
"""Tags whose value is the name of the cluster that owns the thing, and who writes them."""

OWNED_TAG: Final = "kubernetes.io/cluster/"
"""Beginning of a key that ends in the cluster's name; `owned` means that the thing ends with the cluster, `shared`
that it does not. EKS and Karpenter write it, cloud-provider-aws on load balancers (pkg/providers/v1/tags.go),
and the EBS CSI driver (docs/tagging.md)."""

Tags = Mapping[str, str]


@dataclass(frozen=True)
class DoorRecord:
    """Where the stack's file has the program write the door's record: hosted zone, and the name in it."""

    zone_id: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What marks a thing as one stack's: the stack's name, its cluster's, and the region.

    door: where its record is, which no tag can mark; None where the stack writes none.
    """

    stack: str
    cluster: str
    region: str
    door: DoorRecord | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every tag, key and value, that may mark a thing. Those without any of them need not be looked at."""
        names = [(key, self.cluster) for key in CLUSTER_NAME_TAGS]
        return [(STACK_TAG, self.stack), *names, (f"{OWNED_TAG}{self.cluster}", "owned")]

    def mark(self, tags: Tags, *, worldwide: bool = False) -> str | None:
        """The tag that marks the thing as the stack's, as `key=value`; None where none does.

        A thing that names another stack or another cluster is never the stack's, whatever else it carries.
        worldwide: the thing has no region, as in IAM. There a cluster's name is not unique: only what a tag says to be
        of this region counts. Without one it may be a stack's that stands elsewhere.
        """
        if tags.get(STACK_TAG, self.stack) != self.stack or tags.get(CLUSTER_TAG, self.cluster) != self.cluster:
            return None
        if worldwide and tags.get(REGION_TAG, tags.get(REGION_LABEL)) != self.region:
            return None
        if CLUSTER_TAG in tags:
            return f"{CLUSTER_TAG}={self.cluster}"
        for key in CLUSTER_NAME_TAGS:
            if tags.get(key) == self.cluster:
                return f"{key}={self.cluster}"
        owned = f"{OWNED_TAG}{self.cluster}"
        if tags.get(owned) == "owned":
            return f"{owned}=owned"
        names_another = any(key in tags for key in CLUSTER_NAME_TAGS)
        return f"{STACK_TAG}={self.stack}" if STACK_TAG in tags and not names_another else None


def tags_of(pairs: Iterable[Mapping[str, Any]] | None) -> Tags:
    """Tags as a mapping; services list them as `Key` and `Value`, ECR and KMS in their own spelling."""
    found = {}
    for pair in pairs or ():
        key = pair.get("Key", pair.get("TagKey", pair.get("key")))
        value = pair.get("Value", pair.get("TagValue", pair.get("value")))
        found[str(key)] = str(value or "")
    return found
