"""Checks of a workload's volumes: one source each, each mounted by its name, no two at one place."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Set

from config.checks.parts import all_of, attempt
from config.checks.workload_pods import exactly_one
from config.errors import MISSING, Path, Problem, one_of
from config.quantities import memory_mib
from config.workload_schema import Container, Workload, WorkloadVolume
from gpu.pods import SCRATCH_VOLUME, SHARED_MEMORY
from gpu.pool import Pool


def check_volumes(workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    """Everything about a workload's volumes."""
    yield from attempt(_names(workload, path))
    for index, volume in enumerate(_there(workload)):
        if volume:
            yield from attempt(_source(volume, (*path, "volumes", index)))
    yield from attempt(_twice(workload, path))
    yield from attempt(_in_memory(workload, path))
    yield from attempt(_mounts(workload, path, pool))


def _there(workload: Workload) -> tuple[WorkloadVolume | None, ...]:
    found: tuple[WorkloadVolume | None, ...] = workload.__dict__.get("volumes", ())
    return found


def _names(workload: Workload, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, volume in enumerate(all_of(workload.volumes)):
        place = (*path, "volumes", index, "name")
        if volume.name == SCRATCH_VOLUME:
            yield Problem(place, volume.name, "is taken by the pod's own disk at /tmp: choose another name")
        elif volume.name in seen:
            yield Problem(place, volume.name, "is the name of another volume of this workload already: choose another")
        seen.add(volume.name)


def _source(volume: WorkloadVolume, path: Path) -> Iterator[Problem]:
    sources: Mapping[str, object] = {
        "emptyDir": volume.empty_dir,
        "persistentVolumeClaim": volume.persistent_volume_claim,
        "s3": volume.s3,
        "efs": volume.efs,
    }
    yield from exactly_one({key: value is not None for key, value in sources.items()}, path)


def _twice(workload: Workload, path: Path) -> Iterator[Problem]:
    """The kubelet mounts one of two volumes of one handle in a pod, and waits for the other for ever."""
    seen: set[tuple[str, str | None]] = set()
    for index, volume in enumerate(all_of(workload.volumes)):
        handle = volume.efs and (volume.efs.file_system_id, volume.efs.access_point_id)
        if volume.efs and handle in seen:
            place = (*path, "volumes", index, "efs", "fileSystemId")
            message = "is another volume of this workload already: mount that one twice, with subPath"
            yield Problem(place, volume.efs.file_system_id, message)
        seen |= {handle} if handle else set()


def _in_memory(workload: Workload, path: Path) -> Iterator[Problem]:
    """What is written to a folder in memory counts against the limits of the containers."""
    room = sum(memory_mib(container.memory) for container in all_of(workload.containers))
    for index, volume in enumerate(all_of(workload.volumes)):
        folder = volume.empty_dir
        if folder is None or folder.medium != "Memory":
            continue
        place = (*path, "volumes", index, "emptyDir")
        if folder.size_limit is None:
            message = "is missing: without it the folder may fill all memory of the containers, which ends them"
            yield Problem((*place, "sizeLimit"), MISSING, message)
        elif memory_mib(folder.size_limit) >= room:
            message = f"must be less than the {room} MiB of memory of the containers, of which it is a part"
            yield Problem((*place, "sizeLimit"), folder.size_limit, message)


def _mounts(workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    known = [volume.name for volume in all_of(workload.volumes)]
    mounted: set[str] = set()
    for index, container in enumerate(all_of(workload.containers)):
        mounted |= {mount.name for mount in all_of(container.volume_mounts)}
        yield from _mounts_of(container, (*path, "containers", index), known, pool)
    for index, name in enumerate(known):
        if name not in mounted:
            yield Problem((*path, "volumes", index, "name"), name, "is mounted by no container: mount it, or remove it")


def _mounts_of(container: Container, path: Path, known: list[str], pool: Pool | None) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        place = (*path, "volumeMounts", index)
        where = posixpath.normpath(f"/{mount.mount_path.lstrip('/')}")
        if mount.name not in known:
            allowed = one_of(mount.name, known) if known else "write it under the workload's volumes"
            yield Problem((*place, "name"), mount.name, f"is no volume of this workload: {allowed}")
        yield from _place(where, mount.mount_path, (*place, "mountPath"), seen, pool)
        seen.add(where)


def _place(where: str, written: str, path: Path, seen: Set[str], pool: Pool | None) -> Iterator[Problem]:
    if where == "/":
        yield Problem(path, written, "must not be the root, which would hide the image: write a folder below it")
    elif where in seen:
        yield Problem(path, written, "is where another volume is mounted already: choose another path")
    elif pool and pool.profile.strategy == "mps" and (where == SHARED_MEMORY or where.startswith(f"{SHARED_MEMORY}/")):
        message = "is the device plugin's on an MPS pool, by which clients and server talk: remove the mount"
        yield Problem(path, written, message)
