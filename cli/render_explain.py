"""Prints why a figure is what it is: its arithmetic, then each input with its source and day."""

from __future__ import annotations

from rich.console import Console

from cli.console import heading, write
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
    inputs = table("figure", "value", "unit", "source", "day", texts=5)
    for each in dict.fromkeys(each for _, why in found.cases for each in why.inputs):
        inputs.add_row(each.name, _value(each), each.unit, each.source, each.date or "")
    console.print(inputs)


def _value(given: Input) -> str:
    return "not known" if given.value is None else f"{given.value:,.6g}"


def _amount(value: float, unit: str) -> str:
    if not unit:
        return f"{value * 100:.1f} %"
    digits = {"USD per hour": 4, "tokens a month": 0}.get(unit, 2)
    return f"{value:,.{digits}f} {unit}"
