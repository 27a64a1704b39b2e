"""What every command has: the directory it works in, and how its errors are told."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, ParamSpec, TypeVar

import click

from cli.errors import INPUT_ERROR, say
from cli.interrupt import INTERRUPTED, leave
from plan.errors import InputError, ProgramError, called_in
from twin.errors import TwinError

P = ParamSpec("P")
T = TypeVar("T")
#: How a command prints what it found.
Form = Literal["text", "markdown", "json"]
#: Names that Pulumi gives stacks.
_STACK = re.compile(r"(?!\.+\Z)[\w.-]{1,100}", re.ASCII)
#: What writing to standard output fails with: a full disk, a device that takes no more.
_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
#: Seconds until an interruption that Python ignored comes again: the callback that it met is over by then.
_AGAIN_SECONDS = 0.05


def directory_option(command: Callable[P, None]) -> Callable[P, None]:
    """Adds `-C DIR`, the parameter `directory`."""
    return click.option(
        "-C",
        "--cwd",
        "directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="Directory of the Pulumi project, or one below it.  [default: the current one]",
    )(command)


def stack_name(stack: str) -> str:
    """The name, where it can be one. It is also that of a file and a folder, and must not lead elsewhere."""
    if not _STACK.fullmatch(stack):
        raise InputError(f"{stack!r} is no name of a stack: letters, digits, `-`, `_` and `.`, 100 at most")
    return stack


def stack_option(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `-s`, `--stack`, the parameter `stack`: the twin's stack, `local` by default."""
    return click.option("-s", "--stack", metavar="STACK", default="local", show_default=True, help="The stack.")(
        command
    )


def stack_argument(
    default: str | None = None, *, needed: bool = True
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds the argument STACK, which may also be written `-s` or `--stack`: the parameter `stack`.

    default: the stack where none is named. Without it the command says so, or gets None where none is needed.
    """

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @wraps(command)
        def wrapper(*args: Any, stack: str | None, also: str | None, **kwargs: Any) -> T:
            if stack is not None and also not in (None, stack):
                raise click.UsageError(f"two stacks are named: {stack} and {also}")
            named = stack if stack is not None else also if also is not None else default
            if named is None and needed:
                raise click.UsageError(f"Missing argument 'STACK'.{_known_stacks(kwargs.get('directory'))}")
            return command(*args, stack=named, **kwargs)

        # Of a command that must have it, the usage does not say that it may be left out.
        shown = "STACK" if needed and default is None else "[STACK]"
        option = click.option("-s", "--stack", "also", metavar="STACK", help="The stack, also as an option.")
        return click.argument("stack", required=False, metavar=shown)(option(wrapper))

    return decorate


def _known_stacks(directory: object) -> str:
    """Which stacks there are to name; nothing where that cannot be seen."""
    from plan.project import find_project  # noqa: PLC0415  loads YAML

    if not isinstance(directory, Path):
        return ""
    try:
        stacks = find_project(directory.resolve()).stacks
    except (InputError, OSError):
        return ""
    return f" Stacks of this project: {', '.join(stacks)}" if stacks else ""


def plainly(command: Callable[P, int]) -> Callable[P, None]:
    """Turn errors that a person can mend into a message and an exit status."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        directory = kwargs.get("directory")
        called_in(directory if isinstance(directory, Path) else Path())
        try:
            status = command(*args, **kwargs)
            sys.stdout.flush()
        except InputError as error:
            _fail(str(error), INPUT_ERROR)
        except TwinError as error:
            _fail(str(error), 1)
        except ProgramError as error:
            # A traceback's lines are its own.
            click.echo(f"error: the program failed\n{error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt as interrupt:
            say(": ".join(["interrupted", *map(str, interrupt.args)]))
            sys.exit(128 + signal.SIGTERM if isinstance(interrupt, Terminated) else INTERRUPTED)
        except BrokenPipeError:
            raise  # whoever reads has enough: click ends in silence
        except OSError as error:
            if error.filename is not None:
                _fail(f"{error.filename}: {error.strerror}", 1)
            if isinstance(error, FileNotFoundError):
                _fail("the current directory is not there any more", 1)
            if error.errno in _OUTPUT:
                no_output(error)
            _fail(str(error), 1)
        finally:
            called_in(Path())
        sys.exit(status)

    return wrapper


class Terminated(KeyboardInterrupt):
    """SIGTERM, within `interruptible`."""


def _terminated(*_: object) -> NoReturn:
    raise Terminated


_RAISING: Mapping[signal.Signals, Callable[[int, FrameType | None], object]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: _terminated,
}


@contextlib.contextmanager
def interruptible(rest: Callable[[], str] = str) -> Iterator[None]:
    """Within it Ctrl-C is a KeyboardInterrupt, and SIGTERM too: there is something to put in order. Elsewhere they end
    the process (`leave`).

    Python ignores what is raised while it runs a weak reference's callback or a finalizer (sys.unraisablehook): an
    interruption of that moment comes again.
    rest: asked after an interruption: what is left, and what to do about it. Another one does not end that, which may
    still be removing something: what is said would not be so.
    """
    # Others are of somebody else's program that called us, or told to ignore it.
    ours = [number for number in _RAISING if signal.getsignal(number) is leave]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _RAISING[number])
    ignored, sys.unraisablehook = sys.unraisablehook, _again(sys.unraisablehook)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        for number in ours:
            signal.signal(number, signal.SIG_IGN)
        if left := rest():
            interrupt.args = (left,)
        raise
    finally:
        sys.unraisablehook = ignored
        for number in ours:
            signal.signal(number, leave)


def _again(otherwise: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """A hook that interrupts this process again when an interruption was ignored. otherwise: told of all else."""

    def hook(unraisable: sys.UnraisableHookArgs, /) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            otherwise(unraisable)
            return
        number = signal.SIGTERM if issubclass(unraisable.exc_type, Terminated) else signal.SIGINT
        # What is raised in here is ignored as well.
        threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()

    return hook


def no_output(error: OSError) -> NoReturn:
    """End because nothing can be written any more."""
    # What is left to write would fail again when the process ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _fail(f"cannot write the output: {error.strerror or error}", 1)


def _fail(message: str, status: int) -> NoReturn:
    say(f"error: {message}")
    sys.exit(status)
