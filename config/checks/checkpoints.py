"""Checks of what ends: its checkpoints, an account of its own, free to be interrupted; and time to end on its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from config.checks.parts import Parts, all_of, attempt
from config.errors import MISSING, Path, Problem, key_of
from config.pool_schema import GpuPool
from config.section import BrokenValueError
from config.services import checkpoint_prefix
from config.workload_schema import Checkpoint, Workload
from gpu.checkpoints import (
    GRACE_VARIABLE,
    INTERVAL_VARIABLE,
    POD_GRACE_SECONDS,
    RUN_VARIABLES,
    URL_VARIABLE,
    node_seconds,
)
from gpu.contract import DO_NOT_DISRUPT_ANNOTATION
from gpu.durations import seconds

#: Variables that the section sets.
_OURS: Final = {URL_VARIABLE, INTERVAL_VARIABLE, GRACE_VARIABLE, *RUN_VARIABLES}


def check_checkpoints(workload: Workload, path: Path) -> Iterator[Problem]:
    """Everything about a workload's checkpoints that its own keys say."""
    if workload.checkpoint is None:
        yield from _one_place_for_all(workload, path)
        return
    if not workload.ends:
        message = "is for what ends: write kind: Job or kind: CronJob, or remove it"
        yield Problem((*path, "checkpoint"), MISSING, message)
    if workload.concurrency_policy == "Replace":
        message = "ends the run that checkpoints keep going: write Forbid"
        yield Problem((*path, "concurrencyPolicy"), "Replace", message)
    if DO_NOT_DISRUPT_ANNOTATION in workload.annotations:
        message = (
            "keeps Karpenter from telling the pod to end when Spot takes its node, so that nothing is kept in time; "
            "what has checkpoints may be disrupted: remove it"
        )
        yield Problem(
            (*path, "annotations", DO_NOT_DISRUPT_ANNOTATION), workload.annotations[DO_NOT_DISRUPT_ANNOTATION], message
        )
    for name, place in _variables(workload, path):
        if name in _OURS:
            yield Problem(place, name, "is what checkpoint says: remove one of the two")


def _one_place_for_all(workload: Workload, path: Path) -> Iterator[Problem]:
    """A variable is the same in every pod, so that one run would end with another's result.

    Kubernetes has each pod's own values by `fieldRef` alone, which `checkpoint` writes.
    """
    if not workload.ends or (workload.kind == "Job" and workload.replicas < 2):
        return
    several = "runs" if workload.kind == "CronJob" else "pods"
    for name, place in _variables(workload, path):
        if name == URL_VARIABLE:
            message = (
                f"is one place for all {several}: one would go on after another's last step, and end with its result; "
                "remove it, and write checkpoint, which gives each its own"
            )
            yield Problem(place, name, message)


def _variables(workload: Workload, path: Path) -> Iterator[tuple[str, Path]]:
    """Names of what the container with the slots is given under env, and their keys."""
    for index, container in enumerate(all_of(workload.containers)):
        for position, variable in enumerate(all_of(container.env)):
            if container.slots:
                yield variable.name, (*path, "containers", index, "env", position, "name")


def check_rights(parts: Parts) -> Iterator[Problem]:
    """By whose rights they are kept: the stack makes a role and a service account, in a cluster of its own alone."""
    if parts.cluster is None:
        return
    for index, workload in enumerate(parts.workloads or ()):
        with suppress(BrokenValueError):
            if workload and workload.checkpoint and workload.ends:
                check = _by_the_stack if parts.cluster.existing is None else _by_somebody
                yield from attempt(check(workload, workload.checkpoint, ("workloads", index)))


def _by_the_stack(workload: Workload, _section: Checkpoint, path: Path) -> Iterator[Problem]:
    if workload.name == "default":
        message = "is the name of a service account that every namespace has: with checkpoint choose another name"
        yield Problem((*path, "name"), workload.name, message)
    if workload.service_account_name is not None:
        message = (
            "is not the one that may write checkpoints: with checkpoint the stack makes a service account for the "
            "workload, with a role; remove one of the two"
        )
        yield Problem((*path, "serviceAccountName"), workload.service_account_name, message)


def _by_somebody(workload: Workload, section: Checkpoint, path: Path) -> Iterator[Problem]:
    if section.bucket is None:
        message = "is missing: with cluster.existing the stack makes no bucket; write the name of one of yours"
        yield Problem((*path, "checkpoint", "bucket"), MISSING, message)
    if workload.service_account_name is None:
        message = (
            "is missing: with cluster.existing the stack makes no role for checkpoints; write a ServiceAccount whose "
            f"role may list, read, write and delete below {checkpoint_prefix(workload)}/ of the bucket (docs/jobs.md)"
        )
        yield Problem((*path, "serviceAccountName"), MISSING, message)


def check_prefixes(parts: Parts) -> Iterator[Problem]:
    """Whether each Job's place in a bucket is its own: a role sees all that lies below its prefix."""
    seen: list[tuple[str, Path]] = []
    for index, workload in enumerate(parts.workloads or ()):
        with suppress(BrokenValueError):
            if workload is None or workload.checkpoint is None:
                continue
            section, path = workload.checkpoint, ("workloads", index, "checkpoint", "prefix")
            # Without one the stack's own, which no bucket of a name is.
            place = f"{section.bucket or ''}/{checkpoint_prefix(workload)}/"
            for other, where in seen:
                if place.startswith(other) or other.startswith(place):
                    yield Problem(path, section.prefix or MISSING, _shared(workload, other, where))
                    break
            seen.append((place, path))


def _shared(workload: Workload, other: str, where: Path) -> str:
    """other: bucket and prefix of the workload whose key is `where`."""
    assert workload.checkpoint
    own = "" if workload.checkpoint.prefix else f"is by default {workload.name}, and "
    prefix = other.partition("/")[2].removesuffix("/")
    return (
        f"{own}overlaps {key_of(where)}, {prefix}, in the same bucket: the role of one Job may read and delete the "
        "other's checkpoints; write prefixes of which none begins with the other, such as "
        f"{workload.name}-checkpoints"
    )


def check_time_to_end(parts: Parts) -> Iterator[Problem]:
    """Whether nodes of Jobs live long enough for their pods to be evicted (`gpu.checkpoints.node_seconds`)."""
    for index, pool in enumerate(parts.pools or ()):
        if pool:
            yield from attempt(_time_to_end(pool, ("pools", index), parts))


def _time_to_end(pool: GpuPool, path: Path, parts: Parts) -> Iterator[Problem]:
    graces: dict[str, int] = {}
    for workload in parts.workloads or ():
        with suppress(BrokenValueError):
            if workload and workload.pool == pool.name and workload.ends:
                graces[workload.name] = workload.checkpoint.grace_seconds if workload.checkpoint else POD_GRACE_SECONDS
    name = max(graces, key=lambda each: graces[each], default=None)
    if name is not None and seconds(pool.termination_grace_period) < (least := node_seconds(graces[name])):
        message = (
            f"must be {least}s or more: pods of {name} have {graces[name]} s to end. Where their node has less, "
            "Karpenter deletes them and does not evict them, and their Job counts each interruption as a failure"
        )
        yield Problem((*path, "terminationGracePeriod"), pool.termination_grace_period, message)
