"""Checks of models: is their memory known, and does each fit a slot of its pool?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import get_args

from config.checks.parts import Parts, Slots, attempt
from config.errors import MISSING, Path, Problem, listed, nearest
from config.schema import Model, Workload
from config.section import BrokenValueError
from config.services import memory_of, model_spec, ollama_name
from gpu.models import MODELS, KvCacheType, ModelSpec, largest_context
from gpu.pool import Pool
from gpu.sharing import Mps

#: Contexts shorter than this are no remedy.
_LEAST_CONTEXT = 1024
_HOW = "which `slices model NAME --gguf FILE` prints (docs/models.md)"
ONE_SLOT = "two slots of a shared GPU are not twice the GPU, and both may lie on the same one"


def check_models(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Slots, and whether each model fits."""
    for index, model in enumerate(parts.models or ()):
        if model:
            path: Path = ("models", index)
            yield from attempt(_one_slot(model, path, slots))
            yield from attempt(_known(model, path, slots))
            yield from attempt(_context(model, path))
            yield from model_on_pool(model, path, slots)


def model_on_pool(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    """What may be wrong with a model's memory on one pool and right on another."""
    yield from attempt(_fit(model, path, slots))
    yield from attempt(_mps(model, path, slots))


def _slots_problem(slots: int, pool: Pool | None) -> str:
    if slots > 1 and pool and pool.profile.strategy == "none":
        return "must be 1: a model uses one GPU; a workload may have several of this pool's"
    return f"must be 1: {ONE_SLOT}" if slots > 1 else "must be 1: each model takes one slot"


def pool_of(section: Model | Workload, slots: Slots) -> Pool | None:
    """The pool that a model or workload names, where there is one and its slots are known."""
    with suppress(BrokenValueError):
        return slots.get(section.pool)
    return None


def room_of(pool: Pool) -> str:
    """What holds a pod of a pool, as messages call it."""
    return "the largest GPU" if pool.claims else "a slot"


def _one_slot(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    if model.slots != 1:
        yield Problem((*path, "slots"), model.slots, _slots_problem(model.slots, pool_of(model, slots)))


def _known(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    if model_spec(model) is not None:
        return
    name = ollama_name(model)
    if model.weights_mib is not None or model.kv_kib_per_token is not None:
        missing = "kvKibPerToken" if model.weights_mib is not None else "weightsMib"
        message = f"is missing: {name} is not in the built-in table, so both weightsMib and kvKibPerToken are needed"
        yield Problem((*path, missing), MISSING, message)
        return
    message = f"is not a model whose memory is known{_meant(model, slots)} write weightsMib and kvKibPerToken, {_HOW}"
    if model.model:
        yield Problem((*path, "model"), name, message)
    else:
        message = f"is missing, and {name} {message.replace('; write', '; write model, or', 1)}"
        yield Problem((*path, "model"), MISSING, message)


def _meant(model: Model, slots: Slots) -> str:
    """Which known model an unknown name is near to. Another version or size is another model, and no slip."""
    name = ollama_name(model)
    known = listed([other for other in MODELS if other.partition(":")[0] == name.partition(":")[0]], "and")
    meant = nearest(name, [spec.name for spec in MODELS.values() if _serves(spec, name)])
    if meant is None or re.sub(r"[0-9.]+", "", meant) == re.sub(r"[0-9.]+", "", name):
        return f", unlike {known};" if known != "nothing" else ";"
    pool = pool_of(model, slots)
    fits = pool is None or _fits(model, MODELS[meant], pool)
    return f"; did you mean {meant}{'' if fits else ', which does not fit this pool'}? If not,"


def _serves(spec: ModelSpec, name: str) -> bool:
    """Whether who writes such a name may mean that model: those for embeddings only by a name like theirs."""
    return spec.purpose == "chat" or nearest(name.partition(":")[0], [spec.family]) is not None


def _fits(model: Model, spec: ModelSpec, pool: Pool) -> bool:
    """Whether another model would fit, with what this one is to have."""
    longest = largest_context(spec, pool.slot_memory_mib, parallel=model.parallel, kv_cache_type=model.kv_cache_type)
    return longest >= model.context_length


def _smaller(model: Model, spec: ModelSpec, pool: Pool) -> str:
    """The largest model of the same family that fits; else what every family has."""
    kin = [
        other
        for other in MODELS.values()
        if other.family == spec.family and other.purpose == spec.purpose and _fits(model, other, pool)
    ]
    best = max(kin, key=lambda other: other.weights_mib, default=None)
    return f"a smaller model such as {best.name}" if best else "a smaller model"


def _context(model: Model, path: Path) -> Iterator[Problem]:
    spec = model_spec(model)
    if spec and model.context_length > spec.max_context:
        message = f"must be {spec.max_context} or less: {spec.name} was not trained for more"
        if spec.purpose == "embedding" and "context_length" not in model.model_fields_set:
            message = f"is {model.context_length} by default, and {message}"
        yield Problem((*path, "contextLength"), model.context_length, message)


def _fit(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    spec, memory, pool = model_spec(model), memory_of(model), slots.get(model.pool)
    if not spec or not memory or not pool or memory.total_mib <= pool.slot_memory_mib:
        return
    if model.context_length > spec.max_context:
        return  # reported already, and what the model needs with a right one is not known
    message = (
        f"{spec.name} needs {_gib(memory.total_mib)} GiB (weights {_gib(memory.weights_mib)}, KV cache "
        f"{_gib(memory.kv_cache_mib)} for {model.context_length} tokens x {model.parallel}, overhead "
        f"{_gib(memory.overhead_mib)}), but {room_of(pool)} of pool {model.pool} has "
        f"{_gib(pool.slot_memory_mib)} GiB on {pool.smallest.gpu.product} ({pool.smallest.family}): "
        f"{_remedy(model, spec, pool)}"
    )
    yield Problem((*path, "pool"), model.pool, message)


def _mps(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    """Limits of an MPS client: the daemon's are above them, whatever the client says."""
    pool, limits = slots.get(model.pool), model.mps
    if limits is None or pool is None:
        return
    place: Path = (*path, "mps")
    if not isinstance(pool.profile, Mps):
        message = f"is for models on MPS pools, and pool {model.pool} has strategy {pool.profile.strategy}: remove it"
        yield Problem(place, limits.model_dump(by_alias=True, exclude_none=True), message)
        return
    most = pool.profile.active_thread_percentage
    if limits.max_compute_percent and limits.max_compute_percent > most:
        message = f"must be {most} or less: MPS gives a client at most 100 / {pool.profile.replicas} replicas"
        yield Problem((*place, "maxComputePercent"), limits.max_compute_percent, message)
    if not limits.memory_mib:
        return
    memory, room = memory_of(model), min(pool.profile.memory_limit_mib(t.gpu) for t in pool.types)
    if limits.memory_mib > room:
        message = f"must be {room} or less: that is the limit of a slot on {pool.smallest.gpu.product}"
        yield Problem((*place, "memoryMib"), limits.memory_mib, message)
    elif memory and limits.memory_mib < memory.total_mib <= pool.slot_memory_mib:
        message = f"must be {memory.total_mib} or more: that is what {ollama_name(model)} needs"
        yield Problem((*place, "memoryMib"), limits.memory_mib, message)


def _remedy(model: Model, spec: ModelSpec, pool: Pool) -> str:
    """What would make the model fit, beginning with what costs least."""
    room = pool.slot_memory_mib
    smaller = _smaller(model, spec, pool)
    fewer = f"use a larger GPU or {smaller}"
    if pool.profile.shares and not pool.claims:
        fewer = f"use fewer slots per GPU, a larger GPU or {smaller}"
    for parallel in range(model.parallel - 1, 0, -1):
        if largest_context(spec, room, parallel=parallel, kv_cache_type=model.kv_cache_type) >= model.context_length:
            return f"parallel {parallel} fits, or {fewer}"
    for cache in get_args(KvCacheType):
        tokens = largest_context(spec, room, parallel=model.parallel, kv_cache_type=cache)
        if cache == model.kv_cache_type and tokens >= _LEAST_CONTEXT:
            return f"contextLength {tokens} fits, or {fewer}"
        if tokens >= model.context_length:
            return f"kvCacheType {cache} fits, or {fewer}"
    return fewer


def _gib(mib: int) -> str:
    return f"{mib / 1024:.2f}"
