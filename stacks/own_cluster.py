"""A cluster that the stack makes, as what stands on it knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.cluster.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class OwnCluster:
    """What others need of it: roles, volumes and images in its account, budget and alarms, a door in its network.

    home_subnet_ids: of the zones in which its system nodes are. route_table_ids: of the stack's own network; none in a
    network that is there.
    """

    account_id: pulumi.Input[str]
    cluster: Cluster
    vpc_id: pulumi.Input[str]
    home_subnet_ids: Sequence[pulumi.Input[str]]
    route_table_ids: Sequence[pulumi.Input[str]] = ()
    data_key_arn: pulumi.Input[str]
