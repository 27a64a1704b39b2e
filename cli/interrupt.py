"""How a command ends after Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import os

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
_WORD = b"interrupted\n"
#: On a terminal: the cursor is shown, which a bar that is drawn hides, and the line of the bar stays whole.
_TERMINAL = b"\x1b[?25h\n"


def leave(number: int, *_: object) -> None:
    """End at once, with a word. An exception would run into whatever is at work, and come out as an error of that.

    A command that has something to put in order says so (`cli.calling.interruptible`).
    """
    with contextlib.suppress(OSError):  # nobody reads
        said = os.dup(2)
        # What another thread still draws would come after the word.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.write(said, _TERMINAL + _WORD if os.isatty(said) else _WORD)
    os._exit(128 + number)
