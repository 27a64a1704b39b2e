"""Where the stack's Jobs keep checkpoints: the stack's bucket, or theirs, and a role for each of them."""

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
    assert made is not None, "the configuration lets no checkpoints pass without a cluster of the stack's own"
    bucket = None
    if any(section.bucket is None for _, section in sections):
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
    made: OwnCluster,
    bucket: CheckpointBucket | None,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> Checkpointing:
    ours = bucket if section.bucket is None else None
    name: pulumi.Input[str] = ours.bucket_name if ours else section.bucket or ""
    prefix = checkpoint_prefix(workload)
    access = CheckpointAccess(
        f"checkpoints-{workload.name}",
        CheckpointAccessArgs(
            cluster_name=config.cluster_name,
            account_id=made.account_id,
            region=config.region,
            bucket_name=name,
            prefix=prefix,
            key_arn=made.data_key_arn if ours else None,
            namespace=namespace_of(workload.security_context.run_as_user),
            service_account=workload.name,
            tags=tags,
            after=made.cluster.ready,
        ),
        opts,
    )
    return Checkpointing(
        bucket_name=name,
        prefix=prefix,
        region=config.region,
        interval_seconds=60 * section.interval_minutes,
        grace_seconds=section.grace_seconds,
        after=[*access.ready, *(ours.ready if ours else ())],
    )
