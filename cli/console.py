"""What is printed for people: 80 columns are enough, colours are optional, and nothing is cut."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

MIN_WIDTH = 80
MAX_WIDTH = 120


def write(print_all: Callable[[Console], None]) -> None:
    """Give a console of a readable width to what prints, and write it to standard output."""
    console = Console(highlight=False)
    console.width = max(MIN_WIDTH, min(console.width, MAX_WIDTH))
    with console.capture() as capture:
        print_all(console)
    # Tables and indented text are padded to their width; nobody wants these blanks in a file or a pull request.
    text = "\n".join(line.rstrip() for line in capture.get().splitlines())
    console.file.write(f"{text.strip()}\n")


def heading(console: Console, text: str) -> None:
    """Print what a part of the output is about."""
    console.print(Text(f"\n{text}", style="bold"))


def hanging(console: Console, first: str, text: str, style: str = "") -> None:
    """Print a text that, where it wraps, goes on below its own beginning. first: what stands before it."""
    table = Table.grid()
    table.add_column(width=len(first), no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(first), Text(text, style=style))
    console.print(table)


def command(console: Console, text: str, columns: int, style: str = "") -> None:
    """Print a command for pasting: indented, and never cut or wrapped."""
    for line in text.splitlines():
        console.print(Text(f"{' ' * columns}{line}", style=style), soft_wrap=True)


def printable(text: str) -> str:
    """A text of somebody else's for a terminal: nothing in it moves the cursor."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def kind(type_: str) -> str:
    """The last part of a type token: `Vpc`, `NodePool`; providers say what they provide for."""
    return "provider" if type_.startswith("pulumi:providers:") else type_.rpartition(":")[2]
