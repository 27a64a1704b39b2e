"""GGUF: the metadata of a model's file, and the cache that llama.cpp makes of it.

Format: docs/gguf.md of ggml-org/ggml, versions 2 and 3. Cache: llama.cpp's src/llama-hparams.cpp, llama-kv-cache.cpp
and llama-kv-cache-iswa.cpp, which Ollama runs since 0.30.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

Purpose = Literal["chat", "embedding"]
Value = int | float | bool | str | Sequence["Value"]
Metadata = Mapping[str, Value]

#: Tokens that are computed at once: `num_batch` of every load (components/serving/model.sh).
BATCH: Final = 512

_MAGIC: Final = b"GGUF"
_STRING, _ARRAY = 8, 9
_NUMBERS: Mapping[int, str] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
)
#: Longer arrays are a tokenizer's words, not figures of layers.
_LONGEST_ARRAY: Final = 4096
_MOST_ENTRIES: Final = 100_000
_LONGEST_STRING: Final = 64 * 2**20

#: Layers in a row, of which the last looks at everything and the others at a window, where a file does not say it.
_WINDOW_PATTERN: Mapping[str, int] = MappingProxyType(
    {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "gptoss": 2, "llama4": 4}
)
_DEFAULT_WINDOW: Mapping[str, int] = MappingProxyType({"gemma2": 4096, "llama4": 8192})
#: Of so many layers one has attention, where a file does not say it.
_ATTENTION_INTERVAL: Mapping[str, int] = MappingProxyType({"qwen3next": 4, "qwen35": 4, "qwen35moe": 4})
#: They read a text at once and keep nothing of it.
_ENCODERS: Final = frozenset(
    (
        "bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "gemma-embedding",
    )
)


class GgufError(ValueError):
    """What is wrong with a file, or why its cache is not known here."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What a model keeps of each request, as in `gpu.models.ModelSpec`; and its layers, for tables.

    layers: all; kv_layers: those whose cache grows with the context; window_layers, state_layers: those that do not.
    """

    kv_kib_per_token: int
    max_context: int
    window: int
    window_kib_per_token: int
    state_kib: int
    purpose: Purpose
    layers: int
    kv_layers: int
    window_layers: int
    state_layers: int


def read_metadata(stream: BinaryIO) -> Metadata:
    """Metadata of a GGUF file that is open at its beginning; long arrays are left out. Raises GgufError."""
    if stream.read(4) != _MAGIC:
        raise GgufError("is not a GGUF file: it does not begin with GGUF")
    version = _number(stream, "I")
    if version not in (2, 3):
        raise GgufError(f"has GGUF version {version}, and 2 and 3 are known (files of other byte orders are not read)")
    _number(stream, "Q")  # tensors
    entries = _number(stream, "Q")
    if entries > _MOST_ENTRIES:
        raise GgufError(f"is damaged: it claims to have {entries} entries of metadata")
    found: dict[str, Value] = {}
    for _ in range(int(entries)):
        key = _text(stream)
        value = _value(stream, int(_number(stream, "I")))
        if value is not None:
            found[key] = value
    return found


def _value(stream: BinaryIO, kind: int) -> Value | None:
    if kind == _STRING:
        return _text(stream)
    if kind == _ARRAY:
        return _array(stream)
    if kind not in _NUMBERS:
        raise GgufError(f"is damaged: it has a value of type {kind}")
    return _number(stream, _NUMBERS[kind])


def _array(stream: BinaryIO) -> Value | None:
    kind, length = int(_number(stream, "I")), int(_number(stream, "Q"))
    if length <= _LONGEST_ARRAY and kind in _NUMBERS:
        return [_number(stream, _NUMBERS[kind]) for _ in range(length)]
    if kind == _STRING:
        for _ in range(length):
            _skip(stream, _length(stream))
        return None
    if kind not in _NUMBERS:
        raise GgufError(f"is damaged: it has an array of type {kind}")
    _skip(stream, length * struct.calcsize(_NUMBERS[kind]))
    return None


def _number(stream: BinaryIO, form: str) -> int | float | bool:
    raw = _bytes(stream, struct.calcsize(f"<{form}"))
    value: int | float | bool = struct.unpack(f"<{form}", raw)[0]
    return value


def _length(stream: BinaryIO) -> int:
    length = int(_number(stream, "Q"))
    if length > _LONGEST_STRING:
        raise GgufError(f"is damaged: it has a text of {length} bytes")
    return length


def _text(stream: BinaryIO) -> str:
    return _bytes(stream, _length(stream)).decode("utf-8", "replace")


def _bytes(stream: BinaryIO, length: int) -> bytes:
    raw = stream.read(length)
    if len(raw) < length:
        raise GgufError("ends within its metadata: it is not whole")
    return raw


def _skip(stream: BinaryIO, length: int) -> None:
    """Leave bytes out. They must be there: seeking beyond the end would not fail."""
    while length:
        length -= len(_bytes(stream, min(length, 2**20)))


def reckon(metadata: Metadata) -> Cache:
    """The cache of a model with such metadata. Raises GgufError where it is not known how llama.cpp makes it."""
    model = _Model(metadata)
    window = model.number("attention.sliding_window", _DEFAULT_WINDOW.get(model.architecture, 0))
    kv = windowed = state = 0
    counts = {"kv": 0, "window": 0, "state": 0}
    # The last layers may use what others keep.
    own = 0 if model.is_encoder else model.layers - model.number("attention.shared_kv_layers", 0)
    for layer in range(own):
        if model.is_recurrent(layer):
            state += model.state_bytes
            counts["state"] += 1
        elif window and model.has_window(layer):
            windowed += model.kv_bytes(layer, "_swa")
            counts["window"] += 1
        elif size := model.kv_bytes(layer):
            kv += size
            counts["kv"] += 1
    return Cache(
        kv_kib_per_token=_kib(kv),
        max_context=model.number("context_length"),
        window=window if windowed else 0,
        window_kib_per_token=_kib(windowed),
        state_kib=_kib(state),
        purpose="embedding" if model.is_encoder or model.has("pooling_type") else "chat",
        layers=model.layers,
        kv_layers=counts["kv"],
        window_layers=counts["window"],
        state_layers=counts["state"],
    )


class _Model:
    """Metadata by the names that llama.cpp gives them, without the architecture before."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self.architecture = str(metadata.get("general.architecture", ""))
        if not self.architecture:
            raise GgufError("does not say its general.architecture: it holds no model")
        if int(_plain(metadata.get("split.count", 0))) > 1:
            raise GgufError("is one of several files: join them first (llama-gguf-split --merge)")
        if self.has("wkv.head_size"):
            raise GgufError(f"has architecture {self.architecture}, whose memory is not known here")
        self.layers = self.number("block_count")
        if self.layers > _LONGEST_ARRAY:
            raise GgufError(f"says {self.layers} for {self.architecture}.block_count")
        self.is_encoder = self.architecture in _ENCODERS

    def has(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self._metadata

    def number(self, name: str, default: int | None = None, layer: int = 0) -> int:
        """A figure, or a layer's where there is a list of them. Raises GgufError for none, or an absurd one."""
        value = self._metadata.get(f"{self.architecture}.{name}", default)
        if isinstance(value, Sequence) and not isinstance(value, str):
            if layer >= len(value):
                raise GgufError(f"has no {self.architecture}.{name} for layer {layer}")
            value = value[layer]
        if value is None:
            raise GgufError(f"does not say {self.architecture}.{name}")
        figure = int(_plain(value))
        if figure < 0 or figure > 2**40:
            raise GgufError(f"says {figure} for {self.architecture}.{name}")
        return figure

    def kv_bytes(self, layer: int, suffix: str = "") -> int:
        """Bytes of a token at f16."""
        heads = self.number("attention.head_count", layer=layer)
        heads_kv = self.number("attention.head_count_kv", heads, layer)
        width = self.number("embedding_length") // heads if heads else 0
        key = self.number("attention.key_length", width)
        value = self.number("attention.value_length", width)
        if suffix:
            key = self.number(f"attention.key_length{suffix}", key)
            value = self.number(f"attention.value_length{suffix}", value)
        if self.has("attention.key_length_mla"):
            value = 0  # read from the keys, which hold both compressed (multi-head latent attention)
        return heads_kv * (key + value) * 2

    def has_window(self, layer: int) -> bool:
        name = "attention.sliding_window_pattern"
        pattern = self._metadata.get(f"{self.architecture}.{name}")
        if isinstance(pattern, Sequence) and not isinstance(pattern, str):
            return bool(self.number(name, layer=layer))
        period = self.number(name, _WINDOW_PATTERN.get(self.architecture, 1))
        # Without a pattern all layers count as if they looked at everything: rather too much than too little.
        return period > 1 and layer % period < period - 1

    def is_recurrent(self, layer: int) -> bool:
        if not self.has("ssm.state_size") and not self.has("shortconv.l_cache"):
            return False
        if self.has("full_attention_interval") or self.architecture in _ATTENTION_INTERVAL:
            interval = self.number("full_attention_interval", _ATTENTION_INTERVAL.get(self.architecture))
            return (layer + 1) % max(1, interval) != 0
        if self.number("attention.head_count_kv", 0, layer):
            return False
        # Nemotron-H has layers that are neither.
        return not self.architecture.startswith("nemotron") or not self.number("feed_forward_length", 0, layer)

    @property
    def state_bytes(self) -> int:
        """Bytes that a recurrent layer holds for a request, at f32."""
        if self.has("shortconv.l_cache"):
            return 4 * self.number("embedding_length") * max(0, self.number("shortconv.l_cache") - 1)
        inner, size = self.number("ssm.inner_size"), self.number("ssm.state_size")
        kernel, groups = self.number("ssm.conv_kernel", 0), self.number("ssm.group_count", 0)
        return 4 * (max(0, kernel - 1) * (inner + 2 * groups * size) + size * inner)


def _plain(value: Value) -> float:
    if not isinstance(value, int | float) or value != value or abs(value) == float("inf"):  # noqa: PLR0124  NaN
        raise GgufError(f"says {value!r} where a number belongs")
    return value


def _kib(size: int) -> int:
    return -(-size // 1024)
