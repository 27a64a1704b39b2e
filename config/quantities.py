"""Kubernetes quantities of stack files, as numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

_BYTES: Final = {"Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}


def cpu_millis(cpu: str) -> int:
    """Millicores of `500m` or `2`."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def memory_mib(memory: str) -> int:
    """MiB of `512Mi`, `2G` or `3 GiB`, rounded up."""
    memory = memory.removesuffix("B")
    number, unit = float(memory.rstrip("MGi ")), memory.lstrip("0123456789. ")
    return math.ceil(number * _BYTES[unit] / 2**20)


def share_of_gpu(share: str) -> Fraction:
    """The part of a GPU that `20 %` is."""
    return Fraction(share.rstrip("% ")) / 100
