"""The record of a conversation: a list that only grows. Whoever watches holds a position in it and no buffer.

A slow watcher holds nobody up and costs no memory: when it comes round, it reads what is new, with the tokens of a turn
joined. The position of an entry is its event id, so that a watcher that comes back goes on where it was. What bounds
the list are the limits on a conversation's tokens and turns.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, NamedTuple

#: One reading gives about so many characters of tokens, and so many events, at most.
BATCH_CHARS = 16_384
BATCH_EVENTS = 256


class Event(NamedTuple):
    """One entry: `position` counts from 1."""

    position: int
    kind: str
    data: dict[str, Any]


class Log:
    """Entries of one conversation, for any number of watchers on one event loop."""

    def __init__(self) -> None:
        self._entries: list[str | tuple[str, dict[str, Any]]] = []
        self._turns: list[int] = []
        self._changed = asyncio.Event()
        self.closed = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, kind: str, **data: Any) -> None:
        """Add an event. Kind `turn` begins a turn: the tokens after it belong to it."""
        if kind == "turn":
            self._turns.append(len(self._entries))
        self._entries.append((kind, data))
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
        index = min(max(position, 0), len(self._entries))
        chars = 0
        while index < len(self._entries) and chars < BATCH_CHARS and len(events) < BATCH_EVENTS:
            entry = self._entries[index]
            index += 1
            if not isinstance(entry, str):
                events.append(Event(index, *entry))
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
            events.append(Event(index, "token", {"turn": turn, "text": "".join(text), "tokens": len(text)}))
        return events

    async def wait(self, position: int) -> None:
        """Return once there is something after the position, or the log is closed."""
        while len(self._entries) <= position and not self.closed:
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
