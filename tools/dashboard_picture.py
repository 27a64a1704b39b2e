"""Draws docs/images/monitoring.svg and grafana.svg: `python -m tools.dashboard_picture`; `--check` only compares.

The widgets are those of the dashboards that a stack gets, with made figures: a day on which two nodes work.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from components.monitoring.alarms import KARPENTER, KNATIVE, Watched
from components.monitoring.dashboard import dashboard
from components.monitoring.grafana import dashboard as grafana_dashboard
from components.monitoring.rules import WatchedStack
from tools import fresh

_IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
TARGET: Final = _IMAGES / "monitoring.svg"
GRAFANA_TARGET: Final = _IMAGES / "grafana.svg"
WATCHED: Final = Watched(
    cluster_name="gpu-slices-dev",
    spot_rule="gpu-slices-dev-spot",
    controllers=[KARPENTER, KNATIVE],
    usd_per_gpu_hour=0.4024,
)
WATCHED_STACK: Final = WatchedStack(gpu_pools=["time-sliced"], serving=True, dialogue=True)
#: Pixels of a column and of a row of the dashboard's grid.
_COLUMN, _ROW = 32, 30
_COLOURS: Final = ("#2a6fbb", "#d2691e")
_HOURS: Final = 24

Lines = list[list[float]]
_WORK: Final[Lines] = [
    [60 + 30 * math.sin(hour) if 8 <= hour < 20 else 0 for hour in range(_HOURS)],
    [35 + 20 * math.cos(hour) if 10 <= hour < 16 else 0 for hour in range(_HOURS)],
]
_MEMORY: Final[Lines] = [
    [78 if 8 <= hour < 20 else 0 for hour in range(_HOURS)],
    [52 if 10 <= hour < 16 else 0 for hour in range(_HOURS)],
]
_NODES: Final = [(8 <= hour < 20) + (10 <= hour < 16) for hour in range(_HOURS)]
_USD: Final[Lines] = [[0.4024 * count for count in _NODES]]
_WAIT: Final[Lines] = [[5.0 * (hour in (8, 10)) for hour in range(_HOURS)]]
_BACK: Final[Lines] = [[float(hour == 13) for hour in range(_HOURS)]]
_ERRORS: Final[Lines] = [
    [float(hour % 7 == 0) for hour in range(_HOURS)],
    [2.0 * (hour == 8) for hour in range(_HOURS)],
]

#: Made figures by title: lines of hourly values, and the axis' end. First CloudWatch's, then Grafana's.
MADE: Final[Mapping[str, tuple[Lines, float]]] = {
    "GPU utilisation by node": (_WORK, 100),
    "GPU memory by node": (_MEMORY, 100),
    "GPUs that run": ([[float(count) for count in _NODES]], 3),
    "GPU nodes, USD an hour at the plan's price": (_USD, 1),
    "Pods that wait": (_WAIT, 10),
    "Spot interruptions, of account and region": (_BACK, 3),
    "Errors of controllers": (_ERRORS, 10),
}
MADE_OF_GRAFANA: Final[Mapping[str, tuple[Lines, float]]] = {
    "GPU utilisation": (_WORK, 100),
    "GPU memory": (_MEMORY, 100),
    "Slots": ([[4.0 * count for count in _NODES], [3.0 * count for count in _NODES]], 10),
    "GPU nodes, USD an hour at Karpenter's price": (_USD, 1),
    "Pods that wait": (_WAIT, 10),
    "Spot interruptions of this cluster": (_BACK, 3),
    "Errors of controllers, in five minutes": (_ERRORS, 10),
    "Requests for models": ([[2.0 * count for count in _NODES], [float(hour in (8, 10)) for hour in range(_HOURS)]], 5),
    "Tokens said in dialogues, a second": ([[31.0 if 10 <= hour < 16 else 0 for hour in range(_HOURS)]], 50),
    "Dialogues": (
        [[float(10 <= hour < 16) for hour in range(_HOURS)], [3.0 * (11 <= hour < 15) for hour in range(_HOURS)]],
        5,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Widget:
    """A title, its place on a grid of 24 columns, and what is drawn."""

    title: str
    x: int
    y: int
    width: int
    height: int
    lines: Lines
    end: float


def cloudwatch_widgets() -> Iterator[Widget]:
    """Those of CloudWatch's dashboard. Raises KeyError for one without figures."""
    for each in dashboard(WATCHED, "us-east-1")["widgets"]:
        lines, end = MADE[each["properties"]["title"]]
        place = {key: each[key] for key in ("x", "y", "width", "height")}
        yield Widget(title=each["properties"]["title"], lines=lines, end=end, **place)


def grafana_widgets() -> Iterator[Widget]:
    """Those of Grafana's dashboard, whose rows are lower. Raises KeyError for one without figures."""
    for each in grafana_dashboard(WATCHED_STACK, "gpu-slices-dev: GPUs")["panels"]:
        lines, end = MADE_OF_GRAFANA[each["title"]]
        place = each["gridPos"]
        yield Widget(
            title=each["title"],
            x=place["x"],
            y=place["y"] * 3 // 4,
            width=place["w"],
            height=place["h"] * 3 // 4,
            lines=lines,
            end=end,
        )


def picture(widgets: Sequence[Widget]) -> str:
    """The picture, as SVG."""
    height = max(each.y + each.height for each in widgets) * _ROW
    parts = "\n".join(part for widget in widgets for part in _drawn(widget))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * _COLUMN} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="#f4f4f4"/>\n{parts}\n</svg>\n'
    )


def _drawn(widget: Widget) -> Iterator[str]:
    left, top = widget.x * _COLUMN + 6, widget.y * _ROW + 6
    width, height = widget.width * _COLUMN - 12, widget.height * _ROW - 12
    title, lines, end = widget.title, widget.lines, widget.end
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


def pictures() -> Mapping[Path, str]:
    """Both, by file."""
    return {TARGET: picture([*cloudwatch_widgets()]), GRAFANA_TARGET: picture([*grafana_widgets()])}


def main(arguments: Sequence[str]) -> int:
    """Write the pictures, or compare them; the exit status."""
    return max(
        fresh.write(target, text, arguments, "the dashboard shows: run make docs")
        for target, text in pictures().items()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
