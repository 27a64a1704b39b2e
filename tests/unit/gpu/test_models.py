"""Memory of models: what they need, and the longest context that fits."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.models import (
    KV_CACHE_RATIO,
    MODELS,
    OVERHEAD_MIB,
    KvCacheType,
    ModelSpec,
    find_model,
    largest_context,
    model_memory,
)

CACHES: tuple[KvCacheType, ...] = ("f16", "q8_0", "q4_0")
SPECS = st.builds(ModelSpec, st.just("own"), st.integers(1, 200_000), st.integers(1, 4096), st.integers(512, 1_000_000))
CONTEXTS = st.integers(512, 1_000_000)
PARALLEL = st.integers(1, 64)
KNOWN = st.sampled_from(sorted(MODELS.values(), key=lambda spec: spec.name))


@pytest.mark.parametrize(
    ("name", "context", "parallel", "cache", "weights", "kv_cache"),
    [
        # 4.4 GB = 4196.2 MiB; 128 KiB x 4096 = 512 MiB.
        ("mistral:7b", 4096, 1, "f16", 4197, 512),
        # 3.8 GB = 3624.0 MiB; 512 KiB x 4096 = 2048 MiB.
        ("llama2:7b", 4096, 1, "f16", 3624, 2048),
        # 2.0 GB = 1907.3 MiB; 112 KiB x 4096 = 448 MiB.
        ("llama3.2:3b", 4096, 1, "f16", 1908, 448),
        ("mistral:7b", 32768, 4, "f16", 4197, 16384),
        ("mistral:7b", 4096, 1, "q8_0", 4197, 272),  # 512 x 8.5 / 16
        ("mistral:7b", 4096, 1, "q4_0", 4197, 144),  # 512 x 4.5 / 16
        ("qwen2.5:0.5b", 1000, 1, "f16", 382, 12),  # 11.7 MiB, rounded up
        # 5 of 34 layers look at everything: 5 x 4 heads x 512 x 2 bytes = 20 KiB; the others, 116 KiB, at 1024 + 512.
        ("gemma3:4b", 32768, 1, "f16", 3185, 814),  # 640 + 174
        ("gemma3:4b", 32768, 2, "q8_0", 3185, 865),
        ("gemma3:4b", 1024, 1, "f16", 3185, 136),  # shorter than the window: all layers hold all
        # Every other layer of 24: 12 x 8 heads x 128 x 2 bytes = 24 KiB; the others at 128 + 512 tokens, padded to 768.
        ("gpt-oss:20b", 131072, 1, "f16", 13352, 3090),
        # 61 layers of one vector of 512 + 64 values: 68.6 KiB, rounded up.
        ("deepseek-v3.1:671b", 4096, 1, "f16", 385285, 276),
        # An older file keeps whole keys and values: 27 x 16 heads x (192 + 128) x 2 bytes = 270 KiB.
        ("deepseek-coder-v2:16b", 16384, 1, "f16", 8488, 4320),
        # 8 of 32 layers have attention, and 24 a state of 2.1 MiB for each request, which is never quantised.
        ("qwen3.5:9b", 4096, 1, "f16", 6295, 179),  # 128 + 50.25
        ("qwen3.5:9b", 4096, 2, "q4_0", 6295, 173),  # 2 x (36 + 50.25)
        # 24 of 42 layers keep something: 4 look at everything (16 KiB), 20 at 512 + 512 tokens (40 KiB).
        ("gemma4:e4b", 32768, 1, "f16", 9156, 552),
        ("nomic-embed-text:v1.5", 2048, 4, "f16", 262, 0),
    ],
)
def test_memory_by_hand(
    name: str, context: int, parallel: int, cache: KvCacheType, weights: int, kv_cache: int
) -> None:
    memory = model_memory(MODELS[name], context_length=context, parallel=parallel, kv_cache_type=cache)
    assert (memory.weights_mib, memory.kv_cache_mib, memory.overhead_mib) == (weights, kv_cache, 922)
    assert memory.total_mib == weights + kv_cache + 922


@pytest.mark.parametrize(
    ("name", "context", "measured_mib"),
    [
        # 7,172,322,753 bytes as Ollama counted, and 1,247 MiB on the card that it did not.
        ("qwen3.5:9b", 65536, 8087),
        ("deepseek-coder-v2:16b", 16384, 10752),  # as Ollama counted
    ],
)
def test_memory_as_others_measured_it_fits_and_not_by_much(name: str, context: int, measured_mib: int) -> None:
    total = model_memory(MODELS[name], context_length=context, kv_cache_type="q8_0").total_mib
    assert measured_mib <= total <= 1.1 * measured_mib


@given(SPECS, CONTEXTS, PARALLEL, st.sampled_from(CACHES))
def test_the_kv_cache_is_rounded_up(spec: ModelSpec, context: int, parallel: int, cache: KvCacheType) -> None:
    exact = Fraction(spec.kv_kib_per_token * context * parallel, 1024) * Fraction(KV_CACHE_RATIO[cache])
    memory = model_memory(spec, context_length=context, parallel=parallel, kv_cache_type=cache)
    assert memory.kv_cache_mib == math.ceil(exact)


@given(SPECS, CONTEXTS, st.integers(1, 63))
def test_more_of_anything_needs_no_less(spec: ModelSpec, context: int, parallel: int) -> None:
    def total(context: int, parallel: int, cache: KvCacheType) -> int:
        return model_memory(spec, context_length=context, parallel=parallel, kv_cache_type=cache).total_mib

    assert total(context, parallel, "f16") <= total(context + 1, parallel, "f16")
    assert total(context, parallel, "f16") <= total(context, parallel + 1, "f16")
    assert total(context, parallel, "q4_0") <= total(context, parallel, "q8_0") <= total(context, parallel, "f16")


@given(SPECS | KNOWN, st.integers(0, 300_000), PARALLEL, st.sampled_from(CACHES))
def test_the_largest_context_fits_and_no_larger_one_does(
    spec: ModelSpec, slot_mib: int, parallel: int, cache: KvCacheType
) -> None:
    def fits(context: int) -> bool:
        return model_memory(spec, context_length=context, parallel=parallel, kv_cache_type=cache).total_mib <= slot_mib

    longest = largest_context(spec, slot_mib, parallel=parallel, kv_cache_type=cache)
    assert longest % 1024 == 0 or longest == spec.max_context
    assert 0 <= longest <= spec.max_context
    assert longest == 0 or fits(longest)
    assert longest == spec.max_context or not fits(min(longest + 1024, spec.max_context))


@pytest.mark.parametrize(
    ("name", "slot_mib", "parallel", "cache", "longest"),
    [
        # 7152 - 4197 - 922 = 2033 MiB of 128 KiB each: 16264 tokens.
        ("mistral:7b", 7152, 1, "f16", 15360),
        ("mistral:7b", 7152, 2, "f16", 7168),
        ("mistral:7b", 7152, 1, "q8_0", 29696),  # 30614 tokens
        ("mistral:7b", 7152, 1, "q4_0", 32768),  # 57827 tokens, but it was trained for 32768
        ("llama2:7b", 21457, 1, "f16", 4096),
        ("mistral:7b", 4197 + 922, 1, "f16", 0),
        ("mistral:7b", 1000, 1, "f16", 0),
    ],
)
def test_the_largest_context_by_hand(name: str, slot_mib: int, parallel: int, cache: KvCacheType, longest: int) -> None:
    assert largest_context(MODELS[name], slot_mib, parallel=parallel, kv_cache_type=cache) == longest


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_what_is_known_of_models_is_sound(spec: ModelSpec) -> None:
    """The tag names the size: 4-bit weights take between half a byte and 0.9 bytes for each parameter."""
    assert find_model(spec.name) is spec
    size = spec.name.rpartition(":")[2]
    if size.endswith("b") and size[0].isdigit() and "x" not in size and spec.purpose == "chat":
        parameters = float(size.removesuffix("b")) * 1e9
        assert 0.5 <= spec.weights_mib * 2**20 / parameters <= 1.35
    assert spec.max_context % 512 == 0
    assert spec.kv_kib_per_token <= 1024
    assert spec.purpose == "embedding" or spec.kv_kib_per_token


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mistral", "mistral:7b"),
        ("mistral:latest", "mistral:7b"),
        ("llama3.2", "llama3.2:3b"),
        ("llama3.2:1b", "llama3.2:1b"),
        ("gemma3", "gemma3:4b"),
        ("nomic-embed-text", "nomic-embed-text:v1.5"),
        ("mistral:70b", None),
        ("acme/own", None),
        ("", None),
    ],
)
def test_models_are_found_by_name_with_or_without_tag(name: str, found: str | None) -> None:
    spec = find_model(name)
    assert (spec.name if spec else None) == found


def test_the_overhead_is_nine_tenths_of_a_gib() -> None:
    assert math.ceil(0.9 * 1024) == OVERHEAD_MIB
