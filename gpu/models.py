"""GPU memory that an Ollama model needs: weights, KV cache and overhead.

Weights are the sizes that ollama.com lists for the default 4-bit tags (in GB, 10^9 bytes); the KV cache per token is
2 x layers x KV heads x head dimension x 2 bytes (f16), from each model's published architecture. Both were compared
with the fact sheet's measured totals for mistral, llama2 and llama3.2:3b at 4096 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KvCacheType = Literal["f16", "q8_0", "q4_0"]

#: Size of a KV cache entry relative to f16: ggml stores q8_0 in 8.5 and q4_0 in 4.5 bits a value.
KV_CACHE_RATIO: Mapping[KvCacheType, float] = MappingProxyType({"f16": 1.0, "q8_0": 8.5 / 16, "q4_0": 4.5 / 16})

#: CUDA context, cuBLAS workspace and compute buffers of one llama-server at the default batch size of 512: 0.9 GiB,
#: rounded up. Ollama's own accounting for small models on T4 and A10G lies between 0.6 and 0.9 GiB.
OVERHEAD_MIB = 922


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What must be known of a model to tell whether it fits: weights in MiB, KV cache in KiB per token at f16."""

    name: str
    weights_mib: int
    kv_kib_per_token: int
    max_context: int


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

    Ollama allots `OLLAMA_NUM_PARALLEL` times the context for the KV cache (envconfig/config.go). Figures round up.
    """
    kv_kib = spec.kv_kib_per_token * context_length * parallel * KV_CACHE_RATIO[kv_cache_type]
    return ModelMemory(spec.weights_mib, -int(-kv_kib // 1024), OVERHEAD_MIB)


def largest_context(spec: ModelSpec, slot_mib: int, *, parallel: int = 1, kv_cache_type: KvCacheType = "f16") -> int:
    """Longest context, in steps of 1024 tokens, with which the model fits a slot of `slot_mib` MiB; 0 when none."""
    room_kib = (slot_mib - spec.weights_mib - OVERHEAD_MIB) * 1024
    per_token = spec.kv_kib_per_token * parallel * KV_CACHE_RATIO[kv_cache_type]
    tokens = min(int(room_kib // per_token), spec.max_context) if room_kib > 0 else 0
    return tokens // 1024 * 1024


def _gb(size: float) -> int:
    """GB (10^9 bytes) in MiB, rounded up."""
    return -int(-size * 1e9 // 2**20)


_SPECS = (
    ModelSpec("codellama:7b", _gb(3.8), 512, 16384),
    ModelSpec("deepseek-r1:7b", _gb(4.7), 56, 131072),
    ModelSpec("deepseek-r1:8b", _gb(5.2), 144, 131072),
    ModelSpec("gemma2:2b", _gb(1.6), 104, 8192),
    ModelSpec("llama2:7b", _gb(3.8), 512, 4096),
    ModelSpec("llama2:13b", _gb(7.4), 800, 4096),
    ModelSpec("llama3.1:8b", _gb(4.9), 128, 131072),
    ModelSpec("llama3.1:70b", _gb(43.0), 320, 131072),
    ModelSpec("llama3.2:1b", _gb(1.3), 32, 131072),
    ModelSpec("llama3.2:3b", _gb(2.0), 112, 131072),
    ModelSpec("mistral:7b", _gb(4.4), 128, 32768),
    ModelSpec("mistral-nemo:12b", _gb(7.1), 160, 131072),
    ModelSpec("mixtral:8x7b", _gb(26.0), 128, 32768),
    ModelSpec("phi3:mini", _gb(2.2), 384, 131072),
    ModelSpec("phi4:14b", _gb(9.1), 200, 16384),
    ModelSpec("qwen2.5:0.5b", _gb(0.4), 12, 32768),
    ModelSpec("qwen2.5:3b", _gb(1.9), 36, 32768),
    ModelSpec("qwen2.5:7b", _gb(4.7), 56, 32768),
    ModelSpec("qwen2.5:14b", _gb(9.0), 192, 32768),
    ModelSpec("qwen3:4b", _gb(2.5), 144, 40960),
    ModelSpec("qwen3:8b", _gb(5.2), 144, 40960),
)

#: Known models by Ollama name and tag.
MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})

#: Names without a tag mean the tag that ollama.com serves as `latest`.
_LATEST: Mapping[str, str] = MappingProxyType(
    {
        "codellama": "codellama:7b",
        "deepseek-r1": "deepseek-r1:8b",
        "llama2": "llama2:7b",
        "llama3.1": "llama3.1:8b",
        "llama3.2": "llama3.2:3b",
        "mistral": "mistral:7b",
        "mistral-nemo": "mistral-nemo:12b",
        "mixtral": "mixtral:8x7b",
        "phi3": "phi3:mini",
        "phi4": "phi4:14b",
        "qwen2.5": "qwen2.5:7b",
        "qwen3": "qwen3:8b",
    }
)


def find_model(name: str) -> ModelSpec | None:
    """The known model of that Ollama name, with or without tag; None when it is not in the table."""
    bare = name.removesuffix(":latest")
    return MODELS.get(_LATEST.get(bare, bare))
