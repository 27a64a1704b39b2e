"""How much of a sweep over many programs is tried: a fixed part of it, or all (`make test-sweep`, minutes)."""

from __future__ import annotations

import os
from typing import Final
from zlib import crc32

EVERYTHING: Final = os.environ.get("SWEEP") == "everything"


def tried(about: str, one_in: int) -> bool:
    """Whether something is tried, by its name: one in so many is, always the same ones."""
    return EVERYTHING or crc32(about.encode()) % one_in == 0
