"""Conversations outside the process: one SQLite file, on a volume that outlives the pod.

What is kept is a conversation's log, as watchers read it, in pieces that are only ever added to, and a row that says
whose it is and who holds it. Every write is one transaction that first asks who holds the conversation: a process whose
lease has run out, and who was replaced, writes nothing any more.

Why a rollback journal and no WAL: there are few writes (one a turn), one file is all there is to keep, deleted text is
overwritten at once (`secure_delete`) instead of staying in a second file, and no memory is shared between processes, so
that any file system will do whose locks are kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dialogue.log import Entry, Piece

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, facts TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    complete INTEGER NOT NULL, ran REAL NOT NULL, changed REAL NOT NULL, last INTEGER NOT NULL,
    holder TEXT, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (
    id TEXT NOT NULL, position INTEGER NOT NULL, entries TEXT NOT NULL, PRIMARY KEY (id, position)
) WITHOUT ROWID;
"""
#: Seconds that a write waits for another process' one. Writes are made on the event loop: nobody may see what is not
#: kept yet.
_BUSY_SECONDS = 2.0


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


class Store:
    """The file. It is opened when it is needed, and again after a failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.file = 0
        """Which file it is (inode): 0 before it is opened."""

    def close(self) -> None:
        """Close the file."""
        if self._database:
            self._database.close()
        self._database = None

    def save(self, row: Row, pieces: Sequence[Piece], after: int, writer: str, now: float) -> None:
        """Add pieces behind the entry at `after`, and write the row.

        Raises `HeldError` where another than the writer holds the conversation or somebody has added to it, `KeyError`
        where it is to go on but is not there, and `StoreError`.
        """
        with self._transaction() as database:
            found = _row(database, row.id)
            if found is None and after:
                raise KeyError(row.id)
            if found and ((found.held(now) and found.holder != writer) or found.last != after):
                raise HeldError(row.id)
            database.executemany(
                "INSERT INTO pieces VALUES (?, ?, ?)",
                [(row.id, position, json.dumps(entries)) for position, entries in pieces if entries],
            )
            values = row._replace(facts=json.dumps(row.facts))  # type: ignore[arg-type]
            database.execute(f"INSERT OR REPLACE INTO conversations VALUES ({', '.join('?' * len(values))})", values)

    def claim(self, identifier: str, holder: str, until: float, now: float) -> bool:
        """Take hold of a conversation that nobody else holds; False where somebody does. Raises `StoreError`."""
        with self._transaction() as database:
            taken = database.execute(
                "UPDATE conversations SET holder = ?, until = ? "
                "WHERE id = ? AND (holder IS NULL OR holder = ? OR until <= ?)",
                (holder, until, identifier, holder, now),
            )
            return taken.rowcount == 1

    def renew(self, holder: str, until: float) -> None:
        """Hold for longer what the holder holds. Raises `StoreError`."""
        with self._transaction() as database:
            database.execute("UPDATE conversations SET until = ? WHERE holder = ?", (until, holder))

    def interrupted(self, since: float, now: float) -> list[str]:
        """Ids of what ran at some time since then, and would still, had its process not ended. Raises `StoreError`."""
        with self._transaction("DEFERRED") as database:
            found = database.execute(
                "SELECT id FROM conversations WHERE (state = 'running' AND until > ? AND until <= ?) "
                "OR (state = 'stopped' AND reason = 'shutdown' AND changed > ?)",
                (since, now, since),
            )
            return [identifier for (identifier,) in found]

    def probe(self) -> None:
        """Write something. Raises `StoreError`."""
        with self._transaction() as database:
            database.execute("PRAGMA user_version = 1")

    def row(self, identifier: str) -> Row | None:
        """The row of a conversation. Raises `StoreError`."""
        with self._transaction("DEFERRED") as database:
            return _row(database, identifier)

    def rows(self, owner: str | None = None) -> list[Row]:
        """The rows of an owner, or all, newest change first. Raises `StoreError`."""
        with self._transaction("DEFERRED") as database:
            found = database.execute(
                "SELECT * FROM conversations WHERE owner = ? OR ? IS NULL ORDER BY changed DESC", (owner, owner)
            )
            return [_read(values) for values in found]

    def pieces(self, identifier: str, after: int = 0) -> list[Piece]:
        """What was said behind the entry at `after`, in order. Raises `StoreError`."""
        with self._transaction("DEFERRED") as database:
            found = database.execute(
                "SELECT position, entries FROM pieces WHERE id = ? AND position > ? ORDER BY position",
                (identifier, after),
            )
            return [Piece(position, [_entry(each) for each in json.loads(entries)]) for position, entries in found]

    def delete(self, before: float, now: float, spared: Collection[str] = ()) -> list[str]:
        """Delete what has not changed since `before`, nobody holds and is not spared. Raises `StoreError`."""
        with self._transaction() as database:
            found = database.execute(
                "SELECT id FROM conversations WHERE changed < ? AND (holder IS NULL OR until <= ?)", (before, now)
            )
            old = [(identifier,) for (identifier,) in found if identifier not in spared]
            for table in ("pieces", "conversations"):
                database.executemany(f"DELETE FROM {table} WHERE id = ?", old)
            return [identifier for (identifier,) in old]

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises `StoreError`."""
        try:
            database = self._opened()
            database.execute(f"BEGIN {kind}")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"{self._path}: {error}") from error
        try:
            yield database
            database.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            self.close()  # rolls back
            raise StoreError(f"{self._path}: {error}") from error
        except BaseException:
            database.execute("ROLLBACK")
            raise

    def _opened(self) -> sqlite3.Connection:
        # A file that was removed or replaced could be written to for ever, and nobody would find it.
        if self._database and self._path.stat().st_ino != self.file:
            self.close()
        if not self._database:
            database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                for setting in ("journal_mode = TRUNCATE", "synchronous = FULL", "secure_delete = ON"):
                    database.execute(f"PRAGMA {setting}")
                database.executescript(_SCHEMA)
                self.file = self._path.stat().st_ino
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database


def _row(database: sqlite3.Connection, identifier: str) -> Row | None:
    found = database.execute("SELECT * FROM conversations WHERE id = ?", (identifier,)).fetchone()
    return _read(found) if found else None


def _read(values: Sequence[Any]) -> Row:
    row = Row(*values)
    return row._replace(facts=json.loads(row.facts))  # type: ignore[arg-type]


def _entry(value: Any) -> Entry:
    return value if isinstance(value, str) else (value[0], value[1])
