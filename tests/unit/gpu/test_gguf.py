"""The reader of GGUF files: files written by the format's description, by the library where it is, and damaged ones."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.gguf import Cache, GgufError, Metadata, read_metadata, reckon

#: What a plain model says: 4 layers, 2 KV heads of 64, so 4 x 2 x 128 x 2 bytes = 2 KiB a token.
PLAIN: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 4,
    "llama.context_length": 8192,
    "llama.embedding_length": 512,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
}


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def encoded(value: Any) -> bytes:
    """A typed value: bool 7, u32 4, f32 6, string 8, array 9."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    kind = encoded(value[0])[:4] if value else struct.pack("<I", 4)
    return struct.pack("<I", 9) + kind + struct.pack("<Q", len(value)) + b"".join(encoded(each)[4:] for each in value)


def gguf(metadata: Metadata, version: int = 3) -> bytes:
    """A file with metadata and no tensors."""
    entries = b"".join(text(key) + encoded(value) for key, value in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(metadata)) + entries


def read(raw: bytes) -> Metadata:
    return read_metadata(io.BytesIO(raw))


def cache(**changes: Any) -> Cache:
    """The plain model's, with other values; None removes one."""
    architecture = changes.get("architecture", "llama")
    named = {key.replace("llama.", f"{architecture}."): value for key, value in PLAIN.items()}
    named["general.architecture"] = architecture
    for key, value in changes.items():
        if key != "architecture":
            named[f"{architecture}.{key.replace('__', '.')}"] = value
    return reckon(read(gguf({key: value for key, value in named.items() if value is not None})))


@pytest.mark.parametrize("version", [2, 3])
def test_what_was_written_is_read(version: int) -> None:
    more: Metadata = {"a.list": [1, 2, 3], "a.flags": [True, False], "a.real": 0.5, "a.yes": True}
    words: Metadata = {"tokenizer.ggml.tokens": ["a", "bc"] * 5000, "tokenizer.ggml.scores": [0.5] * 10_000}
    assert read(gguf({**words, **PLAIN, **more}, version)) == {**PLAIN, **more}


def test_a_plain_model() -> None:
    found = cache()
    assert (found.kv_kib_per_token, found.max_context, found.layers, found.kv_layers) == (2, 8192, 4, 4)
    assert (found.window, found.state_kib, found.purpose) == (0, 0, "chat")


@pytest.mark.parametrize(
    ("changes", "kv", "window", "window_kib", "state"),
    [
        ({"attention__key_length": 128, "attention__value_length": 128}, 4, 0, 0, 0),
        ({"attention__head_count_kv": None}, 8, 0, 0, 0),  # as many as heads
        ({"attention__head_count_kv": [2, 0, 2, 0]}, 1, 0, 0, 0),
        # gemma2 and gpt-oss look at everything in every other layer, gemma3 in every sixth.
        ({"architecture": "gemma2"}, 1, 4096, 1, 0),
        ({"architecture": "gpt-oss", "attention__sliding_window": 128}, 1, 128, 1, 0),
        ({"architecture": "gemma3", "attention__sliding_window": 512}, 0, 512, 2, 0),
        ({"architecture": "gemma3", "attention__sliding_window": 512, "block_count": 6}, 1, 512, 3, 0),
        # What the file says counts more.
        (
            {"architecture": "gemma3", "attention__sliding_window": 512, "attention__sliding_window_pattern": 2},
            1,
            512,
            1,
            0,
        ),
        (
            {
                "architecture": "gemma4",
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, True, False, True],
                "attention__key_length_swa": 32,
                "attention__value_length_swa": 32,
                "attention__shared_kv_layers": 1,
            },
            1,
            512,
            1,
            0,
        ),
        # A window whose layers are not told: all count whole.
        ({"attention__sliding_window": 512}, 2, 0, 0, 0),
        # Multi-head latent attention: keys alone, 4 x 288 x 2 bytes; without its lengths an older file is whole.
        (
            {"attention__head_count_kv": 1, "attention__key_length": 288, "attention__value_length": 256}
            | {"attention__key_length_mla": 192, "architecture": "deepseek2"},
            3,
            0,
            0,
            0,
        ),
        # One layer of four has attention; the others 3 x 4 x (3 x (128 + 2 x 2 x 16) + 16 x 128) bytes.
        (
            {"architecture": "qwen35", "ssm__state_size": 16, "ssm__inner_size": 128, "ssm__conv_kernel": 4}
            | {"ssm__group_count": 2},
            1,
            0,
            0,
            31,
        ),
        ({"architecture": "lfm2", "shortconv__l_cache": 3, "attention__head_count_kv": [0, 2, 0, 2]}, 1, 0, 0, 8),
    ],
)
def test_caches(changes: dict[str, Any], kv: int, window: int, window_kib: int, state: int) -> None:
    found = cache(**changes)
    assert (found.kv_kib_per_token, found.window, found.window_kib_per_token, found.state_kib) == (
        kv,
        window,
        window_kib,
        state,
    )


def test_models_for_embeddings() -> None:
    encoder = cache(architecture="nomic-bert", pooling_type=1, attention__head_count_kv=None)
    assert (encoder.purpose, encoder.kv_kib_per_token, encoder.layers) == ("embedding", 0, 4)
    decoder = cache(architecture="qwen3", pooling_type=3)
    assert (decoder.purpose, decoder.kv_kib_per_token) == ("embedding", 2)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "does not begin with GGUF"),
        (b"PK\x03\x04", "does not begin with GGUF"),
        (b"GGUF" + struct.pack("<I", 1), "has GGUF version 1"),
        (b"GGUF" + struct.pack(">I", 3), "has GGUF version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "claims to have 1152921504606846976 entries"),
        (gguf(PLAIN)[:-1], "ends within its metadata"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40), "has a text of 1099511627776 bytes"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 99), "a value of type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 1), "an array of type 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 2**62), "ends within"),
    ],
)
def test_damaged_files_are_refused(raw: bytes, said: str) -> None:
    with pytest.raises(GgufError, match=said):
        read(raw)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "holds no model"),
        ({"general.architecture": "llama"}, "does not say llama.block_count"),
        (PLAIN | {"split.count": 3}, "one of several files"),
        (PLAIN | {"llama.block_count": "four"}, "where a number belongs"),
        (PLAIN | {"llama.block_count": float("nan")}, "where a number belongs"),
        (PLAIN | {"llama.attention.head_count_kv": [2]}, "has no llama.attention.head_count_kv for layer 1"),
        (PLAIN | {"llama.wkv.head_size": 64}, "whose memory is not known here"),
    ],
)
def test_files_without_what_is_needed_are_refused(metadata: Metadata, said: str) -> None:
    with pytest.raises(GgufError, match=said):
        reckon(metadata)


@given(st.data())
def test_any_damage_is_told_in_words(data: st.DataObject) -> None:
    raw = bytearray(gguf(PLAIN))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = reckon(read(bytes(raw)))
    except GgufError:
        return
    assert found.kv_kib_per_token >= 0


def test_a_file_of_the_formats_own_library(tmp_path: Path) -> None:
    library = pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    writer = library.GGUFWriter(path, "llama")
    writer.add_block_count(4)
    writer.add_context_length(8192)
    writer.add_embedding_length(512)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_token_list(["a", "b"] * 4000)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with path.open("rb") as stream:
        assert reckon(read_metadata(stream)) == cache()
