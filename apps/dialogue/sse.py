"""A conversation's log as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from dialogue.conversation import Conversation
from dialogue.hub import Hub
from dialogue.log import Event
from dialogue.settings import Limits

#: Seconds in which a watcher that reads nothing must take what is in flight, before it is let go; it may come back.
_SEND_SECONDS = 60
#: Seconds between two looks at whether a watcher's key still is one, and whether a stopped conversation is at rest.
_LOOK_SECONDS = 5.0
#: Streams end with their logs, which the hub closes before the server waits for watchers.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


def encode(event: Event) -> ServerSentEvent:
    """One event in the wire format."""
    data = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(data, id=str(event.position), event=event.kind, sep="\n")


class EventStream(EventSourceResponse):
    """What the log holds after `position`, then what comes, with heartbeats.

    It ends when all is said and the conversation is over, or has been stopped for `unwatched_seconds` (a page that is
    left open must not keep the service's pod awake), when the service shuts down, when nobody listens, or when the
    watcher's key is taken away.
    """

    def __init__(self, hub: Hub, conversation: Conversation, owner: str, position: int, limits: Limits) -> None:
        super().__init__(
            _events(conversation, position, hub.welcome(owner), limits.unwatched_seconds),
            ping=limits.heartbeat_seconds,
            ping_message_factory=lambda: ServerSentEvent(comment="still here", sep="\n"),
            send_timeout=_SEND_SECONDS,
        )
        self._hub = hub
        self._conversation = conversation
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        # A watcher that is gone or does not read is let go.
        with self._hub.watching(self._conversation, self._owner), suppress(TimeoutError, OSError):
            await super().__call__(scope, receive, send)


async def _events(
    conversation: Conversation, position: int, welcome: Callable[[], bool], rest_seconds: float
) -> AsyncIterator[ServerSentEvent]:
    log = conversation.log
    if not conversation.elsewhere:  # where it runs elsewhere, that process has shown what is not kept yet
        position = min(position, log.last)
    yield ServerSentEvent(comment="hello", retry=2000, sep="\n")
    while welcome() and not (position >= log.last and (log.closed or conversation.at_rest(rest_seconds))):
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_LOOK_SECONDS, rest_seconds)):
                await log.wait(position)
        for event in log.read(position):
            position = event.position
            yield encode(event)
