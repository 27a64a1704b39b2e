"""The tags by which everything of a stack is known in AWS."""

from __future__ import annotations

from config.schema import StackConfig
from gpu.contract import CLUSTER_TAG, REGION_TAG, STACK_TAG


def stack_tags(config: StackConfig) -> dict[str, str]:
    """Tags of every AWS resource: costs can be told apart by stack and by what the stack file says."""
    return {**config.tags, STACK_TAG: config.stack, CLUSTER_TAG: config.cluster_name, REGION_TAG: config.region}
