"""Checks of workloads that are vLLM servers: each takes a share of the whole GPU, which must be its slot's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from config.checks.parts import all_of, attempt, said_memory
from config.errors import MISSING, Path, Problem, listed
from config.workload_schema import Container, Workload
from gpu import vllm
from gpu.pods import SHARED_MEMORY
from gpu.pool import Pool


def check_vllm(workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    """Shares and GPUs of the servers among the containers that use the GPU."""
    containers: Sequence[Container | None] = workload.__dict__.get("containers", ())
    for index, container in enumerate(containers):
        if container is not None:
            yield from attempt(_server(workload, container, (*path, "containers", index), pool))
            yield from attempt(_shared_memory(container, workload, (*path, "containers", index, "volumeMounts"), pool))


def _shared_memory(container: Container, workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    """Processes of one server talk by shared memory, of which a container has 64 MiB: vLLM's queues alone are larger
    (shm_broadcast.py: ten chunks of 16 MiB), and NCCL has its own.
    """
    words = _words(container)
    if pool is None or words is None or not 1 < math.prod(vllm.parallel(words).values()) <= container.slots:
        return
    in_memory = {each.name for each in all_of(workload.volumes) if each.empty_dir and each.empty_dir.medium == "Memory"}
    mounted = {each.name for each in all_of(container.volume_mounts) if each.mount_path.rstrip("/") == SHARED_MEMORY}
    if not mounted & in_memory:
        message = (
            f"leave a server of several GPUs 64 MiB of shared memory, at which it ends: mount an emptyDir with "
            f"medium: Memory at {SHARED_MEMORY}, and give the container its size in memory too"
        )
        yield Problem(path, MISSING, message)


def _server(workload: Workload, container: Container, path: Path, pool: Pool | None) -> Iterator[Problem]:
    words = _words(container)
    if pool is None or container.slots < 1 or words is None:
        return
    promised = workload.gpu_memory_mib if pool.claims else None
    if promised is not None and (sizes := vllm.unequal_gpus(pool, promised)):
        message = (
            f"has GPUs of {listed(sizes, 'and')} MiB that hold the claim, and vLLM counts in shares of the whole GPU: "
            f"what is {promised} MiB of one is far from it on the other; use a pool whose instanceTypes have GPUs of "
            "one size"
        )
        yield Problem((*path[:-2], "pool"), workload.pool, message)
        return
    has = _room(workload, pool, promised)
    found = _joined(words) or (
        *_share(words, pool, promised, has),
        *_cache(words, pool, promised, has),
        *_gpus(words, container.slots),
    )
    for about, message in found:
        key, written = _holds(container, about)
        yield Problem((*path, key), list(written), message)


#: A word of the server's, or an option of vLLM's, and what is wrong with it.
_Found = tuple[str, str]


def _holds(container: Container, about: str) -> tuple[str, Sequence[str]]:
    """Which of command and args holds a word or an option; where neither does, the one that ends the server's words."""
    for key, words in (("args", container.args), ("command", container.command)):
        if any(about in word or vllm.option(word.split(), about) is not None for word in words):
            return key, words
    return ("command", container.command) if container.command and not container.args else ("args", container.args)


def _joined(words: Sequence[str]) -> Sequence[_Found]:
    """Options in one word with their value, or with others: vLLM knows none of such a name."""
    joined = next((word for word in words if word.startswith("-") and " " in word.partition("=")[0].strip()), None)
    joined = joined or next((word for word in words if word.startswith("-") and " --" in word), None)
    if joined is None:
        return ()
    split = ", ".join(joined.split())
    message = f"hold {joined!r} as one word: each option and each value is an entry of its own, such as [{split}]"
    return ((joined, message),)


def _gpus(words: Sequence[str], slots: int) -> Iterator[_Found]:
    parallel = vllm.parallel(words)
    needed = math.prod(parallel.values())
    if needed > slots:
        said = listed([f"{name} {count}" for name, count in parallel.items()], "and")
        message = (
            f"have {said}, which need{'s' if len(parallel) == 1 else ''} {needed} GPUs, but the container has "
            f"{slots}: write slots: {needed}, on a pool that shares none"
        )
        yield next(iter(parallel)), message


def _words(container: Container) -> Sequence[str] | None:
    """vLLM's arguments; None where the container is no server."""
    known = {each.name: each.value for each in all_of(container.env) if each.value is not None}
    return vllm.server_words(container.image, container.command, container.args, known)


def _room(workload: Workload, pool: Pool, promised: int | None) -> str:
    """What the server has, in words. promised: what its claim says, in MiB; None where it has a slot."""
    if promised is None:
        has = f"a slot of pool {pool.name} has {pool.slot_memory_mib} MiB"
        return f"{has} on {pool.smallest.gpu.product} ({pool.smallest.family})"
    key, said = said_memory(workload)
    return f"{key} says {promised} MiB" if key == "gpuMemoryMib" else f"{key} says {said}, {promised} MiB"


def _share(words: Sequence[str], pool: Pool, promised: int | None, has: str) -> Iterator[_Found]:
    most = vllm.largest_utilization(pool, promised)
    fits = (
        f"write {vllm.UTILIZATION}={most:.2f} or less: {has}, of which a CUDA context takes {vllm.CONTEXT_MIB}, and "
        "vLLM counts in shares of the whole GPU"
    )
    if most <= 0:
        fits = f"{has}, less than a CUDA context and anything else"
    written = vllm.option(words, vllm.UTILIZATION)
    if written is None:
        if most < vllm.DEFAULT_UTILIZATION:
            message = f"say no {vllm.UTILIZATION}, and vLLM would take {vllm.DEFAULT_UTILIZATION}: {fits}"
            yield vllm.UTILIZATION, message
        return
    share = None
    with suppress(ValueError):
        share = float(written)
    if share is None or not 0 < share <= 1:
        yield vllm.UTILIZATION, f"have {vllm.UTILIZATION} {written or 'without a value'}: {fits}"
    elif share > most:
        more = f"more than the {'claim' if promised else 'slot'}"
        yield vllm.UTILIZATION, f"have {vllm.UTILIZATION} {written}, {more}: {fits}"


def _cache(words: Sequence[str], pool: Pool, promised: int | None, has: str) -> Iterator[_Found]:
    """Sizes of the cache, with which vLLM keeps to no share."""
    most = (promised or pool.slot_memory_mib) - vllm.CONTEXT_MIB
    written = vllm.option(words, vllm.CACHE_BYTES)
    if written is not None and most > 0:
        size = vllm.size(written)
        fits = (
            f"write {most}M or less, less what the model's weights take: {has}, of which a CUDA context takes "
            f"{vllm.CONTEXT_MIB}, and with {vllm.CACHE_BYTES} vLLM keeps to no share of the GPU"
        )
        if size is None:
            message = f"have {vllm.CACHE_BYTES} {written or 'without a value'}, which is no size such as 2G: {fits}"
            yield vllm.CACHE_BYTES, message
        elif size > most * 1024**2:
            more = f"more than the {'claim' if promised else 'slot'}"
            yield vllm.CACHE_BYTES, f"have {vllm.CACHE_BYTES} {written}, {more}: {fits}"
    if pool.profile.shares and not pool.profile.isolated and vllm.option(words, vllm.CACHE_BLOCKS) is not None:
        message = (
            f"have {vllm.CACHE_BLOCKS}, with which the cache keeps to no share of the GPU, and only the model says how "
            f"large a block is: remove it, or write {vllm.CACHE_BYTES}"
        )
        yield vllm.CACHE_BLOCKS, message
