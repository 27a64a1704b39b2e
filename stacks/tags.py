"""The tags by which everything of a stack is known in AWS."""

from __future__ import annotations

from typing import Final

from config.schema import StackConfig

STACK_TAG: Final = "gpu-slices/stack"
"""Tag of every AWS resource of a stack, down to the disks of its nodes: what the budget counts."""

CLUSTER_TAG: Final = "gpu-slices/cluster"
"""Beside it, the cluster's name: another project's stack may have the same name, but a cluster has it alone."""

REGION_TAG: Final = "gpu-slices/region"
"""And the region: what has none of its own, as in IAM, could else be that of a stack of the name elsewhere."""


def stack_tags(config: StackConfig) -> dict[str, str]:
    """Tags of every AWS resource: costs can be told apart by stack and by what the stack file says."""
    return {**config.tags, STACK_TAG: config.stack, CLUSTER_TAG: config.cluster_name, REGION_TAG: config.region}
