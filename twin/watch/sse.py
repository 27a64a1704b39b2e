"""The page's parts as server-sent events: one painter for all who watch, and for each only what is new to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from twin.watch.page import Parts, parts, places
from twin.watch.source import LOOK_SECONDS, PAUSE_SECONDS, Scenes

#: Seconds of silence after which a watcher that is gone without a word would be noticed.
_HEARTBEAT_SECONDS = 15.0
#: Seconds in which a watcher must take what is in flight, before it is let go; it may come back.
_SEND_SECONDS = 20.0
#: Streams end with the board, which is closed before the server waits for watchers.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class Board:
    """What the open pages show. It is painted only while somebody looks, in a thread of its own.

    Everybody is told what has changed since they were last told: who reads slowly skips pictures, and nothing queues.
    """

    def __init__(self, scenes: Scenes, on_end: Callable[[], None]) -> None:
        """on_end: called in the event loop when there will be nothing more to see."""
        self._scenes = scenes
        self._on_end = on_end
        self._parts: Parts = {}
        self._revisions: dict[str, int] = {}
        self._moved = 0
        """Revision at which parts last came or went."""
        self._revision = 0
        self._news = asyncio.Event()
        self._watchers = 0
        self._watched = threading.Event()
        self._closed = False
        self.ended = ""
        """Why there is nothing more to see."""
        self.failure: BaseException | None = None
        """What the painter stumbled over."""

    def open(self) -> None:
        """Begin to paint; from the event loop."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._paint, args=(loop,), name="paint", daemon=True).start()

    def close(self) -> None:
        """End the streams, and the painting."""
        self._closed = True
        self._watched.set()
        self._news.set()

    def _paint(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._closed and self._paint_once(loop):
                pass
        except BaseException as error:
            self.failure = error
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_end)

    def _paint_once(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether there may be more to paint."""
        watched = self._watched.wait(LOOK_SECONDS)
        began = time.monotonic()
        ended = self._scenes.ended()
        if not watched and not ended:
            return True
        drawn = parts(self._scenes.scene(), ended)
        with contextlib.suppress(RuntimeError):  # the loop is over, and so is this
            loop.call_soon_threadsafe(self._post, drawn, ended)
        if ended:
            return False
        self._scenes.wait()
        time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))
        return True

    def _post(self, drawn: Parts, ended: str) -> None:
        changed = [name for name, html in drawn.items() if self._parts.get(name) != html]
        moved = list(drawn) != list(self._parts)
        if self._watchers and (changed or moved):
            self._revision += 1
            self._moved = self._revision if moved else self._moved
            self._revisions = {name: self._revision if name in changed else self._revisions[name] for name in drawn}
            self._parts = drawn
            self._news.set()
            self._news = asyncio.Event()
        if ended:
            self.ended = ended
            self._on_end()

    async def stream(self) -> AsyncIterator[ServerSentEvent]:
        """For one who watches: all there is and then what is new, until the end."""
        self._watchers += 1
        self._watched.set()
        seen = 0
        try:
            yield ServerSentEvent(retry=2000, sep="\n")
            while not self._closed:
                news = self._news
                if seen != self._revision and self._parts:
                    message = self._since(seen)
                    seen = self._revision
                    yield ServerSentEvent(message, event="parts", sep="\n")
                    continue
                if self.ended:
                    yield ServerSentEvent("", event="end", sep="\n")
                    return
                await news.wait()
        finally:
            self._watchers -= 1
            if not self._watchers and not self._closed:
                self._watched.clear()
                self._parts = {}  # old by the time that somebody comes again

    def _since(self, seen: int) -> str:
        new = {name: html for name, html in self._parts.items() if self._revisions[name] > seen}
        message = {"parts": new} | ({"places": places(self._parts)} if self._moved > seen else {})
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


class _EventStream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end; a watcher that is gone or does not read is let go."""
        with contextlib.suppress(TimeoutError, OSError):
            await super().__call__(scope, receive, send)


def event_stream(board: Board) -> EventSourceResponse:
    """The board for one who watches."""
    return _EventStream(board.stream(), ping=_HEARTBEAT_SECONDS, send_timeout=_SEND_SECONDS)
