"""vLLM's memory: what share of a whole GPU a server may take, so that it stays within its slot.

vLLM multiplies the memory that CUDA shows of the device with `--gpu-memory-utilization`, refuses to start when less is
free, and keeps within the product (vllm/v1/worker/utils.py, `request_memory`). A CUDA context is there before it
counts, and comes on top. On a GPU that is shared by time-slicing or MPS the device is the whole GPU; a MIG instance is
a device of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from gpu.catalog import Gpu
from gpu.pool import Pool
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing

UTILIZATION = "--gpu-memory-utilization"
#: vllm/config/cache.py, `CacheConfig.gpu_memory_utilization`; 0.9 before.
DEFAULT_UTILIZATION = 0.92
#: Sizes the cache by itself, and leaves the share aside (`CacheConfig.kv_cache_memory_bytes`).
CACHE_BYTES = "--kv-cache-memory-bytes"
TENSOR_PARALLEL = "--tensor-parallel-size"
_SHORT = {"-tp": TENSOR_PARALLEL}

#: A CUDA context, in MiB: what vLLM's message at the start ("Free memory on device (23.05/23.56 GiB) on startup") shows
#: less than there is on GPUs that are otherwise empty, 0.41 to 0.53 GiB in four logs of 24 to 80 GB GPUs, rounded up.
CONTEXT_MIB = 550


def serves(image: str, words: Sequence[str]) -> bool:
    """Whether a container runs vLLM's server, by its image or its command and arguments."""
    repository = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    by_words = "serve" in words and any(word.rpartition("/")[2] == "vllm" for word in words)
    return by_words or "vllm-openai" in repository or any(word.startswith("vllm.entrypoints") for word in words)


def option(words: Sequence[str], name: str) -> str | None:
    """Value of an option, as vLLM reads it: the last counts, underscores are hyphens; None where there is none."""
    found = None
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        key = _SHORT.get(key, key.replace("_", "-"))
        if key == name:
            found = value if equals else words[index + 1] if index + 1 < len(words) else ""
    return found


def largest_utilization(pool: Pool) -> float:
    """Largest share with which a server stays within its slot on every GPU of the pool, in hundredths."""
    shares = (
        (pool.profile.slot_memory_mib(t.gpu) - CONTEXT_MIB) / _device_mib(pool.profile, t.gpu) for t in pool.types
    )
    return max(math.floor(min(shares) * 100) / 100, 0.0)


def _device_mib(profile: SharingProfile, gpu: Gpu) -> int:
    """What CUDA shows at most of the device that a slot is."""
    match profile:
        case NoSharing() | TimeSlicing() | Mps():
            return gpu.memory.total_mib
        case Mig():
            return profile.slot_memory_mib(gpu)
        case _:
            assert_never(profile)
