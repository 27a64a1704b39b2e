"""Where the stack's Jobs keep checkpoints: the stack's bucket, or theirs, and a role for each of them.

On a cluster that is there both are somebody's: the bucket, and the role of the service account.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.gpu.checkpoint_access import CheckpointAccess, CheckpointAccessArgs
from components.gpu.checkpoint_bucket import CheckpointBucket, CheckpointBucketArgs
from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_workload import namespace_of
from config.schema import StackConfig, Workload
from config.services import checkpoint_prefix
from config.workload_schema import Checkpoint
from stacks.own_cluster import OwnCluster


def checkpointing(
    config: StackConfig, made: OwnCluster | None, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> Mapping[str, Checkpointing]:
    """Of each workload with checkpoints, by its name. opts: of what is made in AWS."""
    sections = [(workload, section) for workload in config.workloads if (section := workload.checkpoint)]
    if not sections:
        return {}
    bucket = None
    if made and any(section.bucket is None for _, section in sections):
        arguments = CheckpointBucketArgs(
            cluster_name=config.cluster_name,
            account_id=made.account_id,
            region=config.region,
            key_arn=made.data_key_arn,
            tags=tags,
        )
        bucket = CheckpointBucket("checkpoints", arguments, opts)
    return {workload.name: _of(config, workload, section, made, bucket, tags, opts) for workload, section in sections}


def _of(
    config: StackConfig,
    workload: Workload,
    section: Checkpoint,
    made: OwnCluster | None,
    bucket: CheckpointBucket | None,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> Checkpointing:
    ours = bucket if section.bucket is None else None
    name: pulumi.Input[str] = ours.bucket_name if ours else section.bucket or ""
    access = [_access(config, workload, name, made, ours, tags, opts)] if made else []
    return Checkpointing(
        bucket_name=name,
        prefix=checkpoint_prefix(workload),
        region=config.region,
        interval_seconds=60 * section.interval_minutes,
        grace_seconds=section.grace_seconds,
        after=[*(ready for each in access for ready in each.ready), *(ours.ready if ours else ())],
    )


def _access(
    config: StackConfig,
    workload: Workload,
    bucket_name: pulumi.Input[str],
    made: OwnCluster,
    ours: CheckpointBucket | None,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> CheckpointAccess:
    """The role of a workload's pods. ours: the bucket, if it is the stack's, which its key encrypts."""
    arguments = CheckpointAccessArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        bucket_name=bucket_name,
        prefix=checkpoint_prefix(workload),
        key_arn=made.data_key_arn if ours else None,
        namespace=namespace_of(workload.security_context.run_as_user),
        service_account=workload.name,
        tags=tags,
        after=made.cluster.ready,
    )
    return CheckpointAccess(f"checkpoints-{workload.name}", arguments, opts)
