"""A terminal for programs under test: what they write is kept, keys can be pressed, Ctrl-C is the terminal's own."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

_SECONDS = 60.0
_ORDERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Makes the terminal the program's own, so that Ctrl-C reaches it, also where the tests run in a shell's background:
#: there programs are started with that signal ignored.
_OWN = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """Runs a program in a terminal of so many columns and lines. Use as a context manager."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, columns: int, lines: int) -> None:
        self.output = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def ended_after(self, keys: str) -> bool:
        """Press keys; whether the program ends within a second, or had ended already."""
        with contextlib.suppress(OSError):  # nobody has the other side any more
            self.press(keys)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            if not self._read(0.1):
                return True
        return False

    def clear(self) -> None:
        """Forget what was written so far."""
        self._read(0)
        self.output = ""

    def until(self, condition: Callable[[str], bool]) -> str:
        """Wait until the words among what was written fulfil a condition."""
        deadline = time.monotonic() + _SECONDS
        while not condition(words := _ORDERS.sub("", self.output)):
            assert time.monotonic() < deadline, words[-4000:]
            assert self._read(0.1), words
        return words

    def wait(self, seconds: float = _SECONDS) -> int:
        """Wait for the end; the exit status."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, self.output[-4000:]
        return self._process.wait(_SECONDS)

    def _read(self, seconds: float) -> bool:
        """Take what is there; False when nobody has the other side any more."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return True
        with contextlib.suppress(OSError):
            if chunk := os.read(self._ours, 65536):
                self.output += self._decode(chunk)
                return True
        return False
