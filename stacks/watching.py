"""What hears of money and alarms, and what watches a stack: its topic, budget, brake and monitoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import pulumi

from components.cluster.addon import AddonsArgs
from components.cluster.ebs_driver import STORAGE_CLASS
from components.karpenter.interruption import rule_name
from components.money.alerts import AlertTopic, AlertTopicArgs, Publisher
from components.money.budget import BudgetArgs
from components.money.soft_brake import SoftBrakeArgs
from components.monitoring.alarms import KARPENTER, KNATIVE, Watched
from components.monitoring.gpu_monitoring import GpuMonitoring, GpuMonitoringArgs
from components.monitoring.prometheus import PrometheusMonitoring, PrometheusMonitoringArgs
from components.monitoring.rules import WatchedStack
from config.schema import Budget as BudgetConfig
from config.schema import StackConfig
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import STACK_TAG
from gpu.prices import HOURS_PER_MONTH
from gpu.sharing import Mig
from stacks.own_cluster import OwnCluster


def topic_publishers(config: StackConfig) -> Sequence[Publisher]:
    """AWS' services that publish to the stack's topic."""
    found: list[Publisher] = []
    if config.budget:
        found.append("budgets")
        if config.budget.anomalies:
            found.append("costalerts")
    if config.monitoring.backend == "cloudwatch":
        found.append("cloudwatch")
    return found


def alert_topic(
    config: StackConfig, made: OwnCluster | None, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> AlertTopic | None:
    """The topic that hears of money and alarms: where the stack has a key for it."""
    publishers = topic_publishers(config)
    # Alertmanager publishes as a role of the account, which a topic admits by itself.
    if made is None or not (publishers or config.monitoring.backend == "prometheus"):
        return None
    arguments = AlertTopicArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        key_arn=made.data_key_arn,
        publishers=publishers,
        tags=tags,
    )
    return AlertTopic("alerts", arguments, opts)


def budget_args(
    config: StackConfig,
    budget: BudgetConfig,
    account_id: pulumi.Input[str],
    buyer_role_name: pulumi.Input[str] | None,
    topic: AlertTopic | None,
    tags: Mapping[str, str],
) -> BudgetArgs:
    """Of the stack's budget. buyer_role_name: of Karpenter, which the brake keeps from buying."""
    assert buyer_role_name is not None, "the configuration lets no budget pass without the role"
    return BudgetArgs(
        name=config.own_name,
        monthly_usd=budget.monthly_usd,
        emails=budget.emails,
        tag=(STACK_TAG, config.stack),
        buyer_role_name=buyer_role_name,
        account_id=account_id,
        topic_arn=topic.arn if topic else None,
        anomalies=budget.anomalies,
        tags=tags,
    )


def soft_brake_args(config: StackConfig, made: OwnCluster | None, tags: Mapping[str, str]) -> SoftBrakeArgs:
    """Of the softer brake: pools of GPUs that it may stop, and those that are paid whatever runs."""
    assert made is not None, "the configuration lets no soft brake pass without a cluster of the stack's own"
    pools = config.gpu_pools.values()
    return SoftBrakeArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        budget_name=config.own_name,
        pools=[pool.name for pool in pools if not pool.always_paid],
        others=[pool.name for pool in pools if pool.always_paid],
        tags=tags,
        after=made.cluster.ready,
    )


def watch(
    config: StackConfig,
    made: OwnCluster,
    topic: AlertTopic,
    running: Sequence[pulumi.Resource],
    tags: Mapping[str, str],
    in_aws: pulumi.ResourceOptions,
    in_both: pulumi.ResourceOptions,
) -> None:
    """What watches the stack. in_both: for what is in the cluster as well, after what it stands on."""
    match config.monitoring.backend:
        case "off":
            pass
        case "cloudwatch":
            GpuMonitoring("monitoring", _monitoring_args(config, made, topic, running, tags), in_aws)
        case "prometheus":
            PrometheusMonitoring("monitoring", _prometheus_args(config, made, topic, tags), in_both)
        case _:
            assert_never(config.monitoring.backend)


def _prometheus_args(
    config: StackConfig, made: OwnCluster, topic: AlertTopic, tags: Mapping[str, str]
) -> PrometheusMonitoringArgs:
    return PrometheusMonitoringArgs(
        cluster_name=config.cluster_name,
        account_id=made.account_id,
        region=config.region,
        watched=watched_stack(config),
        topic_arn=topic.arn,
        key_arn=made.data_key_arn,
        storage_class=STORAGE_CLASS if config.monitoring.needs_driver else None,
        volume_gib=config.monitoring.volume_gib,
        tags=tags,
    )


def watched_stack(config: StackConfig) -> WatchedStack:
    """What Prometheus watches of a stack."""
    return WatchedStack(
        gpu_pools=list(config.gpu_pools),
        claimed=[pool.name for pool in config.gpu_pools.values() if pool.claims],
        serving=config.knative,
        dialogue=bool(config.models and config.dialogue and config.dialogue.image),
        usd_per_hour=_usd_per_hour(config),
    )


def _usd_per_hour(config: StackConfig) -> float | None:
    """Mean of an hour that the budget bears."""
    return config.budget.monthly_usd / HOURS_PER_MONTH if config.budget else None


def _monitoring_args(
    config: StackConfig, made: OwnCluster, topic: AlertTopic, after: Sequence[pulumi.Resource], tags: Mapping[str, str]
) -> GpuMonitoringArgs:
    return GpuMonitoringArgs(
        addons=AddonsArgs(
            cluster_name=config.cluster_name,
            kubernetes_version=config.cluster.version,
            account_id=made.account_id,
            tags=tags,
        ),
        watched=watched(config),
        region=config.region,
        key_arn=made.data_key_arn,
        topic_arn=topic.arn,
        log_retention_days=config.cluster.log_retention_days,
        tags=tags,
        after=after,
    )


def watched(config: StackConfig) -> Watched:
    """What monitoring watches of a stack. A GPU counts at the price of the dearest pool's."""
    prices = [
        pool.price.usd_per_hour(pool.capacity_type) / INSTANCE_TYPES[pool.price.instance_type].gpu_count
        for pool in config.gpu_pools.values()
        if pool.price
    ]
    return Watched(
        cluster_name=config.cluster_name,
        spot_rule=rule_name(config.cluster_name, "spot"),
        controllers=[KARPENTER, KNATIVE] if config.knative else [KARPENTER],
        utilisation=not any(isinstance(pool.profile, Mig) for pool in config.gpu_pools.values()),
        usd_per_gpu_hour=max(prices) if len(prices) == len(config.pools) else None,
        usd_per_hour=_usd_per_hour(config),
    )
