"""Every kind of thing that a stack can leave behind, in the order in which they can be deleted."""

from __future__ import annotations

from typing import Final

from account.teardown import alerts, balancers, buckets, compute, identity, network, records, services
from account.teardown.cluster import CLUSTER
from account.teardown.kinds import Kind

KINDS: Final[tuple[Kind, ...]] = (
    CLUSTER,
    # What starts instances goes before them.
    compute.GROUPS,
    compute.SPOT_REQUESTS,
    compute.INSTANCES,
    compute.TEMPLATES,
    # A name that leads nowhere is for whoever gets that address next.
    records.RECORDS,
    balancers.CLASSIC,
    balancers.BALANCERS,
    balancers.TARGETS,
    network.ENDPOINTS,
    network.NATS,
    network.ADDRESSES,
    network.INTERFACES,
    compute.VOLUMES,
    compute.SNAPSHOTS,
    network.SECURITY_GROUPS,
    network.SUBNETS,
    network.TABLES,
    network.GATEWAYS,
    network.FLOW_LOGS,
    network.VPCS,
    network.OTHERS,
    services.RULES,
    services.QUEUES,
    # Budgets uses a role; roles go when nothing holds them, and they hold no policy of the stack's.
    services.BUDGETS,
    # A subscription names its monitor and a topic.
    alerts.SUBSCRIPTIONS,
    alerts.MONITORS,
    alerts.ALARMS,
    alerts.DASHBOARDS,
    alerts.TOPICS,
    identity.PROFILES,
    identity.POLICIES,
    identity.ROLES,
    services.TABLES,
    buckets.BUCKETS,
    services.LOG_GROUPS,
    services.REPOSITORIES,
    services.ALIASES,
    services.KEYS,
)
