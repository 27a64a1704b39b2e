"""A node as a drawing: SVG that stands on the page by itself, and inside the exported picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from xml.sax.saxutils import escape

from twin.watch import telling
from twin.watch.scene import Bar, Box, Pool, Slot
from twin.watch.words import clean, count, dollars, duration, gib, joined, share, shorten

#: Pixels.
WIDTH = 296
_PAD = 14
_CELL = 26
_GAP = 6
_TOP = 57
#: More slots than that are small squares without names.
_MOST_CELLS = 16
_SQUARE = 14
#: Height of a GPU's bar and of a claim's line below it, and lines of a GPU.
_BAR, _CLAIM, _MOST_CLAIMS = 22, 19, 8
#: Names of CPU pods in a box.
_MOST_OTHERS = 4
#: Side of a node in a pool of many, and the space between two.
TILE, TILE_GAP = 11, 3


@dataclass(frozen=True)
class Drawing:
    """SVG elements and how much room they take, in pixels."""

    content: str
    width: float
    height: float

    def standalone(self, label: str, classes: str = "") -> str:
        """As an SVG element of its own."""
        names = f"twin {classes}".strip()
        return (
            f'<svg class="{names}" width="{self.width:g}" height="{self.height:g}" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escaped(label)}">'
            f"{self.content}</svg>"
        )

    def at(self, x: float, y: float) -> str:
        """Inside another drawing."""
        return f'<g transform="translate({x:g} {y:g})">{self.content}</g>'


def escaped(value: str) -> str:
    """Whatever anybody has written, for SVG and HTML: between tags and in quoted attributes."""
    return escape(clean(value), {'"': "&quot;"})


def text(x: float, y: float, value: str, classes: str = "") -> str:
    """A line of text that begins at x, or ends there (class `end`)."""
    named = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}"{named}>{escaped(value)}</text>'


def fit(value: str, pixels: float, size: float = 13) -> str:
    """As much of a text as has room. Widths are those of common sans-serif fonts, with some to spare."""
    room = pixels
    for index, character in enumerate(value):
        room -= size * _advance(character)
        if room < 0:
            return shorten(value, max(1, index))
    return value


def measure(value: str, size: float) -> float:
    """Pixels that a text takes, of letters of that size; at most, in common fonts."""
    return size * sum(map(_advance, value))


def _advance(character: str) -> float:
    """Width of a character in em."""
    if character in "iljtfr.,:;'|!()[] I-":
        return 0.36
    if character in "mwMW%@":
        return 0.9
    return 0.7 if character.isupper() else 0.58 if character.isascii() else 1.0


def draw(box: Box, at: float) -> Drawing:
    """The box of a node. at: now, in seconds since 1970."""
    parts: list[str] = []
    bottom = _TOP
    if box.bars:
        bottom = _bars(parts, box.bars)
    elif box.slots:
        draw_slots = _cells if len(box.slots) <= _MOST_CELLS else _squares
        bottom = draw_slots(parts, box.slots)
    elif not box.gpu:
        bottom = _others(parts, box)
    height = bottom + 26
    edge = {"ready": "", "leaving": " going"}.get(box.stage, " arriving")
    frame = f'<rect class="card{edge}" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>'
    title = f"<title>{escaped(box.node)}</title>"
    return Drawing("".join((title, frame, *_head(box), *parts, *_foot(box, at, height))), WIDTH, height)


def _head(box: Box) -> list[str]:
    price = dollars(box.usd_per_hour) + "/h"
    pill = 18 + measure(box.capacity, 11.5)
    solid = box.capacity == "on-demand"
    parts = [
        text(_PAD, 24, fit(box.instance_type or "unknown type", 165, 15), "type"),
        text(WIDTH - _PAD, 24, price, "price end"),
    ]
    x: float = _PAD
    if box.capacity:
        shape, words = ("solid", "small on-solid middle") if solid else ("pill", "small middle")
        parts.append(f'<rect class="{shape}" x="{_PAD}" y="33.5" width="{pill:g}" height="17" rx="8.5"/>')
        parts.append(text(_PAD + pill / 2, 46, box.capacity, words))
        x += pill + 7
    sign = {"leaving": "bad", "ready": "good"}.get(box.stage, "shape")
    parts.append(text(x, 46, fit(joined(box.gpu, box.zone), 205 - x, 12), "soft"))
    parts.append(text(WIDTH - _PAD, 46, box.stage, "soft end"))
    parts.append(_sign(box.stage, WIDTH - _PAD - measure(box.stage, 12) - 11, 42, sign))
    return parts


def _foot(box: Box, at: float, height: float) -> list[str]:
    taken = share(box.taken_mib, box.mib) if box.bars else f"{box.taken} of {count(len(box.slots), 'slot')}"
    right = joined(taken if box.slots or box.bars else "", duration(at - box.since))
    return [
        text(_PAD, height - 10, fit(box.name, WIDTH - 2 * _PAD - 6.2 * len(right) - 8, 11.5), "soft small"),
        text(WIDTH - _PAD, height - 10, right, "soft small end"),
    ]


#: How slots and claims look, by their state; what is not offered yet is dotted.
_LOOKS = {
    "ready": "tint edge",
    "starting": "tint edge dash",
    "coming": "empty edge dash",
    "leaving": "empty open dash",
    "free": "open",
}


def _cells(parts: list[str], slots: tuple[Slot, ...]) -> int:
    width = (WIDTH - 2 * _PAD - _GAP) // 2
    for index, slot in enumerate(slots):
        x, y = _PAD + (index % 2) * (width + _GAP), _TOP + (index // 2) * (_CELL + _GAP)
        look = "open dash" if slot.state == "coming" and not slot.owner else _LOOKS.get(slot.state, "open dots")
        hint = f"{slot.pod or 'nobody'}: {slot.state}"
        parts.append(
            f'<g class="c{slot.colour} slot"><title>{escaped(hint)}</title>'
            f'<rect class="cell {look}" x="{x + 0.5}" y="{y + 0.5}" width="{width - 1}" height="{_CELL - 1}" rx="7"/>'
            f"{_sign(slot.state, x + 13, y + 13, 'hue' if slot.owner else 'shape')}"
            f"{text(x + 24, y + 17.5, fit(telling.slot(slot), width - 30), '' if slot.owner else 'soft')}</g>"
        )
    return _TOP + -(-len(slots) // 2) * (_CELL + _GAP)


def _squares(parts: list[str], slots: tuple[Slot, ...]) -> int:
    step = _SQUARE + 4
    a_row = (WIDTH - 2 * _PAD + 4) // step
    for index, slot in enumerate(slots):
        x, y = _PAD + (index % a_row) * step, _TOP + (index // a_row) * step
        look = "hue" if slot.state == "ready" else "tint edge" if slot.owner else "open"
        hint = f"{slot.pod or 'nobody'}: {slot.state}"
        parts.append(
            f'<g class="c{slot.colour} slot"><title>{escaped(hint)}</title>'
            f'<rect class="cell {look}" x="{x}.5" y="{y}.5" width="{_SQUARE - 1}" height="{_SQUARE - 1}" rx="3"/></g>'
        )
    bottom = _TOP + -(-len(slots) // a_row) * step
    held = Counter(slot.owner for slot in slots if slot.owner)
    words = telling.who(tuple(held.most_common())) or "nobody yet"
    parts.append(text(_PAD, bottom + 12, fit(words, WIDTH - 2 * _PAD, 12), "soft"))
    return bottom + 16


def _bars(parts: list[str], bars: tuple[Bar, ...]) -> int:
    """Each GPU as a bar of its claims, to scale; below it who has how much."""
    y = _TOP
    for bar in bars:
        x = float(_PAD)
        for part in bar.parts:
            width = (WIDTH - 2 * _PAD) * part.mib / bar.mib
            hint = f"{part.pod or 'nobody'}: {part.state}, {gib(part.mib)} of {bar.name}"
            parts.append(
                f'<g class="c{part.colour} slot"><title>{escaped(hint)}</title>'
                f'<rect class="cell {_LOOKS.get(part.state, "open dots")}" x="{x + 0.5:g}" y="{y + 0.5}" '
                f'width="{max(width - 1, 1):g}" height="{_BAR - 1}" rx="3"/></g>'
            )
            x += width
        y = _claims(parts, bar, y + _BAR + 4)
    return y


def _claims(parts: list[str], bar: Bar, top: int) -> int:
    """A line for each claim and for what is free; where they are many, the largest alone."""
    shown = sorted(bar.parts, key=lambda part: (not part.owner, -part.mib))
    if len(shown) > _MOST_CLAIMS:
        rest = shown[_MOST_CLAIMS - 1 :]
        shown = shown[: _MOST_CLAIMS - 1]
    else:
        rest = []
    for part in shown:
        parts.append(
            f'<g class="c{part.colour} slot">{_sign(part.state, _PAD + 6, top + 10, "hue" if part.owner else "shape")}'
            f"{text(_PAD + 18, top + 14, fit(part.owner or part.state, 180), '' if part.owner else 'soft')}"
            f"{text(WIDTH - _PAD, top + 14, gib(part.mib), 'soft end')}</g>"
        )
        top += _CLAIM
    if rest:
        parts.append(text(_PAD + 18, top + 14, f"and {len(rest)} more", "soft"))
        parts.append(text(WIDTH - _PAD, top + 14, gib(sum(part.mib for part in rest)), "soft end"))
        top += _CLAIM
    return top + 6


def _others(parts: list[str], box: Box) -> int:
    names = list(box.others[:_MOST_OTHERS])
    if len(box.others) > _MOST_OTHERS:
        names[-1] = f"and {len(box.others) - _MOST_OTHERS + 1} more"
    width = (WIDTH - 2 * _PAD - _GAP) // 2
    for index, name in enumerate(names):
        x, y = _PAD + (index % 2) * (width + _GAP), _TOP + (index // 2) * (_CELL + _GAP)
        parts.append(f'<rect class="plain" x="{x}" y="{y}" width="{width}" height="{_CELL}" rx="7"/>')
        parts.append(text(x + 10, y + 17.5, fit(name, width - 18)))
    if not names:
        parts.append(text(_PAD, _TOP + 17, "nothing but DaemonSets" if box.daemon_pods else "empty", "soft"))
        return _TOP + _CELL
    return _TOP + -(-len(names) // 2) * (_CELL + _GAP)


def _sign(state: str, x: float, y: float, classes: str) -> str:
    """The sign of a state, around a point. Shapes, not characters: fonts draw those in many sizes."""
    r = 4
    if state in ("ready",):
        return f'<circle class="{classes}" cx="{x:g}" cy="{y:g}" r="{r}"/>'
    ring = "edge" if classes == "hue" else ""
    if state in ("starting", "no GPU yet", "booting"):
        half = f"M{x:g} {y - r:g}a{r} {r} 0 0 1 0 {2 * r}z"
        return f'<circle class="ring {ring}" cx="{x:g}" cy="{y:g}" r="{r}"/><path class="{classes}" d="{half}"/>'
    if state == "leaving":
        arm = r - 0.5
        cross = f"M{x - arm:g} {y - arm:g}l{2 * arm} {2 * arm}m0 {-2 * arm}l{-2 * arm} {2 * arm}"
        return f'<path class="ring {ring}" d="{cross}"/>'
    dashed = " dash" if state in ("coming", "bought", "not offered yet") else ""
    return f'<circle class="ring {ring}{dashed}" cx="{x:g}" cy="{y:g}" r="{r}"/>'


def tiles(pool: Pool, columns: int) -> Drawing:
    """Every node of a large pool as a small square, filled as far as its slots are used."""
    step, side = TILE + TILE_GAP, TILE - 1
    paths: dict[str, list[str]] = {"there": [], "arriving": [], "going": [], "level": []}
    for index, node in enumerate(pool.nodes):
        x, y = (index % columns) * step, (index // columns) * step
        kind = {"ready": "there", "leaving": "going"}.get(node.stage, "arriving")
        paths[kind].append(f"M{x}.5 {y}.5h{side}v{side}h-{side}z")
        filled = round(side * node.fill)
        if filled:
            paths["level"].append(f"M{x}.5 {y + side - filled}.5h{side}v{filled}h-{side}z")
    looks = {"there": "card", "arriving": "card arriving", "going": "card going", "level": "level"}
    content = "".join(f'<path class="{looks[kind]}" d="{"".join(d)}"/>' for kind, d in paths.items() if d)
    rows = -(-len(pool.nodes) // columns)
    return Drawing(content, columns * step - TILE_GAP, rows * step - TILE_GAP)
