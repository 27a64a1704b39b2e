"""Checks of workloads: one container with the slots, enough memory in them, and a node that holds the pod."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.checks.checkpoints import check_checkpoints
from config.checks.knative import check_knative, knative_on_pool
from config.checks.models import ONE_SLOT, pool_of, room_of
from config.checks.parts import Parts, Slots, attempt, name_of, said_memory
from config.checks.vllm import check_vllm
from config.checks.workload_pods import check_pod, check_user
from config.checks.workload_volumes import check_volumes
from config.errors import MISSING, Path, Problem, counted
from config.schema import Container, Workload
from config.section import BrokenValueError
from config.services import pod_asks
from gpu.host_share import node_room
from gpu.pool import Pool


def check_workloads(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Everything that is wrong with workloads, one by one."""
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            path: Path = ("workloads", index)
            yield from attempt(_container_names(workload, path))
            yield from on_pool(workload, path, slots)
            yield from check_pod(workload, path)
            yield from check_volumes(workload, path, pool_of(workload, slots))
            yield from attempt(check_checkpoints(workload, path))
            yield from attempt(check_knative(workload, path))


def on_pool(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    """What may be wrong with a workload on one pool and right on another."""
    yield from attempt(_gpu_containers(workload, path, slots))
    yield from attempt(_fit(workload, path, slots))
    yield from attempt(_node(workload, path, slots))
    yield from attempt(_knative(workload, path, slots))
    yield from attempt(check_user(workload, path, pool_of(workload, slots)))
    yield from check_vllm(workload, path, pool_of(workload, slots))


def _knative(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    pool = slots.get(workload.pool)
    if pool:
        yield from knative_on_pool(workload, path, pool, whole_gpus(workload, pool))


def whole_gpus(workload: Workload, pool: Pool) -> int:
    """Slots that each pod asks for, where the pool can give so many; 1 where that is wrong, and said already."""
    slots = max((count for _, _, count in _slots_of(workload.containers)), default=1)
    return slots if _slots_problem(slots, pool) is None else 1


def _slots_problem(slots: int, pool: Pool | None) -> str | None:
    """What is wrong with the slots of a container that uses the GPU. pool: its own, where it is known."""
    if slots < 0:
        return "must be 0 or 1"
    if slots < 2 or pool is None:
        return None
    if pool.profile.shares:
        whole = "; several whole GPUs are slots of a pool with sharing: {strategy: none}"
        return f"must be 1: {ONE_SLOT}{whole}"
    few = sorted({t.gpu_count for t in pool.types if t.gpu_count < slots})
    if few:
        return (
            f"must be {few[0]} or less: pool {pool.name} may buy nodes with {counted(few[0], 'GPU')}; "
            f"leave out those with fewer than {slots}, by gpusPerNode or instanceTypes, or make a pool of its own"
        )
    return None


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
        problem = _slots_problem(slots, pool)
        if slots > 0 and first is not None:
            message = (
                f"must be 0: container {first} uses the GPU already, and each container would take a slot of its own, "
                "for which Karpenter may buy a second GPU; make two workloads"
            )
            yield Problem(place, slots, message)
        elif problem:
            yield Problem(place, slots, problem)
        first = name if first is None else first
    if first is None:
        message = "holds no container with slots: 1; write it on the one that uses the GPU"
        yield Problem((*path, "containers"), MISSING, message)


def _container_names(workload: Workload, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, container in enumerate(workload.containers):
        name = name_of(container)
        if name in seen:
            message = "is the name of another container of this workload already: choose another"
            yield Problem((*path, "containers", index, "name"), name, message)
        elif name:
            seen.add(name)


def _fit(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    pool, needed = slots.get(workload.pool), workload.gpu_memory_mib
    if pool is None or needed is None:
        return
    count = whole_gpus(workload, pool)
    if needed > count * pool.slot_memory_mib:
        what, has = (room_of(pool), "has") if count == 1 else (f"{count} GPUs", "have")
        message = (
            f"does not fit: {what} of pool {workload.pool} {has} {count * pool.slot_memory_mib} MiB on "
            f"{pool.smallest.gpu.product} ({pool.smallest.family}): write less, or give it another pool"
        )
        key, said = said_memory(workload)
        yield Problem((*path, key), said, message)


def _node(workload: Workload, path: Path, slots: Slots) -> Iterator[Problem]:
    """The pod must fit a node of its pool by itself, or it waits for ever."""
    pool, containers = slots.get(workload.pool), list(_sections(workload.containers))
    if pool is None:
        return
    asked = pod_asks(workload.kind, containers)
    # What claims more than a GPU has goes to none of its nodes, however large the rest of them is.
    claimed = workload.gpu_memory_mib or 0 if pool.claims else 0
    able = [instance_type for instance_type in pool.types if instance_type.gpu.usable_mib >= claimed]
    nodes = [node_room(instance_type) for instance_type in able]
    own = " with Knative's own" if workload.kind == "KnativeService" else ""
    if nodes and not any(node.holds(asked) for node in nodes):
        most = max(nodes, key=lambda node: (node.memory_mib, node.cpu_millis))
        held = " whose GPU holds it" if len(able) < len(pool.types) else ""
        message = (
            f"ask for {asked.cpu_millis}m CPU and {asked.memory_mib} MiB together{own}, but pods have "
            f"{most.cpu_millis}m and {most.memory_mib} MiB of the largest node of pool {workload.pool}{held}: write "
            "less, or give the pool larger types"
        )
        yield Problem((*path, "containers"), MISSING, message)
    elif pool.static is not None and (small := [each for each in pool.types if not node_room(each).holds(asked)]):
        # Nodes of such a pool are made without a look at pods (karpenter pkg/controllers/static/provisioning): the
        # cheapest type that is to be had, and for a pod that it does not hold no other follows.
        least, large = node_room(small[0]), [each.name for each in pool.types if each not in small]
        message = (
            f"ask for {asked.cpu_millis}m CPU and {asked.memory_mib} MiB together{own}, but pods have "
            f"{least.cpu_millis}m and {least.memory_mib} MiB of a {small[0].name}, and all nodes of static pool "
            f"{pool.name} may be of that type: write less, or give the pool instanceTypes: [{', '.join(large)}] alone"
        )
        yield Problem((*path, "containers"), MISSING, message)


def _sections(containers: Sequence[Container | None]) -> Iterator[Container]:
    yield from (container for container in containers if container is not None)
