"""Durations as Karpenter's CRDs take them."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Seconds of `5m` or `1h30m`; 0 of what is none."""
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))
