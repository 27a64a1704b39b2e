"""Between conversations and the store: what is saved when, who holds what, and what happens where saving fails.

A conversation is saved before anybody sees that one of its turns is over, so that a turn that was seen to end is there
after any crash. A turn that is half said is saved where the service is told to end, and goes on elsewhere; after a
crash it is said again. Where the store fails, conversations go on in memory, and what is missing is saved once it can.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from dialogue.conversation import Conversation
from dialogue.settings import Settings, Speaker
from dialogue.sqlite import SqliteStore
from dialogue.store import HeldError, Row, Store, StoreError

_log = logging.getLogger(__name__)
Clock = Callable[[], float]
_T = TypeVar("_T")


class Keeper:
    """The store as one process uses it; without one, everything stays in memory."""

    def __init__(self, settings: Settings, tell: Callable[[str], None], clock: Clock = time.time) -> None:
        """tell: called with what is wrong with the store, and with nothing once it is right again."""
        self._settings = settings
        self._limits = settings.limits
        self._store = _store(settings)
        self._me = secrets.token_hex(8)
        self._tell = tell
        self._clock = clock
        self._identity: object = None
        self.problem = ""

    @property
    def kept(self) -> bool:
        """Whether conversations are kept outside the process."""
        return self._store is not None

    def close(self) -> None:
        """Close the store."""
        if self._store:
            self._store.close()

    def save(self, conversation: Conversation) -> None:
        """Write what is new. Where somebody else holds the conversation, it is `lost` to this process."""
        if self._store is None:
            return
        try:
            self._try(self._store, conversation)
        except StoreError as error:
            self._failed(error)

    def load(self, identifier: str, make: Callable[[Mapping[str, Any], str], Conversation]) -> Conversation | None:
        """A conversation out of the store. make: makes one of what its first entry says, and its owner."""
        row = self._ask(lambda store: store.row(identifier))
        pieces = self._ask(lambda store: store.pieces(identifier)) if row else None
        if not row or not pieces:
            return None
        conversation = make(_facts(pieces[0].entries[0]), row.owner)
        conversation.replay(pieces, row.ran)
        self._note(conversation, row)
        return conversation

    def refresh(self, conversation: Conversation) -> None:
        """Read what others have written to a conversation that does not run here."""
        if conversation.log.last != conversation.kept:
            return  # what is here is newer, and could not be saved
        row = self._ask(lambda store: store.row(conversation.id))
        if row is None:
            return
        if row.last > conversation.kept:
            pieces = self._ask(lambda store: store.pieces(conversation.id, conversation.kept))
            conversation.replay(pieces or [], row.ran)
        self._note(conversation, row)

    def claim(self, conversation: Conversation) -> bool:
        """Take hold of a conversation, and go on from what is kept of it; False where another process holds it."""
        now = self._clock()
        until = now + self._limits.lease_seconds
        taken = self._ask(lambda store: store.claim(conversation.id, self._me, until, now))
        if taken is False:
            conversation.elsewhere = True
            return False
        self.refresh(conversation)
        conversation.take_over()
        return True

    def interrupted(self) -> list[str]:
        """Ids of conversations that ran a moment ago, and that nobody holds."""
        now = self._clock()
        return self._ask(lambda store: store.interrupted(now - self._limits.unwatched_seconds, now)) or []

    def renew(self) -> None:
        """Say that this process is still there."""
        until = self._clock() + self._limits.lease_seconds
        self._ask(lambda store: store.renew(self._me, until))

    def check(self, conversations: Iterable[Conversation]) -> None:
        """Save what could not be saved, once it can be; and all of it where the store is another one than before."""
        if self._store is None:
            return
        before, self._identity = self._identity, self._store.identity
        if not self.problem and self._identity == before:
            return
        try:
            self._store.probe()
            for conversation in conversations:
                if not conversation.elsewhere:
                    self._try(self._store, conversation)
        except StoreError as error:
            self._failed(error)
        else:
            self._works()

    def forget_old(self, spared: Collection[str]) -> list[str]:
        """Delete what is older than may be kept; gives the ids."""
        now = self._clock()
        return self._ask(lambda store: store.delete(now - self._limits.keep_seconds, now, spared)) or []

    def rows(self, owner: str) -> list[Row]:
        """What is kept of somebody; one that nobody holds is not running."""
        now = self._clock()
        rows = self._ask(lambda store: store.rows(owner)) or []
        dead = {row.id for row in rows if row.state == "running" and not row.held(now)}
        return [row._replace(state="stopped", reason="shutdown") if row.id in dead else row for row in rows]

    def _try(self, store: Store, conversation: Conversation) -> None:
        if conversation.lost:
            return
        try:
            self._write(store, conversation)
        except HeldError:
            _log.warning("a conversation of %s goes on in another process", conversation.owner)
            conversation.lose()

    def _write(self, store: Store, conversation: Conversation) -> None:
        now, running = self._clock(), conversation.state == "running"
        row = Row(
            conversation.id,
            conversation.owner,
            {"topic": conversation.topic, "began": conversation.began.isoformat(timespec="seconds")},
            conversation.state,
            conversation.reason,
            sum(turn.complete for turn in conversation.turns),
            conversation.ran,
            now,
            conversation.log.last,
            self._me if running else None,
            now + self._limits.lease_seconds if running else 0,
        )
        try:
            store.save(row, conversation.log.after(conversation.kept), conversation.kept, self._me, now)
        except KeyError:  # another file than before: all of it once more
            store.save(row, conversation.log.after(0), 0, self._me, now)
        conversation.kept = row.last

    def _note(self, conversation: Conversation, row: Row) -> None:
        conversation.kept = conversation.log.last
        conversation.elsewhere = row.held(self._clock()) and row.holder != self._me

    def _ask(self, question: Callable[[Store], _T]) -> _T | None:
        if self._store is None:
            return None
        try:
            answer = question(self._store)
        except StoreError as error:
            self._failed(error)
            return None
        return answer

    def _failed(self, error: StoreError) -> None:
        before, self.problem = self.problem, str(error)
        if before != self.problem:
            _log.error("conversations cannot be kept: %s; they go on in memory", error)
        if not before:
            self._tell(self.problem)

    def _works(self) -> None:
        if self.problem:
            self.problem = ""
            _log.warning("conversations are kept again")
            self._tell("")


def _store(settings: Settings) -> Store | None:
    if settings.store_table:
        from dialogue.dynamodb import DynamoStore  # noqa: PLC0415  # half a second of AWS' SDK

        return DynamoStore(settings.store_table)
    return SqliteStore(settings.store) if settings.store else None


def speakers(public: Iterable[Mapping[str, Any]], settings: Settings) -> list[Speaker]:
    """The speakers of a conversation that was kept: today's addresses, and the personas of then.

    One that the settings do not have any more has no address: the conversation can be read, and not go on.
    """
    found = []
    for each in public:
        then = {key: each[key] for key in ("name", "model", "persona", "guest")}
        known = settings.speaker(each["name"])
        found.append(
            known.model_copy(update={"persona": then["persona"]}) if known else Speaker.model_construct(**then)
        )
    return found


def _facts(entry: Any) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = entry[1]
    return facts
