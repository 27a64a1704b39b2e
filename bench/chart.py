"""Line charts as SVG, one below the other: what the pictures of measured figures are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 34, 44
#: Told apart by who cannot see colours too, in this order (Okabe and Ito).
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8c6d1f")
_TICKS = 4


@dataclass(frozen=True)
class Line:
    """A line by its name: its points from left to right. steps: a value holds until the next one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    steps: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart. unit: of its height, which begins at 0. below: what lies along it. labels: of x = 0, 1, 2, and so on;
    without any x has numbers. logarithmic: of x.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    below: str
    labels: Sequence[str] = ()
    logarithmic: bool = False

    def svg(self, note: str) -> str:
        """It alone."""
        return svg([self], note)


def svg(charts: Sequence[Chart], note: str) -> str:
    """Charts one below the other, and at the bottom where the figures are from."""
    height = _HEIGHT * len(charts) + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img">\n<title>{escape(charts[0].title)}</title>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n'
    )
    drawn = "".join(
        f'<g transform="translate(0 {_HEIGHT * place})">\n{"".join(_drawn(chart))}</g>\n'
        for place, chart in enumerate(charts)
    )
    return f"{head}{drawn}{_text(_LEFT, height - 10, note, colour='#666666')}</svg>\n"


def _drawn(chart: Chart) -> Iterator[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    top = _round_up(max((value for line in chart.lines for value in line.y), default=1.0))
    along = [math.log10(x) if chart.logarithmic else x for line in chart.lines for x in line.x]
    first, last = min(along, default=0.0), max(along, default=1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        part = ((math.log10(x) if chart.logarithmic else x) - first) / ((last - first) or 1)
        return _LEFT + part * (right - _LEFT), bottom - y / top * (bottom - _TOP)

    yield _text(_LEFT, 18, chart.title, weight="bold")
    for tick in range(_TICKS + 1):
        y = at(10**first if chart.logarithmic else first, top * tick / _TICKS)[1]
        yield f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="{"#888888" if tick == 0 else "#dddddd"}"/>\n'
        yield _text(_LEFT - 6, y + 4, f"{top * tick / _TICKS:,g}", anchor="end")
    for x, label in _marks(chart, first, last):
        yield _text(at(x, 0)[0], bottom + 16, label, anchor="middle")
    yield _text(_LEFT, bottom + 34, chart.below, colour="#666666")
    yield _text(_LEFT - 6, _TOP - 6, chart.unit, anchor="end", colour="#666666")
    for place, line in enumerate(chart.lines):
        yield from _line(line, [at(x, y) for x, y in zip(line.x, line.y, strict=True)], place)


def _line(line: Line, points: Sequence[tuple[float, float]], place: int) -> Iterator[str]:
    colour, dash = _COLOURS[place % len(_COLOURS)], ' stroke-dasharray="5 4"' if line.dashed else ""
    way = "".join(
        f"{'M' if not n else ('H' + format(x, '.1f') + 'L' if line.steps else 'L')}{x:.1f} {y:.1f}"
        for n, (x, y) in enumerate(points)
    )
    yield f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>\n'
    y, x = _TOP + 8 + 18 * place, _WIDTH - _RIGHT + 14
    yield f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="2"{dash}/>\n'
    yield _text(x + 24, y + 4, line.name)


def _marks(chart: Chart, first: float, last: float) -> Iterator[tuple[float, str]]:
    if chart.labels:
        yield from ((float(place), label) for place, label in enumerate(chart.labels))
    elif chart.logarithmic:
        yield from ((x, f"{x:,g}") for x in sorted({x for line in chart.lines for x in line.x}))
    else:
        step = _round_up((last - first) / 6)
        yield from ((first + step * n, f"{first + step * n:,g}") for n in range(int((last - first) / step) + 1))


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5, 8 and their tenfolds."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 2.5, 4, 5, 8, 10, 20) if unit * step >= value * (1 - 1e-9))


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222", weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{bold}>{escape(text)}</text>\n'
