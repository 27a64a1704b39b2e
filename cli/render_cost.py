"""What is between two bills: for a terminal, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.console import hanging, heading, printable
from cli.tables import table
from config.errors import counted
from gpu.bill import Line, Spread
from plan.cost.diff import Row, StackDiff, ceiling_of, total_of, usd_of
from plan.cost.reasons import Reason
from plan.cost.revision import Bill, Unplannable

#: Reasons of one kind that are shown; JSON has all.
_SHOWN = 20
_FIGURES = ("low", "expected", "high")


def sum_of_changes(diffs: Sequence[StackDiff]) -> Spread | None:
    """What all stacks cost more, USD a month; None where it is not known of one."""
    found = [diff.change for diff in diffs]
    known = [change for change in found if change is not None]
    return sum(known, Spread.even(0.0)) if len(known) == len(found) else None


def usd(amount: float) -> str:
    """An amount with its sign: `+12.50`, `-3.00`, `0.00`."""
    rounded = round(amount, 2)
    return f"{rounded:+,.2f}" if rounded else "0.00"


def _plain(amount: float) -> str:
    return f"{amount:,.2f}"


def _change(spread: Spread | None) -> str:
    return "not known" if spread is None else usd(spread.expected)


def _a_month(spread: Spread | None) -> str:
    return "not known" if spread is None else f"{_change(spread)} USD a month"


# --- What is said of a stack, in any form -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row of the table: what, from, to, change."""

    name: str
    detail: str
    before: str
    after: str
    change: str


def _cells(row: Row) -> _Cells:
    return _Cells(f"{row.name} ({row.part})", row.detail, _side(row.before), _side(row.after), _change(row.change))


def _side(line: Line | None) -> str:
    if line is None:
        return "-"
    spread = usd_of(line)
    return "no price" if spread is None else _plain(spread.expected)


def _totals(diff: StackDiff) -> Iterator[_Cells]:
    before, after = total_of(diff.before), total_of(diff.after)
    for figure in _FIGURES:
        both = [None if spread is None else float(getattr(spread, figure)) for spread in (before, after)]
        yield _sum(f"total, {figure}", *both)
    yield _sum("ceiling", ceiling_of(diff.before), ceiling_of(diff.after))


def _sum(name: str, was: float | None, becomes: float | None) -> _Cells:
    first, second = ("not known" if amount is None else _plain(amount) for amount in (was, becomes))
    change = "not known" if was is None or becomes is None else usd(becomes - was)
    return _Cells(name, "", first, second, change)


def _title(diff: StackDiff) -> str:
    if diff.before is None and diff.after is None:
        return "nothing changes"
    said = "cannot be told" if diff.failures else _a_month(diff.change)
    if not diff.existed:
        return f"{said}, a new stack"
    return said if diff.exists else f"{said}, no such stack any more"


def _why(diff: StackDiff) -> Iterator[tuple[str, list[tuple[str, str | None, str | None]]]]:
    """Kinds of reasons, each with what differs, from what and to what."""
    kinds: list[tuple[str, Sequence[Reason]]] = [
        (f"Pulumi.{diff.stack}.yaml", diff.configuration if diff.existed and diff.exists else ()),
        ("versions.py", diff.versions),
        ("files of the program and prices", diff.files),
    ]
    for kind, reasons in kinds:
        if reasons:
            yield kind, [(reason.what, reason.before, reason.after) for reason in reasons]


def _failures(diff: StackDiff, before: str, after: str) -> Iterator[tuple[str, str]]:
    for name, side in ((before, diff.before), (after, diff.after)):
        if isinstance(side, Unplannable):
            yield name, side.message


# --- Text -------------------------------------------------------------------------------------------------------------


def print_diffs(console: Console, before: str, after: str, diffs: Sequence[StackDiff]) -> None:
    """Print what each stack costs more, and why."""
    console.print(f"What it costs more, USD a month: from {before} to {after}.", markup=False)
    for diff in diffs:
        heading(console, f"{diff.stack}: {_title(diff)}")
        _print_diff(console, diff, before, after)
    if len(diffs) > 1:
        heading(console, f"All stacks: {_a_month(sum_of_changes(diffs))}")


def _print_diff(console: Console, diff: StackDiff, before: str, after: str) -> None:
    for name, message in _failures(diff, before, after):
        hanging(console, "- ", printable(f"no plan of it at {name}: {message}"))
    if isinstance(diff.before, Bill) and isinstance(diff.after, Bill):
        console.print(_table(diff))
    for kind, reasons in _why(diff):
        hanging(console, "- ", f"{kind}:")
        for what, first, second in reasons[:_SHOWN]:
            said = "" if first is None and second is None else f": {first or '-'} → {second or '-'}"
            hanging(console, "    ", printable(f"{what}{said}"))
        if len(reasons) > _SHOWN:
            hanging(console, "    ", f"and {len(reasons) - _SHOWN} more")
    for note in diff.notes:
        hanging(console, "- ", printable(note))


def _table(diff: StackDiff) -> Table:
    shown = table("item", "what", "from", "to", "change", texts=2)
    for row in diff.rows:
        cells = _cells(row)
        shown.add_row(cells.name, cells.detail, cells.before, cells.after, cells.change)
    shown.add_section()
    for cells in _totals(diff):
        shown.add_row(cells.name, cells.detail, cells.before, cells.after, cells.change, style="bold")
    return shown


# --- Markdown ---------------------------------------------------------------------------------------------------------


def as_markdown(before: str, after: str, diffs: Sequence[StackDiff]) -> str:
    """A comment for a pull request. Nothing of a stack file becomes a link, a mention or markup in it."""
    lines = []
    for diff in diffs:
        lines += [f"### Cost of {_code(diff.stack)}: {_title(diff)}", ""]
        if diff.before is None and diff.after is None:
            continue
        lines += [f"From {_code(before)} to {_code(after)}, USD a month.", ""]
        lines += [f"- no plan of it at {_code(name)}: {_code(said)}" for name, said in _failures(diff, before, after)]
        if isinstance(diff.before, Bill) and isinstance(diff.after, Bill):
            lines += ["| item | what | from | to | change |", "|---|---|---:|---:|---:|"]
            lines += [_markdown_row(_cells(row)) for row in diff.rows]
            lines += [_markdown_row(cells, "**") for cells in _totals(diff)]
            lines.append("")
        lines += _markdown_why(diff)
        lines += [f"- {_text(note)}" for note in diff.notes]
        lines.append("")
    if len(diffs) > 1:
        lines.append(f"**All stacks: {_a_month(sum_of_changes(diffs))}**")
    return "\n".join(lines).rstrip()


def _markdown_row(cells: _Cells, bold: str = "") -> str:
    amounts = (cells.before, cells.after, cells.change)
    return "| " + " | ".join([f"{bold}{_text(cells.name)}{bold}", _text(cells.detail), *amounts]) + " |"


def _markdown_why(diff: StackDiff) -> Iterator[str]:
    for kind, reasons in _why(diff):
        yield f"- {_code(kind)}: {counted(len(reasons), 'change')}"
        for what, first, second in reasons[:_SHOWN]:
            sides = "" if first is None and second is None else f": {_value(first)} → {_value(second)}"
            yield f"  - {_code(what)}{sides}"
        if len(reasons) > _SHOWN:
            yield f"  - and {len(reasons) - _SHOWN} more"


def _value(text: str | None) -> str:
    return "nothing" if text is None else _code(text)


def _code(text: str) -> str:
    """Text between backticks, which it cannot leave."""
    return f"`{' '.join(text.replace('`', chr(39)).replace('|', '¦').split()) or ' '}`"


def _text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|@#])", r"\\\1", " ".join(text.split()))


# --- JSON -------------------------------------------------------------------------------------------------------------


def as_json(before: str, after: str, diffs: Sequence[StackDiff], limit: float | None) -> str:
    """For machines; docs/costs.md describes it."""
    change = sum_of_changes(diffs)
    document = {
        "schemaVersion": 1,
        "from": before,
        "to": after,
        "changeUsdPerMonth": _json_spread(change),
        "limitUsdPerMonth": limit,
        "stacks": [_json_stack(diff) for diff in diffs],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _json_stack(diff: StackDiff) -> dict[str, Any]:
    return {
        "stack": diff.stack,
        "changeUsdPerMonth": _json_spread(diff.change),
        "from": _json_side(diff.before, there=diff.existed),
        "to": _json_side(diff.after, there=diff.exists),
        "lines": [
            {
                "part": row.part,
                "name": row.name,
                "detail": row.detail,
                "fromUsdPerMonth": _json_spread(usd_of(row.before)),
                "toUsdPerMonth": _json_spread(usd_of(row.after)),
                "changeUsdPerMonth": _json_spread(row.change),
            }
            for row in diff.rows
        ],
        "why": {
            "configuration": [_json_reason(reason) for reason in diff.configuration],
            "versions": [_json_reason(reason) for reason in diff.versions],
            "files": [reason.what for reason in diff.files],
        },
        "notes": list(diff.notes),
    }


def _json_side(side: Bill | Unplannable | None, *, there: bool) -> dict[str, Any]:
    error = side.message if isinstance(side, Unplannable) else None
    ceiling = ceiling_of(side)
    return {
        "exists": there,
        "usdPerMonth": _json_spread(total_of(side)),
        "ceilingUsdPerMonth": None if ceiling is None else round(ceiling, 2),
        "error": error,
    }


def _json_reason(reason: Reason) -> dict[str, Any]:
    return {"key": reason.what, "from": reason.before, "to": reason.after}


def _json_spread(spread: Spread | None) -> dict[str, float] | None:
    if spread is None:
        return None
    low, expected, high = (round(amount, 2) for amount in (spread.low, spread.expected, spread.high))
    return {"lowUsd": low, "expectedUsd": expected, "highUsd": high}
