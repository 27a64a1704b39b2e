"""Container Insights with GPU metrics, alarms on them and a dashboard, for an existing cluster."""

import pulumi
import pulumi_aws as aws

from components.cluster.addon import AddonsArgs
from components.monitoring.alarms import KARPENTER, Watched
from components.monitoring.gpu_monitoring import GpuMonitoring, GpuMonitoringArgs

settings = pulumi.Config()
region, cluster = settings.require("region"), settings.require("cluster")
tags = {"team": "platform"}
account = aws.Provider("aws", region=region)
caller = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=account))

GpuMonitoring(
    "monitoring",
    GpuMonitoringArgs(
        addons=AddonsArgs(
            cluster_name=cluster,
            kubernetes_version=settings.require("version"),
            account_id=caller.account_id,
            tags=tags,
        ),
        watched=Watched(cluster_name=cluster, spot_rule=settings.require("spotRule"), controllers=[KARPENTER]),
        region=region,
        key_arn=settings.require("key"),
        topic_arn=settings.require("topic"),
        log_retention_days=365,
        # Any node without a taint. Better are nodes that stay: {"karpenter.sh/controller": "true"}.
        node_selector={},
        tags=tags,
    ),
    pulumi.ResourceOptions(providers=[account]),
)
