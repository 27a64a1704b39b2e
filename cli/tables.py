"""Tables of a plan: figures are never cut, words may wrap."""

from __future__ import annotations

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table

from cli.console import heading


def section(console: Console, title: str, content: RenderableType) -> None:
    """A heading, and what stands below it."""
    heading(console, title)
    console.print(Padding(content, (0, 0)))


def table(*columns: str, texts: int) -> Table:
    """A table whose first `texts` columns hold words, which may wrap; the others hold figures, which never do."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for index, header in enumerate(columns):
        if index < texts:
            found.add_column(header, overflow="fold", vertical="top")
        else:
            found.add_column(header, justify="right", no_wrap=True, vertical="top")
    return found
