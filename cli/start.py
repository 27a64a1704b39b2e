"""Where the program begins. It looks after Ctrl-C first: in the middle of loading modules that is a traceback."""

from __future__ import annotations

import os

try:
    import signal

    from cli.interrupt import leave
except KeyboardInterrupt:  # before anything of ours is there
    os.write(2, b"interrupted\n")
    os._exit(130)


def main() -> None:
    """Run the command line of this process."""
    for number, otherwise in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is otherwise:  # not where whoever started us ignores it
            signal.signal(number, leave)
    from cli.main import main as command  # noqa: PLC0415

    command()
