"""Files that are generated and committed: written, or with `--check` compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def write(target: Path, text: str, arguments: Sequence[str], stale: str) -> int:
    """Write a file, or with `--check` say whether it is what it should be; gives the exit status.

    stale: what it is not, and what mends that, for after "NAME is not what".
    """
    if "--check" not in arguments:
        target.write_text(text, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{target.name} is not what {stale}\n")
        return 1
    return 0
