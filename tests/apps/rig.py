"""Runs services on real sockets in the test's event loop, and speaks with the dialogue as a browser would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from dialogue import conversation, hub, server, sse
from dialogue.settings import Limits, Settings, Speaker
from tests.patience import PATIENCE, eventually

KEY = "a-key-for-tests-0123456789"
#: Quick, so that tests are.
QUICK = {"retry_seconds": 0.02, "longest_retry_seconds": 0.1, "requests_per_minute": 10_000}


@contextlib.asynccontextmanager
async def serving(app: ASGIApp | uvicorn.Server) -> AsyncIterator[str]:
    """Serve an application on a free port; gives its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if not isinstance(app, uvicorn.Server):
        config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1)
        app = uvicorn.Server(config)
    running = asyncio.create_task(app.serve(sockets=[listener]))
    try:
        while not app.started:
            if running.done():
                running.result()
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        app.should_exit = True
        await running


@dataclass(frozen=True)
class Heard:
    """One server-sent event."""

    id: int
    kind: str
    data: dict[str, Any]
    at: float


class Clock:
    """The service's clock for what is left alone: it goes on when the test says so."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        for module in (conversation, hub):
            patch.setattr(module, "time", self)
        patch.setattr(hub, "_JANITOR_SECONDS", 0.02)
        patch.setattr(sse, "_LOOK_SECONDS", 0.02)
        self.time = time.time
        self._now = time.monotonic()
        self._looks = 0

    def monotonic(self) -> float:
        """Now."""
        self._looks += 1
        return self._now

    async def passes(self, seconds: float) -> None:
        """Let time pass, and the service see it."""
        self._now += seconds
        after = self._looks + 10
        await eventually(lambda: self._looks >= after, "further looks at the clock")


class Browser:
    """Uses the dialogue's API."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE)

    async def start(self, topic: str = "the sea", **body: Any) -> str:
        """Start a conversation; gives its id."""
        response = await self.http.post("/api/conversations", json={"topic": topic, **body})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def post(self, identifier: str, action: str, **body: Any) -> httpx.Response:
        """Stop, resume or invite."""
        return await self.http.post(f"/api/conversations/{identifier}/{action}", json=body)

    async def show(self, identifier: str) -> dict[str, Any]:
        """The conversation as it stands."""
        response = await self.http.get(f"/api/conversations/{identifier}")
        response.raise_for_status()
        shown: dict[str, Any] = response.json()
        return shown

    async def watch(
        self, identifier: str, after: int | None = None, opened: asyncio.Event | None = None
    ) -> AsyncIterator[Heard]:
        """Events as they come. opened: set when the stream is open."""
        headers = {} if after is None else {"last-event-id": str(after)}
        path = f"/api/conversations/{identifier}/events"
        async with self.http.stream("GET", path, headers=headers, timeout=PATIENCE) as response:
            assert response.status_code == 200, response.status_code
            assert response.headers["content-type"].startswith("text/event-stream")
            if opened:
                opened.set()
            rest = b""
            async for chunk in response.aiter_bytes():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    if heard := _parse(block.decode()):
                        yield heard

    async def listening(self, identifier: str, until: str, after: int | None = None) -> asyncio.Task[list[Heard]]:
        """`listen` on a stream that is open."""
        opened = asyncio.Event()
        task = asyncio.create_task(self.listen(identifier, until, after, opened))
        await eventually(lambda: opened.is_set() or task.done(), "the stream")
        return task

    async def listen(
        self,
        identifier: str,
        until: str = "state:finished",
        after: int | None = None,
        opened: asyncio.Event | None = None,
    ) -> list[Heard]:
        """All events up to the first `kind` or `kind:value`, where the value is that of any field."""
        kind, _, value = until.partition(":")
        events = []
        async with contextlib.aclosing(self.watch(identifier, after, opened)) as watching:  # type: ignore[type-var]
            async for event in watching:
                events.append(event)
                if event.kind == kind and (not value or value in map(str, event.data.values())):
                    return events
        raise AssertionError(f"the stream ended without {until}: {events[-3:]}")


def _parse(block: str) -> Heard | None:
    fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
    if "data" not in fields:
        return None
    at = asyncio.get_running_loop().time()
    return Heard(int(fields["id"]), fields["event"], json.loads(fields["data"]), at)


def said(events: list[Heard]) -> dict[int, str]:
    """The text of each turn, put together from the tokens; a turn that starts again forgets what it had."""
    texts: dict[int, str] = {}
    for event in events:
        if event.kind == "token":
            texts[event.data["turn"]] = texts.get(event.data["turn"], "") + event.data["text"]
        elif event.kind == "resumed" and event.data["how"] == "restarted":
            texts[event.data["turn"]] = ""
        elif event.kind == "restored":
            texts = {turn: text for turn, text in texts.items() if turn <= event.data["turn"]}
            if "text" in event.data:
                texts[event.data["turn"]] = event.data["text"]
    return texts


def states(events: list[Heard]) -> list[str]:
    """The waiting states, one after the other."""
    return [event.data["state"] for event in events if event.kind == "status"]


def settings(url: str, *names: str, guests: tuple[str, ...] = (), speaker: Any = None, **limits: Any) -> Settings:
    """Settings for models that all have the same server; names and models are the same unless `NAME@MODEL`."""
    speakers = []
    for name in (*names, *guests):
        called, at, model = name.partition("@")
        more = speaker or {}
        speakers.append(Speaker(name=called, model=model if at else called, url=url, guest=name in guests, **more))
    return Settings(speakers=tuple(speakers), limits=Limits(**{**QUICK, **limits}))


@contextlib.asynccontextmanager
async def dialogue(chosen: Settings) -> AsyncIterator[Browser]:
    """The service with these settings, and somebody who uses it."""
    async with serving(server.make(chosen, log_level="critical")) as url:
        browser = Browser(url, KEY if chosen.keys_file else None)
        try:
            yield browser
        finally:
            await browser.http.aclose()
