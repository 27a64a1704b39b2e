"""Programs that tests need: built once; where there are none, tests are skipped and say why.

With `REQUIRE_<part>=1` they fail instead, so that CI cannot lose them without notice: CHROMIUM, ENGINE, GO, TWIN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from twin.errors import TwinError
from twin.machine import build
from twin.machine.progress import BuildProgress

#: Seconds; the slowest test of the twin takes a quarter of it, of the engine a third.
_LONGEST = 900.0


def unavailable(part: str, why: str) -> NoReturn:
    """Skip the test, or fail it where `REQUIRE_<part>` is set."""
    if os.environ.get(f"REQUIRE_{part}"):
        pytest.fail(why)
    pytest.skip(why)


def build_or_skip(part: str, ensure_built: Callable[[BuildProgress], Path], progress: BuildProgress) -> Path:
    """The folder of a part's programs; builds what is missing."""
    try:
        with progress:
            return ensure_built(progress)
    except TwinError as error:
        unavailable(part, f"THE {part} IS NOT TESTED: {error}")


def twin_programs(part: str) -> Path:
    """The twin's programs, for the tests of a part."""
    return build_or_skip(part, build.ensure_built, BuildProgress(Console(stderr=True)))


def mark_all_below(folder: Path, name: str, items: Iterable[pytest.Item]) -> None:
    """Give a folder's tests their marker, and an end: nothing hangs for ever."""
    for item in items:
        if folder in item.path.parents:
            item.add_marker(name)
            item.add_marker(pytest.mark.timeout(_LONGEST, func_only=True))
