"""Prints why a figure is what it is: its arithmetic, then each input, then the sources with their days.

Sources stand below the table: their names, such as that of a Go module, are longer than a column, and are never broken.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from cli.console import hanging, heading, write
from cli.tables import table
from gpu.why import Input
from plan.explain import Explanation


def render_explanation(found: Explanation) -> None:
    """Print an explanation to standard output."""
    write(lambda console: _print(console, found))


def _print(console: Console, found: Explanation) -> None:
    heading(console, found.name)
    console.print(f"{found.what}\n", markup=False)
    for case, why in found.cases:
        shown = "not known" if why.value is None else _amount(why.value, found.unit)
        console.print(f"{case}: {why.formula} = {shown}" if case else f"{why.formula} = {shown}", markup=False)
    console.print()
    sources = {each: f"[{number}]" for number, each in enumerate(_sources(found), start=1)}
    console.print(_inputs(found, sources))
    for (source, day), number in sources.items():
        hanging(console, f"{number} ", f"{source}, {day}" if day else source)


def _sources(found: Explanation) -> dict[tuple[str, str | None], None]:
    """Sources with the day of what they say, each once, in their order."""
    given = [each for _, why in found.cases for each in why.inputs]
    return dict.fromkeys((each.source, each.date) for each in given if each.source)


def _inputs(found: Explanation, sources: Mapping[tuple[str, str | None], str]) -> Table:
    """Every input once, with the cases that it is of where it is not of all; columns of which nothing is known go."""
    cases: dict[Input, list[str]] = {}
    for case, why in found.cases:
        for each in dict.fromkeys(why.inputs):
            cases.setdefault(each, []).append(case)
    of = {each: "" if len(named) == len(found.cases) else ", ".join(named) for each, named in cases.items()}
    columns = {
        "figure": [each.name for each in of],
        "of": list(of.values()),
        "value": [_value(each) for each in of],
        "unit": [each.unit for each in of],
        "source": [sources.get((each.source, each.date), "") for each in of],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    made = table(*shown, texts=len(shown))
    for row in zip(*shown.values(), strict=True):
        made.add_row(*row)
    return made


def _value(given: Input) -> str:
    return "not known" if given.value is None else f"{given.value:,.6g}"


def _amount(value: float, unit: str) -> str:
    if not unit:
        return f"{value * 100:.1f} %"
    digits = {"USD per hour": 4, "tokens a month": 0}.get(unit, 2)
    return f"{value:,.{digits}f} {unit}"
