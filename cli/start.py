"""Where the program begins. It looks after Ctrl-C first: in the middle of loading modules that is a traceback."""

from __future__ import annotations

import os

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
try:
    import signal
except KeyboardInterrupt:
    os._exit(INTERRUPTED)


def leave(*_: object) -> None:
    """End at once. An exception would run into whatever is at work, and come out as an error of that.

    A command that has something to put in order says so (`cli.calling.interruptible`).
    """
    os._exit(INTERRUPTED)


def main() -> None:
    """Run the command line of this process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where whoever started us ignores it
        signal.signal(signal.SIGINT, leave)
    from cli.main import main as command  # noqa: PLC0415

    command()
