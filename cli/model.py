"""`slices model`: what a model needs of its slot, from the built-in table or from the header of its GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import click

from config.errors import nearest
from gpu.gguf import GgufError, Purpose, read_metadata, reckon
from gpu.models import MODELS, KvCacheType, ModelSpec, find_model, model_memory
from plan.errors import InputError

_USE: Mapping[Purpose, str] = MappingProxyType({"chat": "chat", "embedding": "embeddings"})
#: Contexts that are shown, as far as the model was trained for them.
_CONTEXTS = (4096, 8192, 16384, 32768, 65536, 131072)


def show_model(name: str, gguf: Path | None, *, parallel: int, kv_cache_type: KvCacheType) -> int:
    """Print the model's figures; gives the exit status. Raises InputError where they are not known."""
    spec = _from_file(name, gguf) if gguf else find_model(name)
    if spec is None:
        raise InputError(_unknown(name))
    click.echo("\n".join(_lines(spec, gguf, parallel, kv_cache_type)))
    return 0


def _from_file(name: str, path: Path) -> ModelSpec:
    try:
        with path.open("rb") as stream:
            cache = reckon(read_metadata(stream))
            size = path.stat().st_size
    except GgufError as error:
        raise InputError(f"{path} {error}") from error
    return ModelSpec(
        name,
        -(-size // 2**20),
        cache.kv_kib_per_token,
        cache.max_context,
        cache.window,
        cache.window_kib_per_token,
        cache.state_kib,
        cache.purpose,
    )


def _unknown(name: str) -> str:
    meant = nearest(name, MODELS)
    asked = f"; did you mean {meant}?" if meant else "."
    return (
        f"{name} is not in the built-in table (docs/models.md){asked}\n"
        "`slices model NAME --gguf FILE` reads a model's file. Without it, from its config.json:\n"
        "kvKibPerToken = num_hidden_layers x num_key_value_heads x 2 x head_dim x 2 / 1024"
    )


def _lines(spec: ModelSpec, gguf: Path | None, parallel: int, kv_cache_type: KvCacheType) -> list[str]:
    lines = [
        f"{spec.name}: for {_USE[spec.purpose]}, {spec.max_context} tokens at most",
        f"  weights  {spec.weights_mib} MiB",
        f"  cache    {spec.kv_kib_per_token} KiB a token",
    ]
    if spec.window:
        lines.append(
            f"  window   {spec.window_kib_per_token} KiB a token, of the last {spec.window} tokens and a batch"
        )
    if spec.state_kib:
        lines.append(f"  state    {spec.state_kib} KiB a request")
    contexts = [tokens for tokens in _CONTEXTS if tokens < spec.max_context]
    contexts = [*contexts, spec.max_context] if len(contexts) < len(_CONTEXTS) else contexts
    lines += ["", f"Memory of a slot, with {parallel} at a time and a cache of {kv_cache_type}:"]
    for tokens in contexts:
        memory = model_memory(spec, context_length=tokens, parallel=parallel, kv_cache_type=kv_cache_type)
        lines.append(f"  {tokens:>7} tokens {memory.total_mib:>7} MiB")
    if gguf:
        lines += ["", *_keys(spec, contexts[0])]
    return lines


def _keys(spec: ModelSpec, least: int) -> list[str]:
    """Keys of a stack file. One figure stands for all caches: exact at the least context, too much above it."""
    whole = model_memory(spec, context_length=least)
    per_token = -(-whole.kv_cache_mib * 1024 // least) if spec.window or spec.state_kib else spec.kv_kib_per_token
    above = (
        f"   # from {least} tokens upwards, where it is rather too much" if per_token != spec.kv_kib_per_token else ""
    )
    return [
        "In the stack file:",
        f"  - {{ name: NAME, model: {spec.name!r}, pool: POOL, weightsMib: {spec.weights_mib}, "
        f"kvKibPerToken: {per_token}, maxContext: {spec.max_context} }}{above}".replace("'", '"'),
    ]
