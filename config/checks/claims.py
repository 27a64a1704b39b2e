"""Checks of pools whose pods claim memory: what the rest of the stack must be, and whether what runs at once fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.checks.parts import Parts, Slots, attempt, said_memory
from config.checks.sharing import MIN_SLOT_MIB
from config.errors import MISSING, Path, Problem, listed
from config.schema import Cluster, Dialogue, GpuSharing, Karpenter, Model, Workload
from config.services import Service, memory_of, service_claim, service_name, workload_claim
from gpu.claims import ClaimError
from gpu.pool import Pool
from gpu.sharing.memory import FIRST_KUBERNETES


def check_claims(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Everything about claims that concerns more than one section."""
    pools = {name: pool for name, pool in slots.items() if pool.claims}
    if not pools:
        return
    names = listed([*pools], "and")
    if parts.cluster:
        yield from attempt(_kubernetes(parts.cluster, names))
    if parts.karpenter:
        yield from attempt(_karpenter(parts.karpenter, names))
    if parts.gpu_sharing:
        yield from attempt(_plugin(parts.gpu_sharing, names))
    if parts.examples and parts.pools and parts.pools[0] and parts.pools[0].name in pools:
        message = f"has a CUDA job that asks for a slot, and pool {parts.pools[0].name} has claims: put a pool with "
        yield Problem(("examples",), True, f"{message}slots first, or write examples: false")
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            yield from attempt(_need(workload, ("workloads", index), pools))
    yield from attempt(_together(parts, pools))


def _kubernetes(cluster: Cluster, names: str) -> Iterator[Problem]:
    wanted = tuple(int(part) for part in FIRST_KUBERNETES.split("."))
    if tuple(int(part) for part in cluster.version.split(".") if part.isdecimal()) < wanted:
        message = (
            f"must be {FIRST_KUBERNETES} or later: before it Kubernetes shares no GPU among claims (strategy memory of "
            f"pool {names}), and EKS lets nobody set its gates"
        )
        yield Problem(("cluster", "version"), cluster.version, message)


def _karpenter(karpenter: Karpenter, names: str) -> Iterator[Problem]:
    if karpenter.existing:
        message = (
            f"has gates of its own, and strategy memory of pool {names} needs its alpha gate draNVIDIAGPU: let the "
            "stack bring Karpenter, or use another strategy"
        )
        yield Problem(("karpenter", "existing"), MISSING, message)


def _plugin(sharing: GpuSharing, names: str) -> Iterator[Problem]:
    if sharing.existing:
        message = (
            f"finds GPU nodes by itself, also those of pool {names}, whose GPUs belong to NVIDIA's DRA driver "
            "(strategy memory): a GPU must not have two owners; let the stack install the plugin, or use another "
            "strategy"
        )
        yield Problem(("gpuSharing", "existing"), MISSING, message)


def _need(workload: Workload, path: Path, pools: Mapping[str, Pool]) -> Iterator[Problem]:
    if workload.pool not in pools:
        return
    need = workload.gpu_memory_mib
    if need is None:
        message = f"is missing: pods of pool {workload.pool} claim memory; write how many MiB of a GPU each needs"
        yield Problem((*path, "gpuMemoryMib"), MISSING, message)
    elif need < MIN_SLOT_MIB:
        # Most often GiB were meant; the pod would be promised next to nothing, and take what others have claimed.
        message = f"must be {MIN_SLOT_MIB} MiB or more: {need} MiB are too little for CUDA"
        key, said = said_memory(workload)
        yield Problem((*path, key), said, message)


@dataclass(frozen=True)
class _Holding:
    """Pods that hold claims of a pool at the same time. path: of the key that says how many."""

    pool: Pool
    claim_mib: int
    pods: int
    path: Path

    @property
    def claims(self) -> Sequence[int]:
        """Of all its pods, in MiB."""
        return [self.claim_mib] * self.pods


def _together(parts: Parts, pools: Mapping[str, Pool]) -> Iterator[Problem]:
    """What never sleeps, and a dialogue's speakers beside it, must fit within maxGpus; so must all pods of a model."""
    servers = _services(parts, pools)
    standing = [*_deployments(parts, pools), *_awake(servers, pools)]
    for pool in pools.values():
        held: list[int] = []
        for holding in (each for each in standing if each.pool is pool):
            problem = _too_many(holding, held)
            if problem:
                yield problem
            else:
                held += holding.claims
        if parts.dialogue:
            yield from _dialogue(parts.dialogue, pool, servers, held)
    for index, service in servers.values():
        pool, wanted = pools[service.first.pool], service.first.max_scale
        claim = _claim(service, pool)
        if wanted and claim:
            problem = _too_many(_Holding(pool, claim, wanted, ("models", index, "maxScale")), [])
            yield from [problem] if problem else []


def _fit(pool: Pool, claims: Sequence[int]) -> bool:
    """Whether the pool's limit lets all of them run at once."""
    return pool.room_for(claims) <= pool.room if claims else True


def _limit(pool: Pool, claims: Sequence[int]) -> str:
    """What they exceed: the GPUs, or the processors of nodes with larger ones."""
    said = f"maxGpus {pool.max_gpus}"
    if pool.gpus_for(claims) > pool.max_gpus:
        return said
    return f"{said}, which lets its nodes have {pool.room} vCPUs: nodes for these claims have {pool.room_for(claims)}"


def _services(parts: Parts, pools: Mapping[str, Pool]) -> Mapping[str, tuple[int, Service]]:
    """Services of the pools whose models' memory is known, with the position of their first model."""
    grouped: dict[str, list[tuple[int, Model]]] = {}
    for index, model in enumerate(parts.models or ()):
        if model and model.pool in pools:
            grouped.setdefault(service_name(model), []).append((index, model))
    return {
        name: (found[0][0], Service(name, tuple(model for _, model in found), pools[found[0][1].pool].max_slots))
        for name, found in grouped.items()
        if all(memory_of(model) for _, model in found)
    }


def _claim(service: Service, pool: Pool) -> int | None:
    """None for what does not fit: that is said elsewhere."""
    try:
        return service_claim(service, pool)
    except ClaimError:
        return None


def _deployments(parts: Parts, pools: Mapping[str, Pool]) -> Iterator[_Holding]:
    for index, workload in enumerate(parts.workloads or ()):
        if workload and workload.kind == "Deployment" and workload.pool in pools:
            try:
                claim = workload_claim(workload, pools[workload.pool])
            except ClaimError:
                continue
            key: Path = ("autoscaling", "maxReplicas") if workload.autoscaling else ("replicas",)
            yield _Holding(pools[workload.pool], claim, workload.most_replicas, ("workloads", index, *key))


def _awake(servers: Mapping[str, tuple[int, Service]], pools: Mapping[str, Pool]) -> Iterator[_Holding]:
    for index, service in servers.values():
        pool = pools[service.first.pool]
        claim = _claim(service, pool)
        if claim and service.first.min_scale:
            yield _Holding(pool, claim, service.first.min_scale, ("models", index, "minScale"))


def _too_many(holding: _Holding, held: Sequence[int]) -> Problem | None:
    """What is wrong with pods that do not fit within the limit of their pool. held: what always runs there already."""
    pool = holding.pool
    if _fit(pool, [*held, *holding.claims]):
        return None
    fits = next(
        pods for pods in range(holding.pods - 1, -1, -1) if not pods or _fit(pool, [*held, *[holding.claim_mib] * pods])
    )
    beside = f" beside {sum(held)} MiB of what always runs" if held else ""
    message = (
        f"must be {fits} or less: each pod claims {holding.claim_mib} MiB, and pool {pool.name} has "
        f"{_limit(pool, [*held, *holding.claims])}{beside}"
    )
    return Problem(holding.path, holding.pods, message)


def _dialogue(
    dialogue: Dialogue, pool: Pool, servers: Mapping[str, tuple[int, Service]], held: Sequence[int]
) -> Iterator[Problem]:
    """Speakers that sleep must find their claims beside what always runs."""
    named = {*dialogue.speakers, *dialogue.guests}
    asked = [service for _, service in servers.values() if any(model.name in named for model in service.models)]
    waking = [service for service in asked if service.first.pool == pool.name and not service.first.min_scale]
    claims = [claim for service in waking if (claim := _claim(service, pool))]
    if claims and not _fit(pool, [*held, *claims]):
        names = listed([model.name for service in waking for model in service.models if model.name in named], "and")
        message = (
            f"makes {names} run together, whose claims need {pool.gpus_for([*held, *claims])} GPUs, but pool "
            f"{pool.name} has {_limit(pool, [*held, *claims])}: raise it, or use smaller models"
        )
        yield Problem(("dialogue",), MISSING, message)
