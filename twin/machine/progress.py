"""Shows a build on the terminal."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from plan.project import find_project, load_stack
from twin.machine import build

#: Seconds between lines where there is no terminal.
_LINE_EVERY = 30.0
#: The same for a start, which takes less than a minute.
_STEP_EVERY = 2.0


def built_for(console: Console, directory: Path, stack: str) -> Path:
    """The folder of the programs that a stack's twin needs; builds what is missing, with a bar.

    Raises InputError for a stack that there is not: it is told before minutes of building. Raises TwinError where
    building is not possible.
    """
    load_stack(find_project(directory), stack)
    with BuildProgress(console) as progress:
        return build.ensure_built(progress)


class Lines:
    """Says steps where there is no terminal: a line now and then, and the first at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = -_STEP_EVERY

    def __call__(self, text: str) -> None:
        """A step is done."""
        if time.monotonic() - self._said >= _STEP_EVERY:
            self._said = time.monotonic()
            self._console.print(f"  {text}", soft_wrap=True, markup=False)


class BuildProgress:
    """A bar on a terminal, a line now and then elsewhere. Use as a context manager."""

    def __init__(self, console: Console, what: str = "the twin's programs", minutes: str = "six") -> None:
        """what, minutes: what is built, and how long it takes from an empty cache on two cores."""
        self._console = console
        self._what = what
        self._minutes = minutes
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("packages"),
            TimeElapsedColumn(),
            TextColumn("about"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            speed_estimate_period=120,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._program = ""
        self._packages = 0
        self._done = 0
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bar.stop()

    def waiting(self) -> None:
        """Another command builds the same."""
        self._console.print(f"Another command builds {self._what}; this one waits for it.")

    def begin(self, packages: int) -> None:
        """How many packages must be compiled."""
        self._packages = packages
        if not packages:
            self._console.print(f"Linking {self._what}: all is compiled, each takes up to a minute on two cores.")
            self._task = self._bar.add_task("linking", total=None)
            return
        self._console.print(
            f"Building {self._what}, {packages} packages to compile: about {self._minutes} minutes on two cores from "
            "an empty cache. It may be interrupted and goes on where it was."
        )
        self._task = self._bar.add_task("reading modules", total=packages)

    def building(self, program: str) -> None:
        """The next program."""
        self._program = program
        if self._task is not None:
            self._bar.update(self._task, description=program)
        if not self._console.is_terminal:
            self._console.print(f"  {program}")

    def linking(self, program: str) -> None:
        """All packages of a program are compiled; Go says nothing until it has put them together."""
        if self._task is not None:
            self._bar.update(self._task, description=f"linking {program} (up to a minute)")
        if not self._console.is_terminal:
            self._console.print(f"  {program}: linking, up to a minute")

    def compiled(self, package: str) -> None:
        """A package is compiled."""
        del package
        self._done += 1
        if self._task is not None:
            self._bar.advance(self._task)
        if not self._console.is_terminal and time.monotonic() - self._said > _LINE_EVERY:
            self._said = time.monotonic()
            self._console.print(f"  {self._program}: {self._done} of {self._packages} packages")
