"""CheckpointAccess: who may at a Job's checkpoints, which are its own pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from components.arguments import Arguments
from components.cluster.pod_identity import OwnPolicy, PodRoleArgs, pod_access
from gpu.checkpoints import check_prefix

_OBJECT_ACTIONS: Final = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_KEY_ACTIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, kw_only=True)
class CheckpointAccessArgs(Arguments):
    """Inputs of `CheckpointAccess`.

    bucket_name, prefix: where the Job's pods may list, read, write and delete; no slash at the prefix' ends.
    key_arn: KMS key with which the bucket encrypts; None where S3 does it with a key of its own.
    namespace, service_account: of the pods.
    after: what the association needs: the cluster with its agent of Pod Identity.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    bucket_name: pulumi.Input[str]
    prefix: str
    key_arn: pulumi.Input[str] | None = None
    namespace: str
    service_account: str
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a prefix that could mean more than one place."""
        super().__post_init__()
        check_prefix("CheckpointAccessArgs.prefix", self.prefix)


class CheckpointAccess(pulumi.ComponentResource):
    """A role for the pods of one Job, by EKS Pod Identity: its prefix of a bucket, and nothing else.

    Let the Job depend on `ready`: credentials are given to pods when they are made. Needs an AWS provider.
    """

    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: CheckpointAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:CheckpointAccess", name, None, opts)
        association = pod_access(
            name,
            PodRoleArgs(
                cluster_name=args.cluster_name,
                account_id=args.account_id,
                partition=args.partition,
                namespace=args.namespace,
                service_account=args.service_account,
                tags=args.tags,
            ),
            OwnPolicy(
                name=name,
                key="bucket",
                description=f"{args.namespace}/{args.service_account} in {args.cluster_name}: its checkpoints",
                document=_policy(args),
            ),
            self,
            pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
        )
        self.ready = (association,)
        self.register_outputs({})


def _policy(args: CheckpointAccessArgs) -> pulumi.Output[str]:
    bucket = pulumi.Output.concat("arn:", args.partition, ":s3:::", args.bucket_name)
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": f"{args.prefix}/*"}},
        },
        {
            "Effect": "Allow",
            "Action": list(_OBJECT_ACTIONS),
            "Resource": pulumi.Output.concat(bucket, f"/{args.prefix}/*"),
        },
    ]
    if args.key_arn is not None:
        by_s3 = {"StringEquals": {"kms:ViaService": f"s3.{args.region}.amazonaws.com"}}
        statements.append(
            {"Effect": "Allow", "Action": list(_KEY_ACTIONS), "Resource": args.key_arn, "Condition": by_s3}
        )
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
