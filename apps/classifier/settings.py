"""Settings, from variables of the environment; all of them have defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path


class SettingsError(Exception):
    """A variable is wrong; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole service. Every field is a variable: `max_bytes` is CLASSIFIER_MAX_BYTES."""

    model: Path = Path("/srv/model.onnx")
    """File that `python -m classifier.train` writes."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""
    max_bytes: int = 4 * 1024 * 1024
    """Largest picture as it is sent, in bytes."""
    max_pixels: int = 16_000_000
    """Largest picture when it is decoded, in pixels; a file of few bytes may hold very many."""
    concurrency: int = 2
    """Pictures that are classified at the same time."""
    queue: int = 64
    """Pictures that wait for that; more are refused with 503."""
    gpu_memory_mib: int = 1024
    """Most that the runtime takes of the GPU for the model, in MiB: others have shares of it."""


_SMALLEST = {"port": 0, "queue": 0}
_LARGEST = {"port": 65_535}


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the environment. Raises `SettingsError`."""
    given: dict[str, object] = {}
    for field in fields(Settings):
        variable = f"CLASSIFIER_{field.name.upper()}"
        text = environment.get(variable, "")
        if not text:
            continue
        if field.type == "int":
            given[field.name] = _number(variable, field.name, text)
        else:
            given[field.name] = Path(text) if field.type == "Path" else text
    return Settings(**given)  # type: ignore[arg-type]


def _number(variable: str, name: str, text: str) -> int:
    low, high = _SMALLEST.get(name, 1), _LARGEST.get(name, 2**31)
    if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(f"{variable}: must be a whole number from {low} to {high}, and is {text!r}")
    return int(text)
