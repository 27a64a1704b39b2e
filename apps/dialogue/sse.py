"""A conversation's log as server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dialogue.conversation import Conversation
from dialogue.hub import Hub
from dialogue.log import Event, Log

#: Seconds in which a watcher that reads nothing must take what is in flight, before it is let go; it may come back.
_SEND_SECONDS = 60
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


def encode(event: Event) -> str:
    """One event in the wire format."""
    data = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.position}\nevent: {event.kind}\ndata: {data}\n\n"


class EventStream(Response):
    """What the log holds after `position`, then what comes, with heartbeats in silence.

    It ends when the conversation is over and all is said, when the service shuts down, or when nobody listens.
    """

    def __init__(self, hub: Hub, conversation: Conversation, position: int, heartbeat_seconds: float) -> None:
        super().__init__(media_type="text/event-stream")
        self._hub = hub
        self._conversation = conversation
        self._position = position
        self._heartbeat = heartbeat_seconds

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        with self._hub.watching(self._conversation):
            sending = asyncio.ensure_future(self._send_all(send))
            gone = asyncio.ensure_future(_disconnected(receive))
            try:
                await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, gone):
                    task.cancel()
                await asyncio.wait((sending, gone))
            if not sending.cancelled():
                with suppress(TimeoutError, OSError):  # a watcher that is gone or does not read
                    sending.result()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        log = self._conversation.log
        position = min(self._position, len(log))
        await self._send(send, ": hello\nretry: 2000\n\n")
        while not (position >= len(log) and (log.closed or self._conversation.state == "finished")):
            if events := log.read(position):
                await self._send(send, "".join(map(encode, events)))
                position = events[-1].position
            elif not await _news(log, position, self._heartbeat):
                await self._send(send, ": still here\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _send(send: Send, text: str) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _news(log: Log, position: int, seconds: float) -> bool:
    """Whether something came within the time."""
    try:
        async with asyncio.timeout(seconds):
            await log.wait(position)
    except TimeoutError:
        return False
    return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
