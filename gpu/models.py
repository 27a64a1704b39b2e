"""GPU memory that an Ollama model needs: weights, cache and overhead.

The table is generated (`tools/generate_models.py`) from metadata of the models' GGUF files by `gpu.gguf.reckon`, which
also reads a file that the table does not know. Totals were compared with the fact sheet's measured ones for mistral,
llama2 and llama3.2:3b at 4096 tokens.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from gpu._model_data import LATEST, ROWS
from gpu.gguf import BATCH, Purpose

KvCacheType = Literal["f16", "q8_0", "q4_0"]

#: Size of a KV cache entry relative to f16: ggml stores q8_0 in 8.5 and q4_0 in 4.5 bits a value.
KV_CACHE_RATIO: Mapping[KvCacheType, float] = MappingProxyType({"f16": 1.0, "q8_0": 8.5 / 16, "q4_0": 4.5 / 16})

#: CUDA context, cuBLAS workspace and compute buffers of one llama-server at the default batch size of 512: 0.9 GiB,
#: rounded up. Ollama's own accounting for small models on T4 and A10G lies between 0.6 and 0.9 GiB.
OVERHEAD_MIB = 922

#: llama.cpp pads caches of layers with a window to this many tokens.
_PADDING = 256
_STEP = 1024


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What must be known of a model to tell whether it fits.

    weights_mib: as Ollama stores them, in MiB. kv_kib_per_token: cache at f16 that grows with the context, in KiB.
    window_kib_per_token: cache of layers that look back `window` tokens only. state_kib: what recurrent layers hold for
    each request, whatever its length; never quantised.
    """

    name: str
    weights_mib: int
    kv_kib_per_token: int
    max_context: int
    window: int = 0
    window_kib_per_token: int = 0
    state_kib: int = 0
    purpose: Purpose = "chat"

    @property
    def family(self) -> str:
        """Ollama's name without the tag."""
        return self.name.partition(":")[0]

    def window_cells(self, context_length: int) -> int:
        """Tokens that a layer with a window holds of one request: window and batch, padded (llama-kv-cache-iswa)."""
        return -(-min(context_length, self.window + BATCH) // _PADDING) * _PADDING


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """GPU memory need of one served model, in MiB."""

    weights_mib: int
    kv_cache_mib: int
    overhead_mib: int

    @property
    def total_mib(self) -> int:
        """Sum of the parts in MiB."""
        return self.weights_mib + self.kv_cache_mib + self.overhead_mib


def model_memory(
    spec: ModelSpec, *, context_length: int, parallel: int = 1, kv_cache_type: KvCacheType = "f16"
) -> ModelMemory:
    """GPU memory for a model at a context length (tokens) and a number of parallel requests.

    Ollama starts llama-server with `-c` context times parallel and `-np` parallel (llm/llama_server.go), which gives
    each request a cache of its own. Figures round up.
    """
    cached = spec.kv_kib_per_token * context_length + spec.window_kib_per_token * spec.window_cells(context_length)
    kib = cached * parallel * KV_CACHE_RATIO[kv_cache_type] + spec.state_kib * parallel
    return ModelMemory(spec.weights_mib, -int(-kib // 1024), OVERHEAD_MIB)


def largest_context(spec: ModelSpec, slot_mib: int, *, parallel: int = 1, kv_cache_type: KvCacheType = "f16") -> int:
    """Longest context with which the model fits a slot of `slot_mib` MiB; 0 when none.

    In steps of 1024 tokens, or what the model was trained for.
    """

    def fits(tokens: int) -> bool:
        memory = model_memory(spec, context_length=tokens, parallel=parallel, kv_cache_type=kv_cache_type)
        return memory.total_mib <= slot_mib

    if fits(spec.max_context):
        return spec.max_context
    steps = range(1, -(-spec.max_context // _STEP))
    return _STEP * bisect.bisect_left(steps, True, key=lambda step: not fits(step * _STEP))


#: Known models by Ollama name and tag.
MODELS: Mapping[str, ModelSpec] = MappingProxyType({row[0]: ModelSpec(*row) for row in ROWS})


def find_model(name: str) -> ModelSpec | None:
    """The known model of that Ollama name, with or without tag; None when it is not in the table.

    A name without a tag means the tag that ollama.com serves as `latest`.
    """
    bare = name.removesuffix(":latest")
    return MODELS.get(LATEST.get(bare, bare))
