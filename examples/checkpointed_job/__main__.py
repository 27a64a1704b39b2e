"""A Job on Spot GPUs that goes on where it was interrupted, on a pool that is there."""

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.gpu.checkpoint_access import CheckpointAccess, CheckpointAccessArgs
from components.gpu.checkpoint_bucket import CheckpointBucket, CheckpointBucketArgs
from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_workload import NAMESPACE, GpuWorkload, WorkloadContainer
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from components.new_only import new_only
from gpu.sharing import TimeSlicing

settings = pulumi.Config()
cluster_name, region = settings.require("cluster"), settings.require("region")
account = aws.Provider("aws", region=region)
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])
in_aws = pulumi.ResourceOptions(providers=[account])
account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=account)).account_id
tags = {"team": "research", "cost-center": "research", "environment": "dev"}

key = aws.kms.Key("checkpoints", enable_key_rotation=True, tags=tags, opts=pulumi.ResourceOptions(provider=account))
bucket = CheckpointBucket(
    "checkpoints",
    CheckpointBucketArgs(cluster_name=cluster_name, account_id=account_id, region=region, key_arn=key.arn, tags=tags),
    in_aws,
)
access = CheckpointAccess(
    "train",
    CheckpointAccessArgs(
        cluster_name=cluster_name,
        account_id=account_id,
        region=region,
        bucket_name=bucket.bucket_name,
        prefix="train",
        key_arn=key.arn,
        namespace=NAMESPACE,
        service_account="train",
        tags=tags,
    ),
    in_aws,
)
job = GpuWorkload(
    name="train",
    kind="Job",
    replicas=1,
    # The pool `shared` of ../gpu_pool.
    resource_name=TimeSlicing(3).resource_name("bottlerocket"),
    node_selector={"gpu-slices/pool": "shared"},
    tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    containers=[
        WorkloadContainer(name="train", image="registry.example.com/train:1.4.0", slots=1, cpu="2", memory="8Gi")
    ],
    checkpoint=Checkpointing(
        bucket_name=bucket.bucket_name,
        prefix="train",
        region=region,
        interval_seconds=600,
        grace_seconds=100,
        after=[*bucket.ready, *access.ready],
    ),
)
GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=[job]), in_cluster)
pulumi.export("bucket", bucket.bucket_name)
