"""Checks of workloads that are vLLM servers: each takes a share of the whole GPU, which must be its slot's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from config.checks.parts import attempt
from config.errors import Path, Problem
from config.workload_schema import Container, Workload
from gpu import vllm
from gpu.pool import Pool


def check_vllm(workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    """Shares and GPUs of the servers among the containers that use the GPU."""
    containers: Sequence[Container | None] = workload.__dict__.get("containers", ())
    for index, container in enumerate(containers):
        if container is not None:
            yield from attempt(_server(container, (*path, "containers", index, "args"), pool))


def _server(container: Container, path: Path, pool: Pool | None) -> Iterator[Problem]:
    words = (*container.command, *container.args)
    if pool is None or container.slots < 1 or not vllm.serves(container.image, words):
        return
    yield from _share(words, path, pool)
    parallel = vllm.option(words, vllm.TENSOR_PARALLEL)
    if parallel and parallel.isdecimal() and int(parallel) > container.slots:
        message = (
            f"have {vllm.TENSOR_PARALLEL} {parallel}, which needs {parallel} GPUs, but the container has "
            f"{container.slots}: write slots: {parallel}, on a pool that shares none"
        )
        yield Problem(path, list(container.args), message)


def _share(words: tuple[str, ...], path: Path, pool: Pool) -> Iterator[Problem]:
    if vllm.option(words, vllm.CACHE_BYTES) is not None:
        return  # then vLLM leaves the share aside
    most = vllm.largest_utilization(pool)
    fits = (
        f"write {vllm.UTILIZATION}={most:.2f} or less: a slot of pool {pool.name} has {pool.slot_memory_mib} MiB on "
        f"{pool.smallest.gpu.product} ({pool.smallest.family}), of which a CUDA context takes {vllm.CONTEXT_MIB}, and "
        "vLLM counts in shares of the whole GPU"
    )
    if most <= 0:
        fits = f"a slot of pool {pool.name} has {pool.slot_memory_mib} MiB, less than a CUDA context and anything else"
    written = vllm.option(words, vllm.UTILIZATION)
    if written is None:
        if most < vllm.DEFAULT_UTILIZATION:
            message = f"say no {vllm.UTILIZATION}, and vLLM would take {vllm.DEFAULT_UTILIZATION}: {fits}"
            yield Problem(path, list(words), message)
        return
    share = None
    with suppress(ValueError):
        share = float(written)
    if share is None or not 0 < share <= 1:
        yield Problem(path, list(words), f"have {vllm.UTILIZATION} {written or 'without a value'}: {fits}")
    elif share > most:
        yield Problem(path, list(words), f"have {vllm.UTILIZATION} {written}, more than the slot: {fits}")
