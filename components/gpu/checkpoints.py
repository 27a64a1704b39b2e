"""What the pods of a Job know of its checkpoints: where they go, how often, and how much time is left at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.arguments import Arguments
from gpu.checkpoints import GRACE_VARIABLE, INTERVAL_VARIABLE, RUN_VARIABLES, URL_VARIABLE, check_prefix, run_url


@dataclass(frozen=True, kw_only=True)
class Checkpointing(Arguments):
    """Where and how often the pods of a Job keep checkpoints.

    `CheckpointBucket` and `CheckpointAccess` make the bucket and who may write there, or somebody else has.

    bucket_name, prefix: below which every run has a folder of its own. region: the bucket's.
    interval_seconds: most work that may be lost. grace_seconds: from SIGTERM to the pod's end.
    after: what lets the pods at the bucket: they come after it.
    """

    bucket_name: pulumi.Input[str]
    prefix: str
    region: str
    interval_seconds: int
    grace_seconds: int
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a prefix that could mean more than one place."""
        super().__post_init__()
        check_prefix("Checkpointing.prefix", self.prefix)


def checkpoint_variables(checkpoint: Checkpointing, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a job knows of its checkpoints. Kubernetes fills in `$(NAME)` of variables that stand before.

    given: what the container has already, which stays.
    """
    labels = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
        for name, label in RUN_VARIABLES.items()
    ]
    values = {
        URL_VARIABLE: pulumi.Output.from_input(checkpoint.bucket_name).apply(
            lambda bucket: run_url(bucket, checkpoint.prefix)
        ),
        INTERVAL_VARIABLE: str(checkpoint.interval_seconds),
        GRACE_VARIABLE: str(checkpoint.grace_seconds),
        "AWS_DEFAULT_REGION": checkpoint.region,
    }
    there = {variable["name"] for variable in given}
    return [*labels, *({"name": name, "value": value} for name, value in values.items() if name not in there)]
