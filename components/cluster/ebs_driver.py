"""EbsCsiDriver: EKS' add-on that makes, attaches and deletes volumes of EBS for claims, and a class of encrypted ones.

The controller runs on the system nodes. Its other half runs on nodes without taints, which are those of CPU pools, and
on system nodes where something there has a volume: no GPU node gives up memory or processors for it, and no pod
there can have a volume of EBS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi

from components.cluster.addon import AddonsArgs, addon
from components.cluster.pod_identity import PodRole, PodRoleArgs
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.sdk import aws, k8s

ADDON: Final = "aws-ebs-csi-driver"
STORAGE_CLASS: Final = "gp3-encrypted"
_SERVICE_ACCOUNT: Final = "ebs-csi-controller-sa"


@dataclass(frozen=True, kw_only=True)
class EbsCsiDriverArgs:
    """Inputs of `EbsCsiDriver`.

    addons: the cluster's, whose tags are the driver's too.
    volume_key_arn: key of the volumes; its own policy must let IAM policies of the account decide (`Encryption` does).
    volume_tags: tags of the volumes, by which they are found. Without `=` in their names: the driver would cut there.
    system_volumes: whether pods on the system nodes may have volumes.
    after: the cluster with its nodes, on which the controller runs.
    """

    addons: AddonsArgs
    volume_key_arn: pulumi.Input[str]
    volume_tags: Mapping[str, str] = field(default_factory=dict)
    system_volumes: bool = False
    after: Sequence[pulumi.Resource] = ()


class EbsCsiDriver(pulumi.ComponentResource):
    """The add-on with its role, and the class. Needs an AWS and a Kubernetes provider.

    Whoever claims volumes must depend on `ready`, and so must the pools whose nodes have them: the driver deletes a
    claim's volume some moments after the claim, and must still run then.
    """

    storage_class: str
    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: EbsCsiDriverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:EbsCsiDriver", name, None, opts)
        driver = self._driver(name, args)
        storage_class = _storage_class(
            f"{name}-class",
            args.volume_key_arn,
            args.volume_tags,
            pulumi.ResourceOptions(parent=self, depends_on=[driver]),
        )
        self.storage_class = STORAGE_CLASS
        self.ready = (driver, storage_class)
        self.register_outputs({"storage_class": self.storage_class})

    def _driver(self, name: str, args: EbsCsiDriverArgs) -> aws.eks.Addon:
        """The add-on, whose controller may use the volumes' key."""
        addons, child = args.addons, pulumi.ResourceOptions(parent=self)
        policy = aws.iam.Policy(
            f"{name}-key",
            description=f"EBS CSI driver of {addons.cluster_name}: the key of its volumes",
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": _key_statements(args)}),
            tags=dict(addons.tags),
            opts=child,
        )
        role = PodRole(
            f"{name}-controller",
            PodRoleArgs(
                cluster_name=addons.cluster_name,
                account_id=addons.account_id,
                partition=addons.partition,
                namespace="kube-system",
                service_account=_SERVICE_ACCOUNT,
                # V2 touches volumes with the driver's own tag alone. The one that is bound to a cluster attaches them
                # to instances with EKS' tag of managed node groups only, which Karpenter's have not (driver #2918).
                managed_policies=("AmazonEBSCSIDriverPolicyV2",),
                additional_policies={"key": policy.arn},
                tags=addons.tags,
            ),
            child,
        )
        return addon(
            f"{name}-addon",
            addons,
            ADDON,
            pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
            configuration=_configuration(args),
            pod_roles={_SERVICE_ACCOUNT: role.role_arn},
        )


def _storage_class(
    name: str,
    key_arn: pulumi.Input[str],
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    made: pulumi.Resource = k8s.storage.v1.StorageClass(
        name,
        metadata={"name": STORAGE_CLASS},
        provisioner="ebs.csi.aws.com",
        parameters={
            "type": "gp3",
            "encrypted": "true",
            "kmsKeyId": key_arn,
            **{
                f"tagSpecification_{number}": f"{key}={value}"
                for number, (key, value) in enumerate(sorted(tags.items()), start=1)
            },
        },
        reclaim_policy="Delete",
        # A volume is in one zone: that of the node on which its first pod is to run.
        volume_binding_mode="WaitForFirstConsumer",
        allow_volume_expansion=True,
        opts=opts,
    )
    return made


def _configuration(args: EbsCsiDriverArgs) -> dict[str, object]:
    """Values of the add-on (chart of kubernetes-sigs/aws-ebs-csi-driver, values.yaml)."""
    system = [SYSTEM_NODE_TOLERATION]
    return {
        "controller": {"nodeSelector": SYSTEM_NODE_LABEL, "tolerations": system},
        "node": {"tolerateAllTaints": False, **({"tolerations": system} if args.system_volumes else {})},
    }


def _key_statements(args: EbsCsiDriverArgs) -> list[dict[str, object]]:
    """EKS user guide, "Amazon EBS CSI driver IAM role": use of the key, and grants for EC2, which does the work."""
    use = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    return [
        {"Effect": "Allow", "Action": use, "Resource": args.volume_key_arn},
        {
            "Effect": "Allow",
            "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
            "Resource": args.volume_key_arn,
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]
