"""All conversations of the service: starts, stops, resumes, forgets, and keeps to the limits.

What runs, runs in one task group: nothing outlives the service. What is to outlive it, the keeper writes; a process
that holds a conversation runs it, all others show what is kept of it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Any, Self

from dialogue.conversation import Conversation
from dialogue.endpoint import Endpoint
from dialogue.keeper import Clock, Keeper, speakers
from dialogue.keys import FixedKeys
from dialogue.metrics import Metrics
from dialogue.settings import MOST_SPEAKERS, Settings, Speaker

_JANITOR_SECONDS = 5.0
_LOOK_SECONDS = 1.0
#: Retry-After where a key has all the streams that it may.
_WATCHER_SECONDS = 10


class RequestError(Exception):
    """A request that cannot be met: HTTP status, a code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class Hub:
    """The conversations. Open it with `async with hub.open()`."""

    def __init__(self, settings: Settings, clock: Clock = time.time) -> None:
        """clock: seconds since 1970, by which leases end and conversations are deleted."""
        self.settings = settings
        self.keeper = Keeper(settings, self._tell, clock)
        self.watchers = 0
        self.watchers_of: Counter[str] = Counter()
        """Open streams of each key."""
        self.keys: FixedKeys | None = None
        self.metrics = Metrics(self)
        self._limits = settings.limits
        self._endpoints: dict[str, Endpoint] = {}
        self._conversations: dict[str, Conversation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._closing = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Let conversations run; at the end stop them all and end every watcher's stream."""
        self._endpoints = {speaker.name: Endpoint(speaker, self._limits) for speaker in self.settings.speakers}
        try:
            async with asyncio.TaskGroup() as self._group:
                helpers = [self._group.create_task(each()) for each in (self._clean_up, self._look_after)]
                try:
                    yield self
                finally:
                    for helper in helpers:
                        helper.cancel()
                    await self.close()
        finally:
            self._group = None
            self.keeper.close()
            for endpoint in self._endpoints.values():
                await endpoint.close()

    async def close(self) -> None:
        """Stop all conversations and end their streams, so that the server can shut down."""
        self._closing = True
        for conversation in list(self._conversations.values()):
            await self._cancel(conversation, "shutdown")
            conversation.log.close()

    def start(
        self,
        owner: str,
        topic: str,
        names: Sequence[str] = (),
        personas: Mapping[str, str] | None = None,
        turns: int = 0,
    ) -> Conversation:
        """Begin a conversation. turns: how many; 0 for as many as usual. Raises `RequestError`."""
        limits = self._limits
        topic = topic.strip()
        if not topic:
            raise RequestError(422, "topic", "a topic is needed")
        if len(topic) > limits.topic_chars:
            message = f"the topic has {len(topic)} characters, at most {limits.topic_chars} are taken"
            raise RequestError(422, "topic", message)
        turns = turns or limits.turns
        if not 1 <= turns <= limits.most_turns:
            raise RequestError(422, "turns", f"between 1 and {limits.most_turns} turns can be asked for")
        usual = [speaker.name for speaker in self.settings.speakers if not speaker.guest][:MOST_SPEAKERS]
        chosen = self._with_personas(self._speakers(names or usual), personas or {})
        self._admit(owner)
        identifier = secrets.token_urlsafe(16)
        conversation = Conversation(
            identifier, owner, topic, chosen, self._endpoints, limits, turns, notice=self.settings.notice
        )
        conversation.begin(self.keeper.save)
        self._make_room()
        self._conversations[identifier] = conversation
        self._run(conversation)
        return conversation

    def find(self, identifier: str, owner: str | None = None) -> Conversation:
        """The conversation of that id; with an owner, only if it is theirs. Raises `RequestError`."""
        conversation = self._find(identifier)
        if conversation is None:
            raise RequestError(404, "unknown", "there is no such conversation, or not any more")
        if owner is not None and conversation.owner != owner:
            raise RequestError(403, "not_yours", "only who started a conversation can steer it")
        return conversation

    def belonging_to(self, owner: str) -> list[dict[str, Any]]:
        """Somebody's conversations, newest first."""
        found = {row.id: {**row.facts, "state": row.state, "turns": row.complete} for row in self.keeper.rows(owner)}
        for each in self._conversations.values():
            if each.owner == owner and (each.id in self._tasks or each.id not in found):
                began, complete = each.began.isoformat(timespec="seconds"), sum(turn.complete for turn in each.turns)
                found[each.id] = {"topic": each.topic, "began": began, "state": each.state, "turns": complete}
        listed = [{"id": identifier, **each} for identifier, each in found.items()]
        return sorted(listed, key=lambda each: str(each["began"]), reverse=True)

    def go_on(self, conversation: Conversation) -> None:
        """Go on with what another process began, and has left in the middle; nothing where that cannot be."""
        with suppress(RequestError):
            if not self._closing and conversation.id not in self._tasks and conversation.interrupted:
                self.resume(conversation)

    async def stop(self, conversation: Conversation, reason: str = "asked") -> None:
        """Stop a conversation where it is; the model stops generating. Raises `RequestError`."""
        if conversation.state == "finished":
            raise RequestError(409, "finished", "the conversation is over")
        if conversation.elsewhere:
            raise _elsewhere()
        if conversation.interrupted and conversation.id not in self._tasks and self.keeper.claim(conversation):
            conversation.rest(reason)
        await self._cancel(conversation, reason)

    def resume(self, conversation: Conversation) -> None:
        """Go on with a stopped conversation, in the middle of its turn if need be. Raises `RequestError`."""
        if conversation.state == "finished":
            raise RequestError(409, "finished", "the conversation is over")
        if conversation.id not in self._tasks:
            self._admit(conversation.owner)
            self._claim(conversation)
            self._run(conversation)

    def join(self, conversation: Conversation, name: str, persona: str = "") -> None:
        """Let one more speaker take part. Raises `RequestError`."""
        speaker = self._with_personas(self._speakers([name], fewest=1), {name: persona} if persona else {})[0]
        if conversation.id not in self._tasks:
            self._claim(conversation)
        try:
            conversation.join(speaker)
        except ValueError as error:
            raise RequestError(409, "cannot_join", str(error)) from error

    @property
    def conversations(self) -> Iterable[Conversation]:
        """All that are kept in memory."""
        return self._conversations.values()

    def keys_readable(self) -> bool:
        """Whether there are no keys, or they can be read."""
        return self.keys is None or self.keys.readable

    def welcome(self, owner: str) -> Callable[[], bool]:
        """A question that is answered no as soon as the key that the owner has now is taken away or replaced."""
        keys = self.keys
        if keys is None:
            return lambda: True
        now = keys.fingerprint(owner)
        return lambda: now is not None and keys.fingerprint(owner) == now

    def admit_watcher(self, owner: str) -> None:
        """Raise `RequestError` when too many people watch, with this key or at all."""
        if (open_ := self.watchers_of[owner]) >= self._limits.watchers_per_key:
            message = f"{open_} streams of your key are open: close one, or try again in {_WATCHER_SECONDS} s"
            raise RequestError(429, "watchers", message, retry_after=_WATCHER_SECONDS)
        if self.watchers >= self._limits.watchers:
            raise RequestError(503, "watchers", "too many people watch at the moment")

    @contextmanager
    def watching(self, conversation: Conversation, owner: str) -> Iterator[None]:
        """Count somebody who watches."""
        self.watchers += 1
        self.watchers_of[owner] += 1
        conversation.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1
            self.watchers_of[owner] -= 1
            conversation.watchers -= 1
            conversation.left = time.monotonic()

    def _run(self, conversation: Conversation) -> None:
        if self._group is None:
            raise RequestError(503, "closing", "the service is shutting down")
        task = self._group.create_task(conversation.run())
        self._tasks[conversation.id] = task
        task.add_done_callback(lambda done: self._forget_task(conversation.id, done))
        task.add_done_callback(lambda _: self.metrics.ended(conversation))

    def _claim(self, conversation: Conversation) -> None:
        if conversation.elsewhere or not self.keeper.claim(conversation):
            raise _elsewhere()

    def _find(self, identifier: str) -> Conversation | None:
        conversation = self._conversations.get(identifier)
        if conversation is None:
            if conversation := self.keeper.load(identifier, self._made):
                self._make_room()
                self._conversations[identifier] = conversation
        elif identifier not in self._tasks:
            self.keeper.refresh(conversation)
        return conversation

    def _made(self, facts: Mapping[str, Any], owner: str) -> Conversation:
        """A conversation that was kept, before anything is said."""

        def known(public: Sequence[Mapping[str, Any]]) -> list[Speaker]:
            return speakers(public, self.settings)

        conversation = Conversation(
            *(facts["id"], owner, facts["topic"], known(facts["speakers"])),
            *(self._endpoints, self._limits, facts["turns"]),
            notice=facts.get("notice", ""),
        )
        conversation.restore(datetime.fromisoformat(facts["began"]), self.keeper.save, known)
        return conversation

    def _tell(self, problem: str) -> None:
        """Tell everybody who watches what has become of the store."""
        for conversation in self._conversations.values():
            conversation.log.add("store", ok=not problem)

    async def _look_after(self) -> None:
        """Hold what runs here, read what runs elsewhere, and go on with what was left in the middle."""
        if not self.keeper.kept:
            return
        renewed = 0.0
        while True:
            if time.monotonic() - renewed > self._limits.lease_seconds / 3:
                self.keeper.renew()
                renewed = time.monotonic()
            for identifier in self.keeper.interrupted():
                if identifier not in self._tasks and (conversation := self._find(identifier)):
                    self.go_on(conversation)
            for conversation in list(self._conversations.values()):
                if conversation.lost:
                    self._let_go(conversation)
                elif conversation.watchers and conversation.id not in self._tasks:
                    self.keeper.refresh(conversation)
                    self.go_on(conversation)
            self.keeper.check(list(self._conversations.values()))
            await asyncio.sleep(min(_LOOK_SECONDS, self._limits.lease_seconds / 3))

    def _let_go(self, conversation: Conversation) -> None:
        """Another process has it: what comes next, that one says."""
        if task := self._tasks.pop(conversation.id, None):
            task.cancel()
        if self._conversations.get(conversation.id) is conversation:
            del self._conversations[conversation.id]

    def _forget_task(self, identifier: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(identifier) is task:
            del self._tasks[identifier]

    async def _cancel(self, conversation: Conversation, reason: str) -> None:
        if task := self._tasks.pop(conversation.id, None):
            await conversation.stop(task, reason)

    def _admit(self, owner: str) -> None:
        running = [self._conversations[identifier] for identifier in self._tasks]
        theirs = [conversation for conversation in running if conversation.owner == owner]
        if len(theirs) >= self._limits.conversations_per_key:
            message = f"{len(theirs)} of your conversations run already: stop one first"
            raise RequestError(409, "busy", message, running=[conversation.id for conversation in theirs])
        if len(running) >= self._limits.conversations:
            raise RequestError(503, "full", "too many conversations run at the moment")

    def _make_room(self) -> None:
        resting = [conversation for conversation in self._conversations.values() if conversation.id not in self._tasks]
        for conversation in sorted(resting, key=lambda each: (each.watchers > 0, each.left)):
            if len(self._conversations) < self._limits.kept:
                return
            self._forget(conversation)

    def _forget(self, conversation: Conversation) -> None:
        conversation.log.close()
        del self._conversations[conversation.id]

    def _speakers(self, names: Sequence[str], fewest: int = 2) -> list[Speaker]:
        if not fewest <= len(names) <= MOST_SPEAKERS or len(set(names)) < len(names):
            raise RequestError(422, "speakers", f"between {fewest} and {MOST_SPEAKERS} different speakers are needed")
        known = [self.settings.speaker(name) for name in names]
        if unknown := [name for name, speaker in zip(names, known, strict=True) if speaker is None]:
            raise RequestError(422, "speakers", f"there is no speaker {', '.join(unknown)}")
        return [speaker for speaker in known if speaker]

    def _with_personas(self, speakers: list[Speaker], personas: Mapping[str, str]) -> list[Speaker]:
        for name, persona in personas.items():
            if name not in [speaker.name for speaker in speakers]:
                raise RequestError(422, "personas", f"{name} does not take part")
            if len(persona) > self._limits.persona_chars:
                raise RequestError(422, "personas", f"a persona has at most {self._limits.persona_chars} characters")
        return [
            speaker.model_copy(update={"persona": personas.get(speaker.name, speaker.persona).strip()})
            for speaker in speakers
        ]

    async def _clean_up(self) -> None:
        """Stop what nobody watches and forget what is old, again and again."""
        limits = self._limits
        while True:
            await asyncio.sleep(min(_JANITOR_SECONDS, limits.unwatched_seconds / 4, limits.keep_seconds / 4))
            now = time.monotonic()
            for conversation in list(self._conversations.values()):
                idle = 0.0 if conversation.watchers else now - conversation.left
                if conversation.id in self._tasks:
                    if idle > limits.unwatched_seconds:
                        await self._cancel(conversation, "unwatched")
                elif idle > limits.keep_seconds:
                    self._forget(conversation)
            self.forget_old()

    def forget_old(self) -> None:
        """Delete from the store what is older than may be kept, except what somebody watches."""
        watched = [conversation.id for conversation in self._conversations.values() if conversation.watchers]
        for identifier in self.keeper.forget_old(watched):
            if identifier in self._conversations:
                self._forget(self._conversations[identifier])


def _elsewhere() -> RequestError:
    message = "the conversation moves from one pod to another at the moment: try again in a few seconds"
    return RequestError(503, "elsewhere", message, retry_after=3)
