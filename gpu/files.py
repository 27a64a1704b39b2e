"""Reads files that somebody has named: what is no file, or without end, is an error at once instead of a hang."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: Bytes that a text for people may have; a stack of 5,000 models has half a million.
MOST_BYTES = 16 * 2**20

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Content of a regular file. Raises OSError for anything else, and for one of more than `most` bytes."""
    _refuse_others(path, path.stat().st_mode)  # to open a device may already do something
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as stream:
        _refuse_others(path, os.fstat(file).st_mode)
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most // 2**20} MiB", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES, encoding: str = "utf-8") -> str:
    """The content as text. Raises what `read_bytes` raises, and UnicodeDecodeError."""
    return read_bytes(path, most).decode(encoding)


def _refuse_others(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
