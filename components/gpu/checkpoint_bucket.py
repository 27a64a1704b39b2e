"""CheckpointBucket: where Jobs keep checkpoints, which `apps/checkpoint` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from components.arguments import Arguments
from components.sdk import aws
from gpu.checkpoints import bucket_stem

#: Days after which an object is removed. A run that goes on writes new ones every few minutes.
EXPIRY_DAYS: Final = 30
#: Days after which the parts of an upload that was broken off are removed: nobody sees them, and they cost the same.
_UPLOAD_DAYS: Final = 1


@dataclass(frozen=True, kw_only=True)
class CheckpointBucketArgs(Arguments):
    """Inputs of `CheckpointBucket`. key_arn: KMS key that encrypts what is in it."""

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    key_arn: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)


class CheckpointBucket(pulumi.ComponentResource):
    """A bucket of S3 for checkpoints: encrypted, not public, by TLS alone; what is old goes by itself.

    It keeps no versions: nothing in it is written twice, and each of the checkpoints that are removed every few minutes
    would be paid for a day longer. `pulumi destroy` deletes it with what is in it. Needs an AWS provider.
    """

    bucket_name: pulumi.Output[str]
    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: CheckpointBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:CheckpointBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=pulumi.Output.concat(bucket_stem(args.cluster_name, args.region), args.account_id),
            force_destroy=True,
            tags=dict(args.tags),
            opts=child,
        )
        by_default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms", kms_master_key_id=args.key_arn
        )
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=by_default,
                    # One request to KMS for many objects.
                    bucket_key_enabled=True,
                )
            ],
            opts=child,
        )
        public = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        policy = aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=_tls_only(bucket.arn),
            # S3 takes one change of a bucket's access at a time (409 OperationAborted).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public]),
        )
        expiry = aws.s3.BucketLifecycleConfiguration(name, bucket=bucket.id, rules=_expiry(), opts=child)
        self.bucket_name = bucket.bucket
        self.ready = (bucket, encryption, public, policy, expiry)
        self.register_outputs({"bucket_name": self.bucket_name})


def _tls_only(bucket_arn: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "DenyPlainHttp",
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    )


def _expiry() -> list[Any]:
    return [
        aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="checkpoints-of-runs-that-ended",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=EXPIRY_DAYS),
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=_UPLOAD_DAYS
            ),
        )
    ]
