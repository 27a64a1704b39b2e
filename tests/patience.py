"""How long tests wait for what must happen: a bound against hanging only. No assertion is about it, and no machine that
does its work at all is too slow for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Seconds.
PATIENCE = 120.0


def until(happened: Callable[[], object], what: str = "what was waited for") -> None:
    """Wait until it has happened."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE:.0f} s"
        time.sleep(0.02)


async def eventually(happened: Callable[[], object], what: str = "what was waited for") -> None:
    """Wait until it has happened, while others of the event loop go on."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE:.0f} s"
        await asyncio.sleep(0.02)
