"""What Karpenter's controller and its nodes may do in AWS.

The controller's statements are those of upstream's `cloudformation.yaml` for the pinned version (karpenter.sh,
"Reference: CloudFormation"): it may create only what it tags as this cluster's and change only what carries that tag.
Added to them are the cluster's volume key and the service-linked role for Spot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpu.contract import NODE_POOL_LABEL, REGION_LABEL
from gpu.standing import NODE_ROLE_SUFFIX

CONTROLLER_NAMESPACE = "kube-system"
CONTROLLER_SERVICE_ACCOUNT = "karpenter"

Statement = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The one cluster that permissions are for."""

    cluster_name: str
    account_id: str
    region: str
    partition: str = "aws"

    @property
    def owned(self) -> str:
        """Tag key that marks AWS resources as the cluster's; its value is `owned`."""
        return f"kubernetes.io/cluster/{self.cluster_name}"

    @property
    def cluster_arn(self) -> str:
        """ARN of the EKS cluster."""
        return f"arn:{self.partition}:eks:{self.region}:{self.account_id}:cluster/{self.cluster_name}"

    @property
    def node_role_arn(self) -> str:
        """ARN of the role that nodes run under."""
        return f"arn:{self.partition}:iam::{self.account_id}:role/{self.cluster_name}{NODE_ROLE_SUFFIX}"

    def queue_arn(self, queue_name: str) -> str:
        """ARN of one of the account's SQS queues in the cluster's region."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account_id}:{queue_name}"

    def ec2(self, *kinds: str, account: str = "*") -> list[str]:
        """ARN patterns of all EC2 resources of some kinds in the region."""
        return [f"arn:{self.partition}:ec2:{self.region}:{account}:{kind}/*" for kind in kinds]

    @property
    def instance_profiles(self) -> str:
        """ARN pattern of the account's instance profiles."""
        return f"arn:{self.partition}:iam::{self.account_id}:instance-profile/*"


def node_lifecycle(scope: Scope) -> list[Statement]:
    """Launch, tag and end instances: only with the cluster's tags, and only what carries them."""
    launch = ["ec2:RunInstances", "ec2:CreateFleet"]
    created = scope.ec2("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
    requested = {f"aws:RequestTag/{scope.owned}": "owned", "aws:RequestTag/eks:eks-cluster-name": scope.cluster_name}
    for_a_pool = {"StringLike": {f"aws:RequestTag/{NODE_POOL_LABEL}": "*"}}
    ours = {
        "StringEquals": {f"aws:ResourceTag/{scope.owned}": "owned"},
        "StringLike": {f"aws:ResourceTag/{NODE_POOL_LABEL}": "*"},
    }
    return [
        # What an instance is launched from exists before it and may be shared by other accounts: no tags to ask for.
        _allow(
            "AllowScopedEC2InstanceAccessActions",
            launch,
            scope.ec2("image", "snapshot", account="")
            + scope.ec2("security-group", "subnet", "capacity-reservation", "placement-group"),
        ),
        _allow("AllowScopedEC2LaunchTemplateAccessActions", launch, scope.ec2("launch-template"), ours),
        _allow(
            "AllowScopedEC2InstanceActionsWithTags",
            [*launch, "ec2:CreateLaunchTemplate"],
            created,
            {"StringEquals": requested, **for_a_pool},
        ),
        _allow(
            "AllowScopedResourceCreationTagging",
            ["ec2:CreateTags"],
            created,
            {
                "StringEquals": {
                    **requested,
                    "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
                },
                **for_a_pool,
            },
        ),
        _allow(
            "AllowScopedResourceTagging",
            ["ec2:CreateTags"],
            scope.ec2("instance"),
            {
                **ours,
                "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": scope.cluster_name},
                "ForAllValues:StringEquals": {
                    "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                },
            },
        ),
        _allow(
            "AllowScopedDeletion",
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            scope.ec2("instance", "launch-template"),
            ours,
        ),
    ]


def iam_integration(scope: Scope) -> list[Statement]:
    """Hand the node role to instances and keep the instance profiles that do it.

    Without the last statements the finalizer of an EC2NodeClass never ends and `pulumi destroy` hangs.
    """

    def tagged(kind: str) -> dict[str, str]:
        return {
            f"aws:{kind}Tag/{scope.owned}": "owned",
            f"aws:{kind}Tag/{REGION_LABEL}": scope.region,
        }

    requested = {**tagged("Request"), "aws:RequestTag/eks:eks-cluster-name": scope.cluster_name}
    node_class = "karpenter.k8s.aws/ec2nodeclass"
    return [
        _allow(
            "AllowPassingInstanceRole",
            ["iam:PassRole"],
            scope.node_role_arn,
            {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]}},
        ),
        _allow(
            "AllowScopedInstanceProfileCreationActions",
            ["iam:CreateInstanceProfile"],
            scope.instance_profiles,
            {"StringEquals": requested, "StringLike": {f"aws:RequestTag/{node_class}": "*"}},
        ),
        _allow(
            "AllowScopedInstanceProfileTagActions",
            ["iam:TagInstanceProfile"],
            scope.instance_profiles,
            {
                "StringEquals": {**tagged("Resource"), **requested},
                "StringLike": {f"aws:ResourceTag/{node_class}": "*", f"aws:RequestTag/{node_class}": "*"},
            },
        ),
        _allow(
            "AllowScopedInstanceProfileActions",
            ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"],
            scope.instance_profiles,
            {"StringEquals": tagged("Resource"), "StringLike": {f"aws:ResourceTag/{node_class}": "*"}},
        ),
        # An account that never ran a Spot instance lacks this role; upstream has people create it by hand
        # (karpenter.sh, Troubleshooting: Missing Service Linked Role).
        _allow(
            "AllowSpotServiceLinkedRoleCreation",
            ["iam:CreateServiceLinkedRole"],
            f"arn:{scope.partition}:iam::{scope.account_id}:role/aws-service-role/"
            "spot.amazonaws.com/AWSServiceRoleForEC2Spot",
            {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
        ),
    ]


def eks_integration(scope: Scope) -> list[Statement]:
    """Read the cluster's endpoint and address range."""
    return [_allow("AllowAPIServerEndpointDiscovery", ["eks:DescribeCluster"], scope.cluster_arn)]


def interruption(scope: Scope, queue_name: str, queue_key_arn: str | None = None) -> list[Statement]:
    """Read the interruption queue, and decrypt it when a customer managed key encrypts it."""
    read = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    statements = [_allow("AllowInterruptionQueueActions", read, scope.queue_arn(queue_name))]
    if queue_key_arn is not None:
        via = {"StringEquals": {"kms:ViaService": _via("sqs", scope)}}
        statements.append(_allow("AllowInterruptionQueueKey", ["kms:Decrypt"], queue_key_arn, via))
    return statements


def resource_discovery(scope: Scope) -> list[Statement]:
    """Read what can be bought, from which images and at what price. These actions know no resources."""
    describe = (
        "CapacityReservations",
        "Images",
        "Instances",
        "InstanceStatus",
        "InstanceTypeOfferings",
        "InstanceTypes",
        "LaunchTemplates",
        "PlacementGroups",
        "SecurityGroups",
        "SpotPriceHistory",
        "Subnets",
    )
    return [
        _allow(
            "AllowRegionalReadActions",
            [f"ec2:Describe{what}" for what in describe],
            "*",
            {"StringEquals": {"aws:RequestedRegion": scope.region}},
        ),
        _allow(
            "AllowSSMReadActions",
            ["ssm:GetParameter"],
            f"arn:{scope.partition}:ssm:{scope.region}::parameter/aws/service/*",
        ),
        _allow("AllowPricingReadActions", ["pricing:GetProducts"], "*"),
        _allow("AllowUnscopedInstanceProfileListAction", ["iam:ListInstanceProfiles"], "*"),
        _allow("AllowInstanceProfileReadActions", ["iam:GetInstanceProfile"], scope.instance_profiles),
    ]


def volume_encryption(scope: Scope, key_arn: str) -> list[Statement]:
    """Let EC2 encrypt the volumes of instances that the controller launches.

    Actions and the conditions on them: karpenter.sh, Troubleshooting: Node terminates before ready on failed encrypted
    EBS volume.
    """
    via = {"kms:ViaService": _via("ec2", scope), "kms:CallerAccount": scope.account_id}
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    return [
        _allow("AllowVolumeEncryption", use, key_arn, {"StringEquals": via}),
        _allow(
            "AllowVolumeGrants",
            ["kms:CreateGrant"],
            key_arn,
            {"StringEquals": via, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def controller_trust(scope: Scope) -> list[Statement]:
    """Trust in EKS Pod Identity, for the controller's service account in this one cluster.

    Source of the tags asked for: EKS user guide, "Create IAM role with trust policy required by EKS Pod Identity".
    """
    return [
        {
            "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": scope.account_id,
                    "aws:RequestTag/eks-cluster-arn": scope.cluster_arn,
                    "aws:RequestTag/kubernetes-namespace": CONTROLLER_NAMESPACE,
                    "aws:RequestTag/kubernetes-service-account": CONTROLLER_SERVICE_ACCOUNT,
                }
            },
        }
    ]


def controller_trust_by_issuer(scope: Scope, issuer: str) -> list[Statement]:
    """Trust in the cluster's OIDC provider, for the controller's service account alone.

    issuer: URL of the cluster's issuer. Source: EKS user guide, "Assign IAM roles to Kubernetes service accounts".
    """
    host = issuer.removeprefix("https://")
    return [
        {
            "Sid": "AllowServiceAccountToAssumeRole",
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:{scope.partition}:iam::{scope.account_id}:oidc-provider/{host}"},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {
                "StringEquals": {
                    f"{host}:aud": "sts.amazonaws.com",
                    f"{host}:sub": f"system:serviceaccount:{CONTROLLER_NAMESPACE}:{CONTROLLER_SERVICE_ACCOUNT}",
                }
            },
        }
    ]


def node_trust() -> list[Statement]:
    """Trust in EC2, for the nodes' role."""
    return [
        {
            "Sid": "AllowInstances",
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": ["sts:AssumeRole"],
        }
    ]


def document(statements: list[Statement]) -> dict[str, Any]:
    """An IAM policy document."""
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, actions: list[str], resource: str | list[str], condition: Mapping[str, Mapping[str, Any]] | None = None
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def _via(service: str, scope: Scope) -> str:
    suffix = ".cn" if scope.partition == "aws-cn" else ""
    return f"{service}.{scope.region}.amazonaws.com{suffix}"
