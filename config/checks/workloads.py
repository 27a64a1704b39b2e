"""Checks of workloads: one container with one slot, and enough memory in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from config.checks.models import pool_of, slots_problem
from config.checks.parts import Parts, Slots, attempt, name_of
from config.errors import MISSING, Path, Problem
from config.schema import Container, Workload
from config.section import BrokenValueError
from gpu.host_share import node_room


def check_workloads(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """One GPU container with one slot each, and whether the stated memory fits."""
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            path: Path = ("workloads", index)
            yield from attempt(_gpu_containers(workload, path, slots))
            yield from attempt(_container_names(workload, path))
            yield from attempt(_fit(workload, path, slots))
            yield from attempt(_node(workload, path, slots))


def _slots_of(containers: Sequence[Container | None]) -> Iterator[tuple[int, str, int]]:
    """(position, name, slots) of the containers that use the GPU. Raises BrokenValueError where that is not known."""
    for index, container in enumerate(containers):
        if container is None:
            raise BrokenValueError(f"containers[{index}]")
        if container.slots != 0:
            yield index, name_of(container) or f"containers[{index}]", container.slots


def _gpu_containers(workload: Workload, path: Path, pools: Slots) -> Iterator[Problem]:
    first = None
    pool = pool_of(workload, pools)
    for index, name, slots in _slots_of(workload.containers):
        place: Path = (*path, "containers", index, "slots")
        if slots < 0:
            yield Problem(place, slots, "must be 0 or 1")
        elif first is not None:
            message = (
                f"must be 0: container {first} uses the GPU already, and each container would take a slot of its own, "
                "for which Karpenter may buy a second GPU; make two workloads"
            )
            yield Problem(place, slots, message)
        elif slots > 1:
            yield Problem(place, slots, slots_problem(slots, pool))
        first = name if first is None else first
    if first is None:
        message = "holds no container with slots: 1; write it on the one that uses the GPU"
        yield Problem((*path, "containers"), MISSING, message)


def _container_names(workload: Workload, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, container in enumerate(workload.containers):
        name = name_of(container)
        if name in seen:
            message = "is the name of another container of this workload already"
            yield Problem((*path, "containers", index, "name"), name, message)
        elif name:
            seen.add(name)


def _fit(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    pool, needed = slots.get(workload.pool), workload.gpu_memory_mib
    if pool and needed and needed > pool.slot_memory_mib:
        message = (
            f"does not fit: a slot of pool {workload.pool} has {pool.slot_memory_mib} MiB on "
            f"{pool.smallest.gpu.product} ({pool.smallest.family})"
        )
        yield Problem((*path, "gpuMemoryMib"), needed, message)


def _node(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    """The pod must fit a node of its pool by itself, or it waits for ever."""
    pool, containers = slots.get(workload.pool), list(_sections(workload.containers))
    if pool is None:
        return
    cpu = sum(_millis(container.cpu) for container in containers)
    memory = sum(_mib(container.memory) for container in containers)
    nodes = [node_room(instance_type) for instance_type in pool.types]
    if not any(cpu <= node.cpu_millis and memory <= node.memory_mib for node in nodes):
        most = max(nodes, key=lambda node: (node.memory_mib, node.cpu_millis))
        message = (
            f"ask for {cpu}m CPU and {memory} MiB together, but pods have {most.cpu_millis}m and {most.memory_mib} MiB "
            f"of the largest node of pool {workload.pool}"
        )
        yield Problem((*path, "containers"), MISSING, message)


def _sections(containers: Sequence[Container | None]) -> Iterator[Container]:
    yield from (container for container in containers if container is not None)


def _millis(cpu: str) -> int:
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def _mib(memory: str) -> int:
    number, unit = float(memory.rstrip("MGi")), memory.lstrip("0123456789.")
    return math.ceil(number * {"Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}[unit] / 2**20)
