"""What a store of conversations can do: `sqlite.py` keeps them in a file, `dynamodb.py` in a table.

What is kept is a conversation's log, as watchers read it, in pieces that are only ever added to, and a row that says
whose it is and who holds it. Every write first asks who holds the conversation: a process whose lease has run out, and
who was replaced, writes nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from dialogue.log import Entry, Piece


class StoreError(Exception):
    """The store cannot be read or written; the message says why."""


class HeldError(Exception):
    """Another process holds the conversation, or has gone on with it."""


class Row(NamedTuple):
    """What is known of a conversation beside its log. Times in seconds since 1970; `ran` in seconds."""

    id: str
    owner: str
    facts: dict[str, Any]
    """Topic and beginning."""
    state: str
    reason: str
    complete: int
    """Turns that are said to their end."""
    ran: float
    changed: float
    last: int
    """Position of the last entry that is kept."""
    holder: str | None = None
    until: float = 0.0
    """When the holder's lease ends."""

    def held(self, now: float) -> bool:
        """Whether somebody holds it."""
        return self.holder is not None and self.until > now


class Store(Protocol):
    """Where conversations are kept. It is opened when it is needed, and again after a failure.

    Times are in seconds since 1970. Everything but `close` raises `StoreError` where the store cannot be read or
    written.
    """

    identity: object = None
    """What tells this store from another that has come in its place: what was kept must be written to it again."""

    def close(self) -> None:
        """Let go of it."""

    def save(self, row: Row, pieces: Sequence[Piece], after: int, writer: str, now: float) -> None:
        """Add pieces behind the entry at `after`, and write the row.

        Raises `HeldError` where another than the writer holds the conversation or somebody has added to it, and
        `KeyError` where it is to go on but is not there.
        """

    def claim(self, identifier: str, holder: str, until: float, now: float) -> bool:
        """Take hold of a conversation that nobody else holds; False where somebody does."""

    def renew(self, holder: str, until: float) -> None:
        """Hold for longer what the holder holds."""

    def interrupted(self, since: float, now: float) -> list[str]:
        """Ids of what ran at some time since then, and would still, had its process not ended."""

    def probe(self) -> None:
        """Write something."""

    def row(self, identifier: str) -> Row | None:
        """The row of a conversation."""

    def rows(self, owner: str) -> list[Row]:
        """The rows of an owner, newest change first."""

    def pieces(self, identifier: str, after: int = 0) -> list[Piece]:
        """What was said behind the entry at `after`, in order."""

    def delete(self, before: float, now: float, spared: Collection[str] = ()) -> list[str]:
        """Delete what has not changed since `before`, nobody holds and is not spared; gives the ids."""


def entry(value: Any) -> Entry:
    """An entry of a log, out of JSON."""
    return value if isinstance(value, str) else (value[0], value[1])
