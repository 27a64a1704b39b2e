"""Errors that a person can mend, and commands in messages as this person can paste them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path


class InputError(Exception):
    """What was given cannot be used; the text says what to write instead."""


class ProgramError(Exception):
    """The Pulumi program failed with something else than a message for its user. The text is its traceback."""


_OURS = re.compile(r"`slices ([^`]+)`")


def as_called(text: str) -> str:
    """A text in which `slices` is called as it was this time, such as `.venv/bin/slices`: it may not be on the path."""
    return _OURS.sub(lambda found: f"`{slices(found[1])}`", text)


def slices(command: str) -> str:
    """A command line of ours, such as `down dev`, as it was called this time: by the same name, of the same project."""
    elsewhere = "" if _where == Path() else f" -C {shlex.quote(str(_where))}"
    return f"{_called()} {command}{elsewhere}"


def called_in(directory: Path) -> None:
    """Remember where the project is that this call is about, as it was named: commands that are printed name it too."""
    global _where  # noqa: PLW0603  one command a process
    _where = directory


_where = Path()


def _called() -> str:
    program = Path(sys.argv[0])
    if program.name != "slices" or not program.exists():
        return "slices"  # `python -m cli`, or a test
    on_path = shutil.which("slices")
    if on_path and Path(on_path).resolve() == program.resolve():
        return "slices"
    try:
        relative = os.path.relpath(program)
    except OSError:  # the current directory is gone
        return "slices"
    return shlex.quote(str(program.absolute()) if relative.startswith(os.pardir) else relative)
