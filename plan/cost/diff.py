"""What is between two bills of a stack: lines that differ, and why they do. All sums are USD a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from gpu.bill import Line, Part, Spread
from plan.cost.reasons import Reason, of_configuration, of_versions
from plan.cost.revision import Bill, Revision, Unplannable, bills

VERSIONS: Final = "versions.py"
PARTS: Final[tuple[Part, ...]] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the bill that differs; one that is not there has no detail and costs nothing."""

    part: Part
    name: str
    before: Line | None
    after: Line | None

    @property
    def detail(self) -> str:
        """What it is about: of both where they differ."""
        said = list(dict.fromkeys(line.detail for line in (self.before, self.after) if line))
        return " → ".join(said)

    @property
    def change(self) -> Spread | None:
        """What it costs more; None where a price is not known."""
        return _between(usd_of(self.before), usd_of(self.after))


def usd_of(line: Line | None) -> Spread | None:
    """A line's sum; nothing is paid for one that is not there."""
    return line.usd if line else Spread.even(0.0)


@dataclass(frozen=True, kw_only=True)
class StackDiff:
    """A stack at two revisions.

    before, after: None where nothing differs that a bill depends on, so that none was made.
    """

    stack: str
    before: Bill | Unplannable | None = None
    after: Bill | Unplannable | None = None
    existed: bool
    exists: bool
    rows: tuple[Row, ...] = ()
    configuration: tuple[Reason, ...] = ()
    versions: tuple[Reason, ...] = ()
    files: tuple[Reason, ...] = ()
    """Other files of the program that differ."""

    @property
    def change(self) -> Spread | None:
        """What the stack costs more; None where one of the two bills is not known."""
        if self.before is None and self.after is None:
            return Spread.even(0.0)
        return _between(total_of(self.before), total_of(self.after))

    @property
    def failures(self) -> tuple[Unplannable, ...]:
        """What a plan says at revisions where there is none."""
        return tuple(side for side in (self.before, self.after) if isinstance(side, Unplannable))

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known to read it."""
        known = [bill for bill in (self.before, self.after) if isinstance(bill, Bill)]
        found = [note for bill in known for note in bill.notes]
        days = list(dict.fromkeys(bill.prices for bill in known if bill.lines))
        if len(days) == 2:
            found.append(f"prices differ in their day: {_days(days[0])} before, {_days(days[1])} after")
        return tuple(dict.fromkeys(found))


def total_of(side: Bill | Unplannable | None) -> Spread | None:
    """The sum of a bill; None where it is not known."""
    return side.total if isinstance(side, Bill) else None


def ceiling_of(side: Bill | Unplannable | None) -> float | None:
    """The most that a stack can cost in a month, in USD; None where it is not known."""
    return side.ceiling if isinstance(side, Bill) else None


def _days(prices: tuple[str | None, str | None]) -> str:
    nodes, services = prices
    return f"nodes {nodes or 'not known'}, services {services or 'not known'}"


def _between(before: Spread | None, after: Spread | None) -> Spread | None:
    return None if before is None or after is None else after - before


def stack_diff(stack: str, before: Revision, after: Revision, files: Sequence[str]) -> StackDiff:
    """What a stack's bill is at each revision. files: those of the program that differ (`changed_files`).

    Raises InputError where a stack file cannot be read.
    """
    was, becomes = before.stack_file(stack), after.stack_file(stack)
    found = StackDiff(
        stack=stack,
        existed=was is not None,
        exists=becomes is not None,
        configuration=tuple(of_configuration(was.values if was else {}, becomes.values if becomes else {})),
        versions=tuple(of_versions(before.text(VERSIONS), after.text(VERSIONS))),
        files=tuple(Reason(path) for path in files if path != VERSIONS),
    )
    if not found.configuration and not files:
        return found  # the same program with the same configuration: its plan says the same
    first, second = bills(stack, [before, after])
    rows = compared(first, second) if isinstance(first, Bill) and isinstance(second, Bill) else ()
    return replace(found, before=first, after=second, rows=tuple(rows))


def compared(before: Bill, after: Bill) -> list[Row]:
    """Lines that differ, in the order of the bill; those that are gone come last in their part."""
    was, becomes = _by_name(before.lines), _by_name(after.lines)
    rows = [Row(*key, was.get(key), becomes.get(key)) for key in dict.fromkeys([*becomes, *was])]
    return sorted((row for row in rows if row.before != row.after), key=lambda row: PARTS.index(row.part))


def _by_name(lines: Sequence[Line]) -> dict[tuple[Part, str], Line]:
    return {(line.part, line.name): line for line in lines}
