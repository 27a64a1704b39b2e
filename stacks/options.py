"""What components of a stack have in common: what they come after, and the nodes that stay."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.cluster.system_nodes import SYSTEM_NODE_LABEL
from config.schema import StackConfig


def system_node_labels(config: StackConfig) -> Mapping[str, str]:
    """Labels of the nodes that stay."""
    return config.cluster.system_node_labels or SYSTEM_NODE_LABEL


def after(opts: pulumi.ResourceOptions, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
    """The options, with more that must be there before the component and outlive it."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*resources]))
