"""The scene as one SVG file for documents: it follows the reader's light or dark mode, and needs nothing else."""

from __future__ import annotations

import textwrap
from functools import cache
from pathlib import Path

from twin.watch import boxes, telling
from twin.watch.boxes import escaped, fit, measure, text
from twin.watch.scene import Pool, Scene
from twin.watch.words import clock, count

PAGE = Path(__file__).parent / "page"
_COLUMNS = 3
_GAP = 16
_EDGE = 28
_INNER = _COLUMNS * boxes.WIDTH + (_COLUMNS - 1) * _GAP
_WIDTH = _INNER + 2 * _EDGE
_EVENTS = 8
_REASONS = 4
#: Letters of a reason in a line.
_LETTERS = 140


@cache
def style() -> str:
    """The rules for drawings."""
    return (PAGE / "box.css").read_text(encoding="utf-8")


def picture(scene: Scene) -> str:
    """An SVG document."""
    sheet = _Sheet()
    _head(sheet, scene)
    for pool in scene.pools:
        if pool.nodes:
            _pool(sheet, pool, scene.at)
    _empty_pools(sheet, scene)
    _waiting(sheet, scene)
    _feed(sheet, scene)
    sheet.y += 6
    for line in (f"As of {clock(scene.at)}. {telling.prices(scene)[0]}", *telling.prices(scene)[1:]):
        sheet.write(line, "soft small", 18)
    height = sheet.y + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="twin" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-labelledby="title summary">\n'
        f'<title id="title">The twin of {escaped(scene.stack)}</title>\n'
        f'<desc id="summary">{escaped(telling.summary(scene))}</desc>\n'
        f"<style>\n{style()}</style>\n"
        f'<rect class="paper" width="{_WIDTH}" height="{height:g}" rx="16"/>\n' + "\n".join(sheet.parts) + "\n</svg>\n"
    )


class _Sheet:
    """Paper that fills from top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y: float = 20

    def write(self, value: str, classes: str, height: float) -> None:
        """A line over the whole width."""
        self.y += height
        self.parts.append(text(_EDGE, self.y, fit(value, _INNER, 12), classes))

    def title(self, value: str, soft: str = "", right: str = "") -> None:
        """A heading, with something beside it."""
        self.y += 34
        value = fit(value, _INNER / 3, 16)
        width = max(9.6 * len(value), measure(value, 16)) + 14
        self.parts.append(text(_EDGE, self.y, value, "h2"))
        room = _INNER - width - 6.6 * len(right) - 12
        self.parts.append(text(_EDGE + width, self.y, fit(soft, room, 12), "soft"))
        self.parts.append(text(_EDGE + _INNER, self.y, right, "soft end"))
        self.y += 12


def _head(sheet: _Sheet, scene: Scene) -> None:
    sheet.y += 22
    sheet.parts.append(text(_EDGE, sheet.y, fit(f"Twin of {scene.stack}", _INNER / 2, 22), "h1"))
    state = scene.stale or "running"
    sheet.parts.append(
        text(_EDGE + _INNER, sheet.y, fit(state, _INNER / 2), "end " + ("bad" if scene.stale else "soft"))
    )
    sheet.y += 20
    told = telling.figures(scene)
    width = _INNER / len(told)
    for index, (figure, what, more) in enumerate(told):
        x = _EDGE + index * width
        sheet.parts.append(text(x, sheet.y + 22, figure, "figure"))
        sheet.parts.append(text(x, sheet.y + 42, what))
        sheet.parts.append(text(x, sheet.y + 59, fit(more, width - 12, 11.5), "soft small"))
    sheet.y += 66


def _pool(sheet: _Sheet, pool: Pool, at: float) -> None:
    sheet.title(pool.title, telling.pool_what(pool), telling.pool_sum(pool))
    _problem(sheet, pool)
    if pool.crowded:
        _crowd(sheet, pool)
        return
    drawn = [boxes.draw(node, at) for node in pool.nodes]
    for begin in range(0, len(drawn), _COLUMNS):
        row = drawn[begin : begin + _COLUMNS]
        for index, drawing in enumerate(row):
            sheet.parts.append(drawing.at(_EDGE + index * (boxes.WIDTH + _GAP), sheet.y))
        sheet.y += max(drawing.height for drawing in row) + _GAP
    sheet.y -= _GAP - 4


def _crowd(sheet: _Sheet, pool: Pool) -> None:
    for each in pool.sums[:8]:
        kind, told = telling.group(each)
        sheet.y += 18
        sheet.parts.append(text(_EDGE, sheet.y, fit(kind, 320)))
        sheet.parts.append(text(_EDGE + 330, sheet.y, told, "soft"))
    if pool.owners:
        sheet.write(telling.who(pool.owners, 8), "soft", 18)
    sheet.y += 12
    drawn = boxes.tiles(pool, int((_INNER + boxes.TILE_GAP) // (boxes.TILE + boxes.TILE_GAP)))
    sheet.parts.append(drawn.at(_EDGE, sheet.y))
    sheet.y += drawn.height + 4


def _problem(sheet: _Sheet, pool: Pool) -> None:
    if pool.problem:
        sheet.write(f"Not ready: {pool.problem}", "bad", 14)
        sheet.y += 8


def _empty_pools(sheet: _Sheet, scene: Scene) -> None:
    empty = [pool for pool in scene.pools if not pool.nodes]
    if not empty:
        return
    sheet.title("Without nodes", "Karpenter buys when a pod needs one")
    for pool in empty:
        sheet.y += 14
        sheet.parts.append(text(_EDGE, sheet.y, fit(pool.title, 120)))
        sheet.parts.append(text(_EDGE + 130, sheet.y, fit(telling.pool_what(pool) or "CPU nodes", 700, 12), "soft"))
        sheet.y += 4
        _problem(sheet, pool)


def _waiting(sheet: _Sheet, scene: Scene) -> None:
    if not scene.waiting:
        return
    sheet.title("Waiting", "", count(scene.pending, "pod"))
    for each in scene.waiting[:_REASONS]:
        sheet.y += 14
        sheet.parts.append(text(_EDGE, sheet.y, fit(telling.who(each.owners), 560), "price"))
        sheet.parts.append(text(_EDGE + _INNER, sheet.y, telling.how_long(each, scene.at), "soft end"))
        for line in textwrap.wrap(telling.why(each), _LETTERS, max_lines=2, placeholder="…"):
            sheet.write(line, "bad" if each.hopeless else "soft", 17)
        sheet.y += 10
    if len(scene.waiting) > _REASONS:
        sheet.write(f"and {len(scene.waiting) - _REASONS} more reasons", "soft", 12)


def _feed(sheet: _Sheet, scene: Scene) -> None:
    if not scene.feed:
        return
    sheet.title("Events")
    sheet.y -= 4
    for entry in scene.feed[:_EVENTS]:
        sheet.y += 19
        sheet.parts.append(text(_EDGE, sheet.y, clock(entry.at), "soft"))
        sheet.parts.append(text(_EDGE + 66, sheet.y, fit(entry.reason, 130), "bad" if entry.warning else ""))
        sheet.parts.append(text(_EDGE + 200, sheet.y, fit(telling.about(entry), 250, 12), "soft"))
        sheet.parts.append(text(_EDGE + 458, sheet.y, fit(entry.message, _INNER - 458, 12), "soft"))
