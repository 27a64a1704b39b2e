"""The record of a conversation: a list that only grows. Whoever watches holds a position in it and no buffer.

A slow watcher holds nobody up and costs no memory: when it comes round, it reads what is new, with the tokens of a turn
joined. The position of an entry is its event id, so that a watcher that comes back goes on where it was. What bounds
the list are the limits on a conversation's tokens and turns.

Positions have gaps where a process has gone on with what another one kept: what that one had shown beyond it counts
as unsaid, and no position is ever used for two things.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

#: One reading gives about so many characters of tokens, and so many events, at most.
BATCH_CHARS = 16_384
BATCH_EVENTS = 256
#: Positions left free for what another process may have shown after its last writing: more than a conversation has.
GAP = 1_000_000

Entry = str | tuple[str, dict[str, Any]]


class Piece(NamedTuple):
    """Entries that follow one another; `position` is that of the first."""

    position: int
    entries: Sequence[Entry]


class Event(NamedTuple):
    """One entry: `position` counts from 1."""

    position: int
    kind: str
    data: dict[str, Any]


class Log:
    """Entries of one conversation, for any number of watchers on one event loop."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._turns: list[int] = []
        #: Where positions begin to run on: indices of entries, and the position of each of them.
        self._indices = [0]
        self._positions = [1]
        self._changed = asyncio.Event()
        self.closed = False

    @property
    def last(self) -> int:
        """Position of the last entry; 0 if there is none."""
        return self._position(len(self._entries) - 1) if self._entries else 0

    def extend(self, pieces: Sequence[Piece]) -> None:
        """Add what another process has written."""
        for position, entries in pieces:
            self._jump(position)
            for entry in entries:
                self._append(entry)
        self._notify()

    def skip(self) -> None:
        """Leave the positions free that another process may have used."""
        self._jump(self.last + GAP)

    def after(self, position: int) -> list[Piece]:
        """All entries after the position, as they are."""
        first = self._index(position)
        starts = [first, *(index for index in self._indices if index > first)]
        ends = [*starts[1:], len(self._entries)]
        return [Piece(self._position(one), self._entries[one:end]) for one, end in zip(starts, ends, strict=True)]

    def cut(self, position: int) -> None:
        """Take back what comes after the position, and has not been read yet."""
        del self._entries[self._index(position) :]

    def add(self, kind: str, **data: Any) -> None:
        """Add an event. Kind `turn` begins a turn: the tokens after it belong to it."""
        self._append((kind, data))
        self._notify()

    def add_text(self, text: str) -> None:
        """Add a token to the turn that began last."""
        self._entries.append(text)
        self._notify()

    def close(self) -> None:
        """End every watcher's wait, now and later."""
        self.closed = True
        self._notify()

    def read(self, position: int) -> list[Event]:
        """The next events after the position; tokens that follow one another are one event, with the id of the last."""
        events: list[Event] = []
        index = self._index(position)
        chars = 0
        while index < len(self._entries) and chars < BATCH_CHARS and len(events) < BATCH_EVENTS:
            entry = self._entries[index]
            index += 1
            if not isinstance(entry, str):
                events.append(Event(self._position(index - 1), *entry))
                continue
            turn = bisect_right(self._turns, index - 1)
            text = [entry]
            chars += len(entry)
            while index < len(self._entries) and chars < BATCH_CHARS:
                entry = self._entries[index]
                if not isinstance(entry, str):
                    break
                text.append(entry)
                chars += len(entry)
                index += 1
            events.append(
                Event(self._position(index - 1), "token", {"turn": turn, "text": "".join(text), "tokens": len(text)})
            )
        return events

    async def wait(self, position: int) -> None:
        """Return once there is something after the position, or the log is closed."""
        while self.last <= position and not self.closed:
            await self._changed.wait()

    def _append(self, entry: Entry) -> None:
        if not isinstance(entry, str) and entry[0] == "turn":
            self._turns.append(len(self._entries))
        self._entries.append(entry)

    def _jump(self, position: int) -> None:
        if position != self._position(len(self._entries)):
            self._indices.append(len(self._entries))
            self._positions.append(position)

    def _position(self, index: int) -> int:
        start = bisect_right(self._indices, index) - 1
        return self._positions[start] + index - self._indices[start]

    def _index(self, position: int) -> int:
        """Index of the first entry after the position."""
        start = bisect_right(self._positions, position) - 1
        if start < 0:
            return 0
        end = self._indices[start + 1] if start + 1 < len(self._indices) else len(self._entries)
        return min(self._indices[start] + position - self._positions[start] + 1, end)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
