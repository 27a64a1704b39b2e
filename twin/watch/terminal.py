"""The scene as lines of a terminal, as fine as the window allows: nodes as boxes, as lines, or in sums. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.text import Text

from twin.watch import telling
from twin.watch.scene import Bar, Box, Pool, Scene, Slot
from twin.watch.words import SIGNS, clean, clock, dollars, duration, in_ascii, joined

#: Characters that the box of a node has at least, and lines for names in its slots; for more there are signs alone.
_BOX, _SLOT_LINES = 36, 3
#: Characters of a line that what stands at its right end must leave.
_LEFT = 10
#: Lines of events that a small window still has.
_FEW_EVENTS = 3
_REASONS = 3
#: What a GPU's bar is drawn of, by the state of the claim, and its signs where a node is one line.
_FILL = {"ready": "█", "starting": "▓", "coming": "▒", "leaving": "░"}
_SMALL_BAR = 10
_OWNERS = ("cyan", "yellow", "magenta", "green", "blue", "bright_red", "bright_cyan", "bright_magenta")
_STAGES = {"ready": "green", "leaving": "red"}

Span = tuple[str, str]
"""Words and their style."""


def frame(scene: Scene, width: int, height: int, *, signs: bool = True) -> list[Text]:
    """What a window of so many characters and lines shows. signs: whether its encoding has more than ASCII."""
    lines = [*_head(scene, width), *_waiting(scene, width, max(1, height // 15))]
    events = _feed(scene, width)
    room = height - len(lines) - min(len(events), _FEW_EVENTS + 2)
    lines += _pools(scene, width, room)
    lines = [*lines, *events[: max(0, height - len(lines))]][:height]
    if not signs:
        for line in lines:
            line.plain = in_ascii(line.plain)
    return lines


def _line(width: int, *spans: Span, right: Span = ("", "")) -> Text:
    """A line of at most that width, with something at its right end unless that takes nearly all of it."""
    line = Text(no_wrap=True)
    for words, style in spans:
        line.append(clean(words), style)
    end = Text(clean(right[0]), right[1])
    left = width - end.cell_len - 2
    if right[0] and left >= _LEFT:
        line.truncate(left, overflow="ellipsis", pad=True)
        line.append("  ").append_text(end)
    line.truncate(width, overflow="ellipsis")
    return line


def _flow(pieces: Iterable[Sequence[Span]], width: int, between: str) -> list[Text]:
    """Pieces one after another, in as many lines as they need."""
    lines: list[Text] = []
    for spans in pieces:
        piece = _line(width, *spans)
        if lines and lines[-1].cell_len + len(between) + piece.cell_len <= width:
            lines[-1].append(between).append_text(piece)
        else:
            lines.append(piece)
    return lines


def _head(scene: Scene, width: int) -> list[Text]:
    stale = [_line(width, (scene.stale, "bold red"))] if scene.stale else []
    figures = [[(figure, "bold"), (f" {what}", "dim")] for figure, what, _ in telling.figures(scene)]
    return [
        _line(width, (f"Twin of {scene.stack}", "bold"), right=(f"{clock(scene.at)} · Ctrl-C ends", "dim")),
        *stale,
        *_flow(figures, width, "   "),
        *([_line(width, (scene.prices, "dim"))] if scene.prices else []),
        Text(),
    ]


def _waiting(scene: Scene, width: int, most: int) -> list[Text]:
    """most: lines for a reason."""
    lines = []
    for each in scene.waiting[:_REASONS]:
        told = joined(telling.who(each.owners), telling.how_long(each, scene.at))
        lines.append(_line(width, ("Waits: ", "bold"), (told, "")))
        why = textwrap.wrap(clean(telling.why(each)), max(1, width - 2), max_lines=most, placeholder="…")
        lines += [_line(width, (f"  {line}", "red" if each.hopeless else "dim")) for line in why]
    if len(scene.waiting) > _REASONS:
        lines.append(_line(width, (f"  and {len(scene.waiting) - _REASONS} more reasons", "dim")))
    return [*lines, Text()] if lines else []


def _feed(scene: Scene, width: int) -> list[Text]:
    if not scene.feed:
        return []
    lines = [Text(), _line(width, ("Events", "bold"))]
    for entry in scene.feed:
        style = "red" if entry.warning else ""
        told = f"  {telling.about(entry)}: {entry.message}"
        lines.append(_line(width, (f"{clock(entry.at)}  ", "dim"), (f"{entry.reason:<17}", style), (told, "dim")))
    return lines


# --- Pools ------------------------------------------------------------------------------------------------------------


def _pools(scene: Scene, width: int, room: int) -> list[Text]:
    """Each pool in the finest way for which there is room, the first ones first."""
    pools = [pool for pool in scene.pools if pool.nodes]
    ways = [_ways(pool, width, scene.at) for pool in pools]
    chosen = [min(way, key=len) for way in ways]
    titles = [_title(pool, width) for pool in pools]
    empty = _empty(scene, width)
    left = room - sum(map(len, (*chosen, *titles, empty)))
    for finer in (1, 2):
        for index, way in enumerate(ways):
            if finer < len(way) and (more := len(way[finer]) - len(chosen[index])) <= left:
                chosen[index] = way[finer]
                left -= more
    lines = [line for parts in zip(titles, chosen, strict=True) for part in parts for line in part] + empty
    if len(lines) <= room:
        return lines
    kept = max(0, room - 1)
    return [*lines[:kept], _line(width, (f"and {len(lines) - kept} more lines: a larger window shows them", "dim"))]


def _ways(pool: Pool, width: int, at: float) -> list[list[Text]]:
    """From the coarsest to the finest."""
    ways = [_sums(pool, width)]
    if not pool.crowded:
        ways.append([_node(node, width) for node in pool.nodes])
        if width >= _BOX:
            ways.append(_boxes(pool, width, at))
    return ways


def _title(pool: Pool, width: int) -> list[Text]:
    total = telling.pool_sum(pool)
    lines = [_line(width, (pool.title, "bold"), (f"  {pool.sharing}", "dim"), right=(total, "dim"))]
    if pool.problem:
        lines.append(_line(width, (f"  Not ready: {pool.problem}", "red")))
    return lines


def _empty(scene: Scene, width: int) -> list[Text]:
    empty = [pool for pool in scene.pools if not pool.nodes]
    lines = [line for pool in empty if pool.problem for line in _title(pool, width)]
    names = ", ".join(pool.title for pool in empty if not pool.problem)
    return [*lines, *([_line(width, (f"No nodes: {names}", "dim"))] if names else [])]


def _boxes(pool: Pool, width: int, at: float) -> list[Text]:
    columns = max(1, (width + 1) // (_BOX + 1))
    each = (width - columns + 1) // columns
    lines = []
    for begin in range(0, len(pool.nodes), columns):
        row = [_box(node, each, at) for node in pool.nodes[begin : begin + columns]]
        height = max(map(len, row))
        for box in row:  # to the height of the tallest, above its lower edge
            box[-1:-1] = [_inside(Text(), each) for _ in range(height - len(box))]
        lines += [Text(" ", no_wrap=True).join(parts) for parts in zip(*row, strict=True)]
    return lines


def _box(node: Box, width: int, at: float) -> list[Text]:
    stage = f"{SIGNS[node.stage]} {node.stage}"
    price = f"{dollars(node.usd_per_hour)}/h"
    style = _STAGES.get(node.stage, "yellow")
    words = [stage, price, node.capacity, node.gpu, node.zone, duration(at - node.since)]
    while len(joined(*words)) > width - 6:
        words.pop()
    return [
        _edge("╭╮", joined(node.name, node.instance_type), "bold", width),
        *(_inside(line, width) for line in _slots(node, width - 4)),
        _edge("╰╯", joined(*words), style, width),
    ]


def _edge(corners: str, words: str, style: str, width: int) -> Text:
    line = _line(width - 1, (f"{corners[0]}─ ", "dim"), (f"{words} ", style))
    line.append("─" * (width - 1 - line.cell_len) + corners[1], "dim")
    return line


def _inside(content: Text, width: int) -> Text:
    line = Text(no_wrap=True).append("│ ", "dim").append_text(content)
    line.pad_right(width - 2 - line.cell_len)
    return line.append(" │", "dim")


def _slots(node: Box, width: int) -> list[Text]:
    if node.bars:
        return [line for bar in node.bars for line in _bar(bar, width)]
    if not node.slots:
        return [_line(width, (_others(node), "dim"))]
    signs = zip(_signs(node), node.slots, strict=True)
    named = ([sign, (f" {telling.slot(slot)}", "" if slot.owner else "dim")] for sign, slot in signs)
    lines = _flow(named, width, "  ")
    if len(lines) <= _SLOT_LINES:
        return lines
    return [*_flow(([sign] for sign in _signs(node)), width, ""), _line(width, (_held(node), "dim"))]


def _bar(bar: Bar, width: int) -> list[Text]:
    """A GPU as wide as there is room, each claim its part of it; below it who has how much."""
    named = [
        [(SIGNS[part.state], _colour(part)), (f" {telling.slot(part)}", "" if part.owner else "dim")]
        for part in bar.parts
    ]
    names = _flow(named, width, "  ")
    rest = len(names) - _SLOT_LINES
    if rest > 0:
        names = [*names[: _SLOT_LINES - 1], _line(width, (f"and {rest + 1} more lines", "dim"))]
    return [_line(width, *_segments(bar, width)), *names]


def _segments(bar: Bar, width: int) -> list[Span]:
    """One sign for each so many MiB; each claim has one at least, and all together are as wide as the GPU."""
    spans, at, given = list[Span](), 0, 0
    for part in bar.parts:
        at += part.mib
        signs = max(round(at * width / bar.mib) - given, 1 if part.owner else 0)
        given += signs
        spans.append((_FILL.get(part.state, "·") * signs, _colour(part)))
    return spans


def _colour(part: Slot) -> str:
    return _OWNERS[part.colour] if part.owner else "dim"


def _signs(node: Box) -> list[Span]:
    if node.bars:
        return [span for bar in node.bars for span in _segments(bar, _SMALL_BAR)]
    return [(SIGNS[slot.state], _OWNERS[slot.colour] if slot.owner else "dim") for slot in node.slots]


def _held(node: Box) -> str:
    return telling.who(Pool(title="", nodes=(node,)).owners)


def _others(node: Box) -> str:
    return ", ".join(node.others) or ("DaemonSets only" if node.daemon_pods else "empty")


def _node(node: Box, width: int) -> Text:
    sign = (f"{SIGNS[node.stage]} ", _STAGES.get(node.stage, "yellow"))
    kind = (f"{node.name}  {joined(node.instance_type, node.capacity)}  ", "")
    who = f" {_held(node)}" if node.slots or node.bars else _others(node)
    return _line(width, sign, kind, *_signs(node), (who, "dim"), right=(f"{dollars(node.usd_per_hour)}/h", "dim"))


def _sums(pool: Pool, width: int) -> list[Text]:
    lines = []
    for each in pool.sums:
        kind, told = telling.group(each)
        sign = (f"{SIGNS[each.stage]} ", _STAGES.get(each.stage, "yellow"))
        lines.append(_line(width, sign, (f"{kind}: ", ""), (told, "dim")))
    if pool.owners:
        lines.append(_line(width, (f"  {telling.who(pool.owners, 8)}", "dim")))
    return lines
