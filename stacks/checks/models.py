"""Checks of what runs on the pools: does it fit its slot, does it ask for one slot, can all run together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpu.models import MODELS, ModelMemory, ModelSpec, find_model, largest_context, model_memory
from gpu.sharing import SharingError, SharingProfile
from stacks.errors import MISSING, Path, Problem, nearest, one_of
from stacks.pools import pool_max_slots, pool_slot_memory_mib, pool_types
from stacks.schema import Dialogue, GpuPool, Model, Workload

Pools = Sequence[GpuPool | None]


def model_spec(model: Model) -> ModelSpec | None:
    """What is known of the model: the built-in table, with what the stack file says instead."""
    known = find_model(model.model or model.name)
    weights = model.weights_mib or (known and known.weights_mib)
    kv = model.kv_kib_per_token or (known and known.kv_kib_per_token)
    if not weights or not kv:
        return None
    most = model.max_context or (known and known.max_context) or model.context_length
    return ModelSpec(model.model or model.name, weights, kv, most)


def memory_of(model: Model) -> ModelMemory | None:
    """GPU memory that the model needs as configured; None when the model is not known."""
    spec = model_spec(model)
    if spec is None:
        return None
    return model_memory(
        spec, context_length=model.context_length, parallel=model.parallel, kv_cache_type=model.kv_cache_type
    )


def check_models(models: Sequence[Model | None], pools: Pools, region: str | None) -> Iterator[Problem]:
    """Names, slots, and whether each model fits."""
    slots = _slots(pools, region)
    names: set[str] = set()
    for index, model in enumerate(models):
        if model is None:
            continue
        path: Path = ("models", index)
        if model.name in names:
            yield Problem((*path, "name"), model.name, "is the name of another model already")
        names.add(model.name)
        yield from _check_slot_count((*path, "slots"), model.slots)
        yield from _check_pool(path, model.pool, pools)
        yield from _check_fit(path, model, slots.get(model.pool))


def _check_slot_count(path: Path, slots: int) -> Iterator[Problem]:
    if slots != 1:
        message = "must be 1: two slots of a shared GPU are not twice the GPU, and they may lie on the same one"
        yield Problem(path, slots, message)


def _check_pool(path: Path, name: str, pools: Pools) -> Iterator[Problem]:
    names = [pool.name for pool in pools if pool]
    # A pool that is wrong in itself is reported there; its name cannot be told apart from a wrong name here.
    if name not in names and all(pools) and names:
        yield Problem((*path, "pool"), name, f"is not a pool; {one_of(name, names)}")


def _check_fit(path: Path, model: Model, slot_mib: int | None) -> Iterator[Problem]:
    spec = model_spec(model)
    if spec is None:
        meant = nearest(model.model or model.name, MODELS)
        hint = f"; did you mean {meant}?" if meant else ""
        message = f"is not a model whose memory we know{hint} Otherwise give weightsMib and kvKibPerToken."
        yield Problem(
            (*path, "model"), model.model or model.name, message.replace(f"know{hint} ", f"know{hint or '.'} ")
        )
        return
    if model.context_length > spec.max_context:
        message = f"must be {spec.max_context} or less: {spec.name} was not trained for more"
        yield Problem((*path, "contextLength"), model.context_length, message)
        return
    memory = memory_of(model)
    if slot_mib is None or memory is None or memory.total_mib <= slot_mib:
        return
    message = (
        f"{spec.name} needs {_gib(memory.total_mib)} GiB (weights {_gib(memory.weights_mib)}, KV cache "
        f"{_gib(memory.kv_cache_mib)} for {model.context_length} tokens x {model.parallel}, overhead "
        f"{_gib(memory.overhead_mib)}), but a slot of pool {model.pool} has {_gib(slot_mib)} GiB; "
        f"{_remedy(model, spec, slot_mib)}"
    )
    yield Problem((*path, "pool"), model.pool, message)


def _remedy(model: Model, spec: ModelSpec, slot_mib: int) -> str:
    fewer = "use fewer slots per GPU, a larger GPU or a smaller model"
    for cache in ("f16", "q8_0", "q4_0"):
        tokens = largest_context(spec, slot_mib, parallel=model.parallel, kv_cache_type=cache)
        if tokens >= 1024 and (cache == model.kv_cache_type or tokens >= model.context_length):
            length = min(tokens, model.context_length)
            setting = f"contextLength {length}" if cache == model.kv_cache_type else f"kvCacheType {cache}"
            return f"{setting} fits, or {fewer}"
    return fewer


def check_workloads(
    workloads: Sequence[Workload | None], models: Sequence[Model | None], pools: Pools, region: str | None
) -> Iterator[Problem]:
    """Names, one GPU container with one slot, and whether the stated memory fits."""
    slots = _slots(pools, region)
    names = {model.name for model in models if model}
    for index, workload in enumerate(workloads):
        if workload is None:
            continue
        path: Path = ("workloads", index)
        if workload.name in names:
            yield Problem((*path, "name"), workload.name, "is the name of another model or workload already")
        names.add(workload.name)
        yield from _check_containers(workload, path)
        yield from _check_pool(path, workload.pool, pools)
        slot_mib = slots.get(workload.pool)
        if workload.gpu_memory_mib and slot_mib is not None and workload.gpu_memory_mib > slot_mib:
            message = f"does not fit: a slot of pool {workload.pool} has {slot_mib} MiB; use fewer slots per GPU"
            yield Problem((*path, "gpuMemoryMib"), workload.gpu_memory_mib, message)


def _check_containers(workload: Workload, path: Path) -> Iterator[Problem]:
    using = [index for index, container in enumerate(workload.containers) if container.slots != 0]
    for index in using:
        value = workload.containers[index].slots
        if value < 0:
            yield Problem((*path, "containers", index, "slots"), value, "must be 0 or 1")
        elif value > 1:
            yield from _check_slot_count((*path, "containers", index, "slots"), value)
    for index in using[1:]:
        first = workload.containers[using[0]].name
        message = (
            f"must be 0: container {first} already uses the GPU, and each container would take a slot of its own, for "
            "which Karpenter may buy a second GPU; make two workloads"
        )
        yield Problem((*path, "containers", index, "slots"), workload.containers[index].slots, message)
    if not using:
        yield Problem((*path, "containers"), [c.name for c in workload.containers], "none asks for slots: 1")
    seen: set[str] = set()
    for index, container in enumerate(workload.containers):
        if container.name in seen:
            yield Problem((*path, "containers", index, "name"), container.name, "is the name of another container")
        seen.add(container.name)


def check_dialogue(
    dialogue: Dialogue, models: Sequence[Model | None], pools: Pools, region: str | None
) -> Iterator[Problem]:
    """Speakers and guests exist, once each, and can all hold a slot at the same time."""
    by_name = {model.name: model for model in models if model}
    taking: dict[str, list[str]] = {}
    seen: set[str] = set()
    for field, names in (("speakers", dialogue.speakers), ("guests", dialogue.guests)):
        for index, name in enumerate(names):
            path: Path = ("dialogue", field, index)
            if name in seen:
                yield Problem(path, name, "is listed twice")
            elif name in by_name:
                taking.setdefault(by_name[name].pool, []).append(name)
            elif all(models):
                hint = one_of(name, list(by_name)) if by_name else "write it under models"
                yield Problem(path, name, f"is not a model of this stack; {hint}")
            seen.add(name)
    for pool_name, together in taking.items():
        most = _max_slots(pools, region).get(pool_name)
        if most is not None and len(together) > most:
            message = (
                f"{', '.join(together)} must run together, but pool {pool_name} has {most} "
                f"slot{'s' if most != 1 else ''}: raise its maxGpus or the slots per GPU"
            )
            yield Problem(("dialogue",), MISSING, message)


def _usable(pools: Pools, region: str | None) -> Iterator[tuple[GpuPool, SharingProfile]]:
    for pool in pools:
        if pool and region:
            yield pool, pool.sharing.profile()


def _slots(pools: Pools, region: str | None) -> Mapping[str, int]:
    """Slot memory in MiB by pool; pools that are wrong in themselves are missing."""
    slots = {}
    for pool, profile in _usable(pools, region):
        try:
            slots[pool.name] = pool_slot_memory_mib(profile, pool_types(pool, region or ""))
        except (KeyError, ValueError, SharingError):
            continue
    return slots


def _max_slots(pools: Pools, region: str | None) -> Mapping[str, int]:
    slots = {}
    for pool, profile in _usable(pools, region):
        try:
            slots[pool.name] = pool_max_slots(profile, pool_types(pool, region or ""), pool.max_gpus)
        except (KeyError, ValueError, SharingError):
            continue
    return slots


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"
