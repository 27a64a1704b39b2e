"""What `slices watch` does: a view in the terminal, lines for a pipe, the page, or one picture."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live

from twin.errors import TwinError
from twin.machine.state import TwinState
from twin.watch.changes import changes
from twin.watch.picture import picture
from twin.watch.scene import Scene
from twin.watch.source import PAUSE_SECONDS, Scenes, Source
from twin.watch.terminal import frame
from twin.watch.words import in_ascii, writes_signs


def watch(state: TwinState, *, web: bool, port: int, svg: str) -> int:
    """Watch a twin until it is stopped, or for ever. Raises TwinError when there is none.

    web: serve the page, on a port (0: any that is free). svg: write one picture to that file instead; `-` is stdout.
    """
    with Source(state) as source:
        if svg:
            write_picture(source.scene(), svg)
        elif web:
            from twin.watch.server import serve  # noqa: PLC0415  loads starlette and uvicorn

            serve(source, state.stack, port)
        else:
            console = Console(highlight=False, markup=False, emoji=False)
            redraws = console.is_terminal and not console.is_dumb_terminal
            (_draw if redraws else _tell)(source, console)
    return 0


def write_picture(scene: Scene, target: str) -> None:
    """Write a scene as SVG, in one step: a reader never sees half of it. Raises TwinError when that fails."""
    content = picture(scene).encode()
    if target == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    aside = path.resolve().with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
            path.write_bytes(content)
        else:
            aside.write_bytes(content)
            aside.replace(path.resolve())
    except OSError as error:
        raise TwinError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def scenes_of(source: Scenes) -> Iterator[Scene]:
    """A scene whenever there may be something new, twice a second at most; until there will be nothing more."""
    while not source.ended():
        began = time.monotonic()
        yield source.scene()
        source.wait()
        time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))


def _draw(source: Scenes, console: Console) -> None:
    signs = writes_signs(console.encoding)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for scene in scenes_of(source):
            lines = frame(scene, *console.size, signs=signs)
            live.update(Group(*lines), refresh=True)
    click.echo(source.ended())


def _tell(source: Scenes, console: Console) -> None:
    signs = writes_signs(console.encoding)
    before: Scene | None = None
    try:
        for scene in scenes_of(source):
            for line in changes(before, scene):
                click.echo(line if signs else in_ascii(line))
            before = scene
            if _nobody_reads():
                return
        click.echo(source.ended())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left unsaid at the end


def _nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader: a write would tell too, but may be a long time off."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
