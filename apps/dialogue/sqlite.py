"""Conversations outside the process: one SQLite file, on a volume that outlives the pod.

Every write is one transaction that first asks who holds the conversation.

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
from typing import Any

from typing_extensions import override

from dialogue.log import Piece
from dialogue.store import HeldError, Row, Store, StoreError, entry

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


class SqliteStore(Store):
    """The file: a `dialogue.store.Store`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.identity = 0  # inode of the file; 0 before it is opened

    @override
    def close(self) -> None:
        if self._database:
            self._database.close()
        self._database = None

    @override
    def save(self, row: Row, pieces: Sequence[Piece], after: int, writer: str, now: float) -> None:
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

    @override
    def claim(self, identifier: str, holder: str, until: float, now: float) -> bool:
        with self._transaction() as database:
            taken = database.execute(
                "UPDATE conversations SET holder = ?, until = ? "
                "WHERE id = ? AND (holder IS NULL OR holder = ? OR until <= ?)",
                (holder, until, identifier, holder, now),
            )
            return taken.rowcount == 1

    @override
    def renew(self, holder: str, until: float) -> None:
        with self._transaction() as database:
            database.execute("UPDATE conversations SET until = ? WHERE holder = ?", (until, holder))

    @override
    def interrupted(self, since: float, now: float) -> list[str]:
        with self._transaction("DEFERRED") as database:
            found = database.execute(
                "SELECT id FROM conversations WHERE (state = 'running' AND until > ? AND until <= ?) "
                "OR (state = 'stopped' AND reason = 'shutdown' AND changed > ?)",
                (since, now, since),
            )
            return [identifier for (identifier,) in found]

    @override
    def probe(self) -> None:
        with self._transaction() as database:
            database.execute("PRAGMA user_version = 1")

    @override
    def row(self, identifier: str) -> Row | None:
        with self._transaction("DEFERRED") as database:
            return _row(database, identifier)

    @override
    def rows(self, owner: str) -> list[Row]:
        with self._transaction("DEFERRED") as database:
            found = database.execute("SELECT * FROM conversations WHERE owner = ? ORDER BY changed DESC", (owner,))
            return [_read(values) for values in found]

    @override
    def pieces(self, identifier: str, after: int = 0) -> list[Piece]:
        with self._transaction("DEFERRED") as database:
            found = database.execute(
                "SELECT position, entries FROM pieces WHERE id = ? AND position > ? ORDER BY position",
                (identifier, after),
            )
            return [Piece(position, [entry(each) for each in json.loads(entries)]) for position, entries in found]

    @override
    def delete(self, before: float, now: float, spared: Collection[str] = ()) -> list[str]:
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
        if self._database and self._path.stat().st_ino != self.identity:
            self.close()
        if not self._database:
            database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                for setting in ("journal_mode = TRUNCATE", "synchronous = FULL", "secure_delete = ON"):
                    database.execute(f"PRAGMA {setting}")
                database.executescript(_SCHEMA)
                self.identity = self._path.stat().st_ino
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
