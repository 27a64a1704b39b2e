"""How a command ends after Ctrl-C."""

from __future__ import annotations

import os

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def leave(*_: object) -> None:
    """End at once. An exception would run into whatever is at work, and come out as an error of that.

    A command that has something to put in order says so (`cli.calling.interruptible`).
    """
    os._exit(INTERRUPTED)
