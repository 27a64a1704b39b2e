"""Checks of a workload's checkpoints: of what ends, with an account of its own, and free to be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.checks.parts import all_of
from config.errors import Path, Problem
from config.workload_schema import Workload
from gpu.checkpoints import GRACE_VARIABLE, INTERVAL_VARIABLE, RUN_VARIABLES, URL_VARIABLE
from gpu.contract import DO_NOT_DISRUPT_ANNOTATION

#: Variables that the section sets.
_OURS: Final = {URL_VARIABLE, INTERVAL_VARIABLE, GRACE_VARIABLE, *RUN_VARIABLES}


def check_checkpoints(workload: Workload, path: Path) -> Iterator[Problem]:
    """Everything about a workload's checkpoints that its own keys say."""
    if workload.checkpoint is None:
        return
    if workload.kind in ("Deployment", "KnativeService"):
        message = "is for what ends: write kind: Job or kind: CronJob, or remove it"
        yield Problem((*path, "checkpoint"), {}, message)
    if workload.name == "default":
        message = "is the name of a service account that every namespace has: with checkpoint choose another name"
        yield Problem((*path, "name"), workload.name, message)
    if workload.concurrency_policy == "Replace":
        message = "ends the run that checkpoints keep going: write Forbid"
        yield Problem((*path, "concurrencyPolicy"), "Replace", message)
    if workload.service_account_name is not None:
        message = (
            "is not the one that may write checkpoints: with checkpoint the stack makes a service account for the "
            "workload, with a role; remove one of the two"
        )
        yield Problem((*path, "serviceAccountName"), workload.service_account_name, message)
    if DO_NOT_DISRUPT_ANNOTATION in workload.annotations:
        message = (
            "keeps Karpenter from telling the pod to end when Spot takes its node, so that nothing is kept in time; "
            "what has checkpoints may be disrupted: remove it"
        )
        yield Problem(
            (*path, "annotations", DO_NOT_DISRUPT_ANNOTATION), workload.annotations[DO_NOT_DISRUPT_ANNOTATION], message
        )
    for index, container in enumerate(all_of(workload.containers)):
        for position, variable in enumerate(all_of(container.env)):
            if container.slots and variable.name in _OURS:
                place = (*path, "containers", index, "env", position, "name")
                yield Problem(place, variable.name, "is what checkpoint says: remove one of the two")
