"""The scene as HTML, in parts that the page replaces one by one. It is whole without JavaScript. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from twin.watch import boxes, telling
from twin.watch.boxes import escaped
from twin.watch.scene import Pool, Scene
from twin.watch.words import clock, count, joined

FOLDER = Path(__file__).parent / "page"
_EVENTS = 30
_REASONS = 8
#: Small squares of nodes in a row, for a pool that has many.
_TILES = 64

Parts = dict[str, str]
"""HTML of each part by the id of its element, in the order of the page."""


def page(scene: Scene) -> str:
    """The whole page as it is now."""
    drawn = parts(scene)
    filled = {
        "stack": escaped(scene.stack),
        "clock": clock(scene.at),
        "prices": escaped(" ".join(telling.prices(scene))),
        **{place: "".join(map(drawn.__getitem__, names)) for place, names in places(drawn).items()},
    }
    text = _template()
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def places(drawn: Iterable[str]) -> dict[str, list[str]]:
    """Where on the page which parts stand."""
    where = {"figures": "top", "waiting": "side", "events": "side"}
    return {place: [part for part in drawn if where.get(part, "main") == place] for place in ("top", "main", "side")}


@cache
def _template() -> str:
    return (FOLDER / "watch.html").read_text(encoding="utf-8")


def parts(scene: Scene, stale: str = "") -> Parts:
    """The scene in parts. stale: why the scene is no longer the truth, where it does not say so itself."""
    pools = [pool for pool in scene.pools if pool.nodes]
    return {
        "figures": _figures(scene, stale or scene.stale),
        **{_id(pool): _pool(pool, scene.at) for pool in pools},
        "empty": _empty(scene),
        "waiting": _waiting(scene),
        "events": _events(scene),
    }


def _part(name: str, *content: str) -> str:
    return f'<section id="{escaped(name)}">{"".join(content)}</section>'


def _words(tag: str, text: str, classes: str = "", *, cut: bool = False) -> str:
    """An element with words in it, whoever wrote them. cut: the page shows their beginning; all of them are a hint."""
    named = (f' class="{classes}"' if classes else "") + (f' title="{escaped(text)}"' if cut else "")
    return f"<{tag}{named}>{escaped(text)}</{tag}>" if text else ""


def _list(tag: str, items: list[str], none: str) -> str:
    return f"<{tag}>{''.join(f'<li>{item}</li>' for item in items)}</{tag}>" if items else _words("p", none)


def _figures(scene: Scene, stale: str) -> str:
    cells = [
        f"<div>{_words('dd', figure)}<dt>{escaped(what)} {_words('small', more)}</dt></div>"
        for figure, what, more in telling.figures(scene)
    ]
    banner = f'<p class="stale" role="alert">{escaped(stale)}</p>' if stale else ""
    return _part("figures", banner, "<dl>", *cells, "</dl>")


def _pool(pool: Pool, at: float) -> str:
    drawn = [boxes.draw(node, at).standalone(telling.box(node)) for node in pool.nodes if not pool.crowded]
    title = _title(pool.title, telling.pool_what(pool), telling.pool_sum(pool))
    return _part(_id(pool), title, _problem(pool), _crowd(pool) if pool.crowded else _list("ul", drawn, ""))


def _id(pool: Pool) -> str:
    return f"pool:{pool.title.replace(' ', '_')}"


def _title(title: str, what: str, total: str = "") -> str:
    return f"<header>{_words('h2', title)}{_words('p', what)}{_words('p', total, 'sum')}</header>"


def _problem(pool: Pool) -> str:
    return _words("p", f"Not ready: {pool.problem}" if pool.problem else "", "bad")


def _crowd(pool: Pool) -> str:
    drawn = boxes.tiles(pool, _TILES)
    label = f"{count(len(pool.nodes), 'node')}, each filled as far as its slots are taken"
    who = _words("p", telling.who(pool.owners, 8))
    return _table(map(telling.group, pool.sums)) + who + drawn.standalone(label, "tiles")


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr>{_words('th', kind)}{_words('td', told)}</tr>" for kind, told in rows)
    return f"<table>{cells}</table>"


def _empty(scene: Scene) -> str:
    empty = [pool for pool in scene.pools if not pool.nodes]
    if not empty:
        return _part("empty")
    rows = [(pool.title, telling.pool_what(pool) or "CPU nodes") for pool in empty]
    problems = [_words("p", f"{pool.title} is not ready: {pool.problem}", "bad") for pool in empty if pool.problem]
    return _part("empty", _title("Without nodes", "Karpenter buys when a pod needs one"), _table(rows), *problems)


def _waiting(scene: Scene) -> str:
    items = [
        _words("strong", telling.who(each.owners))
        + " "
        + _words("small", telling.how_long(each, scene.at))
        + _words("p", telling.why(each), "bad" if each.hopeless else "", cut=True)
        for each in scene.waiting[:_REASONS]
    ]
    if len(scene.waiting) > _REASONS:
        items.append(f"and {len(scene.waiting) - _REASONS} more reasons")
    return _part("waiting", _title("Waiting", ""), _list("ul", items, "Nobody."))


def _events(scene: Scene) -> str:
    items = [
        f"<time>{clock(entry.at)}</time> "
        + _words("strong", entry.reason, "bad" if entry.warning else "")
        + _words("p", joined(telling.about(entry), entry.message), cut=True)
        for entry in scene.feed[:_EVENTS]
    ]
    return _part("events", _title("Events", ""), _list("ol", items, "None yet."))
