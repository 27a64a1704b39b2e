"""Writes a tiny language model with random weights as a GGUF file, which a real Ollama loads in no time.

Architecture `llama`, two blocks of 64 dimensions, 0.4 MB. It babbles letters, spaces and full stops and never ends by
itself. Each of its tokens is one character, so that text that is cut off and sent back is split into the same tokens
again, and a greedy continuation is exactly what would have come without the cut.

The format is that of ggml's docs/gguf.md, version 3. Written by hand: PyPI's `gguf` would bring numpy along.
"""

from __future__ import annotations

import random
import struct
from array import array
from pathlib import Path

CONTEXT = 8192
_DIMENSIONS, _BLOCKS, _HEADS, _KV_HEADS, _FEED_FORWARD = 64, 2, 4, 2, 128
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPACE = "▁"
_SPOKEN = [*_LETTERS, _SPACE, "."]
_READ = [*_LETTERS.upper(), *"0123456789,:;!?'\"()[]<>/|*_#-+=&%$@\n"]
_ALIGNMENT = 32

_UINT32, _FLOAT32, _INT32, _BOOL, _STRING, _ARRAY = 4, 6, 5, 7, 8, 9
_MEAN = 1
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


def write(path: Path, seed: int = 0, *, pooling: bool = False) -> None:
    """Write the model; another seed is another model. pooling: one for embeddings, which does not speak."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *_SPOKEN, *_READ]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * (len(_SPOKEN) + len(_READ))]
    fields = [
        _field("general.architecture", _STRING, "llama"),
        _field("general.name", _STRING, f"tiny {seed}"),
        _field("general.file_type", _UINT32, 0),
        _field("llama.context_length", _UINT32, CONTEXT),
        _field("llama.embedding_length", _UINT32, _DIMENSIONS),
        _field("llama.block_count", _UINT32, _BLOCKS),
        _field("llama.feed_forward_length", _UINT32, _FEED_FORWARD),
        _field("llama.attention.head_count", _UINT32, _HEADS),
        _field("llama.attention.head_count_kv", _UINT32, _KV_HEADS),
        _field("llama.attention.layer_norm_rms_epsilon", _FLOAT32, 1e-5),
        _field("llama.rope.dimension_count", _UINT32, _DIMENSIONS // _HEADS),
        _field("llama.vocab_size", _UINT32, len(tokens)),
        _field("tokenizer.ggml.model", _STRING, "llama"),
        _array("tokenizer.ggml.tokens", _STRING, tokens),
        _array("tokenizer.ggml.scores", _FLOAT32, [0.0] * len(tokens)),
        _array("tokenizer.ggml.token_type", _INT32, kinds),
        _field("tokenizer.ggml.bos_token_id", _UINT32, 1),
        _field("tokenizer.ggml.eos_token_id", _UINT32, 2),
        _field("tokenizer.ggml.unknown_token_id", _UINT32, 0),
        _field("tokenizer.ggml.add_bos_token", _BOOL, True),
        *([_field("llama.pooling_type", _UINT32, _MEAN)] if pooling else []),
    ]
    tensors = _tensors(tokens, random.Random(seed))
    infos, data = [], b""
    for name, shape, values in tensors:
        data += b"\0" * (-len(data) % _ALIGNMENT)
        infos.append(_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data)))
        data += array("f", values).tobytes()
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields) + b"".join(infos)
    path.write_bytes(header + b"\0" * (-len(header) % _ALIGNMENT) + data)


def _tensors(tokens: list[str], chance: random.Random) -> list[tuple[str, tuple[int, ...], list[float]]]:
    """Name, shape (fastest dimension first) and values of each tensor."""
    size = _DIMENSIONS

    def noise(columns: int, rows: int, spread: float) -> list[float]:
        return [chance.gauss(0, spread) for _ in range(columns * rows)]

    embedding = noise(size, len(tokens), 1.0)
    output = noise(size, len(tokens), 2.0)
    for row, token in enumerate(tokens):
        # Dimension 0 is the same in every state: by it the output prefers the characters that may be spoken.
        embedding[row * size] = 12.0
        output[row * size] = 4.0 if token in _SPOKEN else -60.0
    tensors = [("token_embd.weight", (size, len(tokens)), embedding), ("output_norm.weight", (size,), [1.0] * size)]
    tensors.append(("output.weight", (size, len(tokens)), output))
    kv = size // _HEADS * _KV_HEADS
    for block in range(_BLOCKS):
        for name, columns, rows in (
            ("attn_q", size, size),
            ("attn_k", size, kv),
            ("attn_v", size, kv),
            ("attn_output", size, size),
            ("ffn_gate", size, _FEED_FORWARD),
            ("ffn_up", size, _FEED_FORWARD),
            ("ffn_down", _FEED_FORWARD, size),
        ):
            values = noise(columns, rows, 0.25)
            if name in ("attn_output", "ffn_down"):
                values[:columns] = [0.0] * columns  # no block writes to dimension 0
            tensors.append((f"blk.{block}.{name}.weight", (columns, rows), values))
        norms = ("attn_norm", "ffn_norm")
        tensors += [(f"blk.{block}.{name}.weight", (size,), [1.0] * size) for name in norms]
    return tensors


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(kind: int, value: object) -> bytes:
    if kind == _STRING:
        return _text(str(value))
    return struct.pack({_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f", _BOOL: "<?"}[kind], value)


def _field(key: str, kind: int, value: object) -> bytes:
    return _text(key) + struct.pack("<I", kind) + _value(kind, value)


def _array(key: str, kind: int, values: list[str] | list[float] | list[int]) -> bytes:
    head = struct.pack("<IIQ", _ARRAY, kind, len(values))
    return _text(key) + head + b"".join(_value(kind, value) for value in values)
