"""Draws docs/images/monitoring.svg: `python -m tools.dashboard_picture`; `--check` only compares.

The widgets are those of the dashboard that a stack gets, with made figures: a day on which two nodes work.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from components.monitoring.alarms import KARPENTER, KNATIVE, Watched
from components.monitoring.dashboard import dashboard
from tools import fresh

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "images" / "monitoring.svg"
WATCHED: Final = Watched(
    cluster_name="gpu-slices-dev",
    spot_rule="gpu-slices-dev-spot",
    controllers=[KARPENTER, KNATIVE],
    usd_per_gpu_hour=0.4024,
)
#: Pixels of a column and of a row of the dashboard's grid.
_COLUMN, _ROW = 32, 30
_COLOURS: Final = ("#2a6fbb", "#d2691e")
_HOURS: Final = 24

#: Made figures by title: lines of hourly values, and the axis' end.
MADE: Final[Mapping[str, tuple[list[list[float]], float]]] = {
    "GPU utilisation by node": (
        [
            [60 + 30 * math.sin(hour) if 8 <= hour < 20 else 0 for hour in range(_HOURS)],
            [35 + 20 * math.cos(hour) if 10 <= hour < 16 else 0 for hour in range(_HOURS)],
        ],
        100,
    ),
    "GPU memory by node": (
        [
            [78 if 8 <= hour < 20 else 0 for hour in range(_HOURS)],
            [52 if 10 <= hour < 16 else 0 for hour in range(_HOURS)],
        ],
        100,
    ),
    "GPUs that run": ([[(8 <= hour < 20) + (10 <= hour < 16) for hour in range(_HOURS)]], 3),
    "GPU nodes, USD an hour at the plan's price": (
        [[0.4024 * ((8 <= hour < 20) + (10 <= hour < 16)) for hour in range(_HOURS)]],
        1,
    ),
    "Pods that wait": ([[5.0 * (hour in (8, 10)) for hour in range(_HOURS)]], 10),
    "Spot interruptions, of account and region": ([[float(hour == 13) for hour in range(_HOURS)]], 3),
    "Errors of controllers": (
        [[float(hour % 7 == 0) for hour in range(_HOURS)], [2.0 * (hour == 8) for hour in range(_HOURS)]],
        10,
    ),
}


def picture() -> str:
    """The picture, as SVG. Raises KeyError for a widget without figures."""
    widgets = dashboard(WATCHED, "us-east-1")["widgets"]
    height = max(each["y"] + each["height"] for each in widgets) * _ROW
    parts = "\n".join(part for widget in widgets for part in _widget(widget))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * _COLUMN} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="#f4f4f4"/>\n{parts}\n</svg>\n'
    )


def _widget(widget: Mapping[str, Any]) -> Iterator[str]:
    left, top = widget["x"] * _COLUMN + 6, widget["y"] * _ROW + 6
    width, height = widget["width"] * _COLUMN - 12, widget["height"] * _ROW - 12
    title = widget["properties"]["title"]
    lines, end = MADE[title]
    yield f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="#fff" stroke="#ccc"/>'
    yield f'<text x="{left + 10}" y="{top + 20}" font-weight="bold">{escape(title)}</text>'
    x0, y0, plot_width, plot_height = left + 40, top + height - 24, width - 54, height - 62
    yield f'<path d="M{x0} {y0 - plot_height}V{y0}H{x0 + plot_width}" fill="none" stroke="#888"/>'
    yield f'<text x="{x0 - 6}" y="{y0 - plot_height + 4}" text-anchor="end">{end:g}</text>'
    yield f'<text x="{x0 - 6}" y="{y0}" text-anchor="end">0</text>'
    yield f'<text x="{x0}" y="{y0 + 16}">00:00</text>'
    yield f'<text x="{x0 + plot_width}" y="{y0 + 16}" text-anchor="end">24:00</text>'
    for values, colour in zip(lines, _COLOURS, strict=False):
        step = plot_width / _HOURS
        corners = "".join(
            f"L{x0 + hour * step:.0f} {y0 - plot_height * value / end:.0f}H{x0 + (hour + 1) * step:.0f}"
            for hour, value in enumerate(values)
        )
        yield f'<path d="M{x0} {y0}{corners}" fill="none" stroke="{colour}" stroke-width="2"/>'


def main(arguments: Sequence[str]) -> int:
    """Write the picture, or compare it; the exit status."""
    return fresh.write(TARGET, picture(), arguments, "the dashboard shows: run make docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
