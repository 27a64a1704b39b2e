"""The models of an Ollama server fit into its slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from gpu.catalog import INSTANCE_TYPES, Gpu
from gpu.contract import MEMORY_ANNOTATION, MODEL_ANNOTATION
from gpu.models import KV_CACHE_RATIO, KvCacheType, find_model, largest_context, model_memory
from gpu.sharing import SharingError
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.ollama import OLLAMA_TYPES, Server, models, servers, stated
from policy.reading import Unknown, get, quantity, text, whole
from policy.rules.mps_client_limits import client_memory_mib
from policy.sharing import SHARING_TYPES, JudgedPool, sharing_view

_MIB: Final = 2**20
#: Tokens that Ollama gives a model where nobody says how many, on the smallest GPUs (envconfig, OLLAMA_CONTEXT_LENGTH).
_LEAST_CONTEXT: Final = 4096


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield servers whose models need more memory than the smallest slot that they may get."""
    pools = sharing_view(stack).pools
    yield from by_resource(stack.of(*OLLAMA_TYPES), lambda resource: _of(resource, pools))


def _of(resource: Resource, pools: list[JudgedPool]) -> Iterator[Finding]:
    for server in servers(resource):
        if server.pod.gpu_containers():
            landing = [pool for pool in pools if server.pod.may_land_on(pool.pool)]
            yield from (Finding(problem, resource.urn) for problem in _problems(server, landing))


def _problems(server: Server, pools: list[JudgedPool]) -> Iterator[str]:
    need = _need(server)
    if isinstance(need, str):
        yield f"container {server.name}: {need}"
    if isinstance(need, str) or not need:
        return
    for pool in pools:
        slot = _slot_mib(pool, server)
        own = client_memory_mib(server.env)
        if slot is not None and own is not None and pool.sharing and pool.sharing.strategy == "mps":
            slot = min(slot, own)
        if slot is not None and need > slot:
            yield (
                f"container {server.name}: its models need {need} MiB, a slot of pool {pool.name} has {slot} MiB"
                f"{_hint(server, slot)}. Use a smaller context or model, fewer replicas, or larger GPUs."
            )


def _need(server: Server) -> int | str:
    """MiB that the models need together; 0 if no model is named; or what keeps it from being known."""
    memory, names = stated(server, MEMORY_ANNOTATION), models(server)
    if isinstance(memory, Unknown) or isinstance(names, Unknown):
        return f"{MODEL_ANNOTATION} and {MEMORY_ANNOTATION} must be literals."
    if memory is not None:
        figure = whole(memory)
        wrong = f"{MEMORY_ANNOTATION} is {text(memory) or 'empty'}, which is no number of MiB."
        return figure if figure is not None and figure > 0 else wrong
    needs, pulled = [], names is server.pulled
    for name in names:
        spec = find_model(name)
        if spec is None and pulled:
            continue  # nobody said that it is all that the server runs
        if spec is None:
            return f"model {name} is not known here: write what it needs as annotation {MEMORY_ANNOTATION}."
        context = _whole(server, "OLLAMA_CONTEXT_LENGTH", _LEAST_CONTEXT if pulled else spec.max_context)
        parallel = _whole(server, "OLLAMA_NUM_PARALLEL", 1)
        if context is None or parallel is None:
            return "OLLAMA_CONTEXT_LENGTH and OLLAMA_NUM_PARALLEL must be literal numbers."
        kind = _kv_cache(server)
        needs.append(model_memory(spec, context_length=context, parallel=parallel, kv_cache_type=kind).total_mib)
    if pulled:
        return max(needs, default=0)  # got one after another; Ollama ends one that is idle to load the next
    loaded = _whole(server, "OLLAMA_MAX_LOADED_MODELS", len(needs)) or len(needs)
    return sum(sorted(needs, reverse=True)[:loaded])


def _whole(server: Server, name: str, default: int) -> int | None:
    value = server.env.get(name)
    if value is None:
        return default
    figure = whole(value)
    return None if figure is None or figure < 0 else figure or default


def _kv_cache(server: Server) -> KvCacheType:
    given = text(server.env.get("OLLAMA_KV_CACHE_TYPE"))
    return cast(KvCacheType, given) if given in KV_CACHE_RATIO else "f16"


def _hint(server: Server, slot: int) -> str:
    names = models(server)
    spec = find_model(names[0]) if not isinstance(names, Unknown) and len(names) == 1 else None
    if spec is None:
        return ""
    longest = largest_context(spec, slot, kv_cache_type=_kv_cache(server))
    return f" (longest context of {spec.name} there: {longest} tokens)" if longest else f" ({spec.name} never fits)"


def _slot_mib(pool: JudgedPool, server: Server) -> int | None:
    """Memory of the smallest slot that the pool may give to the server; None if nothing tells.

    Where the stack says nothing of sharing, it is all of the GPUs that the server asks for, and no more.
    """
    if pool.sharing is None:
        asked = max((whole(one.quantity) or 1 for one in server.pod.gpu_containers()), default=1)
        return min((asked * gpu.usable_mib for gpu in _gpus(pool, server, asked)), default=None)
    profile = pool.sharing.profile
    if profile is None:
        return None
    slots = []
    for gpu in _gpus(pool, server):
        try:
            slots.append(profile.slot_memory_mib(gpu))
        except SharingError:
            continue  # gpu-sharing-consistent has said so
    return min(slots, default=None)


def _gpus(pool: JudgedPool, server: Server, count: int = 1) -> set[Gpu]:
    """GPUs of the pool's types with that many of them, and with enough memory of the machine for the server's pod."""
    containers = server.pod.containers()
    needed = sum(map(_memory, containers))
    types = (INSTANCE_TYPES[candidate.name] for _, candidate in pool.types if candidate.name in INSTANCE_TYPES)
    return {one.gpu for one in types if one.gpu_count >= count and one.memory_mib * _MIB >= needed}


def _memory(container: Mapping[str, Any]) -> float:
    """Memory (bytes) that the scheduler keeps for a container: what it requests, else its limit."""
    asked = (quantity(get(container, "resources", kind, "memory")) for kind in ("requests", "limits"))
    return next((one for one in asked if one is not None), 0)


RULE = StackRule(
    name="ollama-fits-slot",
    title="Models fit their slot",
    description="The models of an Ollama server must fit into the memory of the smallest slot that its pod may get.",
    why=(
        "A model that does not fit is not refused: Ollama puts the rest of its layers on the CPU and answers many "
        "times slower with status 200, or, under time-slicing, takes memory that belongs to the neighbours, who then "
        "fail. The figures: weights and KV cache of `gpu/models.py`, GPU memory of the catalogue, derated, divided as "
        "the pool's sharing does."
    ),
    fix=(
        f"Name the models in the pod annotation `{MODEL_ANNOTATION}` (several: separated by commas) and set "
        f"OLLAMA_CONTEXT_LENGTH; for models not known here write the need in MiB as `{MEMORY_ANNOTATION}`. Then choose "
        "context, model, replicas or GPU so that it fits."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *OLLAMA_TYPES),
    check=check,
)
