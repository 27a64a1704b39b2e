"""A gateway before a model server that misbehaves on request, as those of a sleeping or vanishing model do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Refuse:
    """Answers with a status, as a gateway without a server behind it."""

    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hold:
    """Holds the request for a time (seconds), then passes it on: what Knative's activator does."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """Lets a line of the answer through every so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """Breaks the connection off after so many lines of the answer."""

    lines: int


@dataclass(frozen=True)
class Stop:
    """Ends the answer in good order after so many lines, as if it were whole."""

    lines: int


@dataclass(frozen=True)
class Stall:
    """Says nothing more after so many lines."""

    lines: int


@dataclass(frozen=True)
class Insert:
    """Puts bytes of its own after so many lines, and ends."""

    lines: int
    content: bytes


_PASSED_BACK = ("content-type", "content-security-policy", "retry-after")
Fault = Refuse | Hold | Slow | Cut | Stop | Stall | Insert


def chats(path: str, body: bytes) -> bool:
    """Requests for an answer."""
    return path == "/api/chat" and b"_debug_render_only" not in body


def everything(_: str, __: bytes) -> bool:
    """All requests."""
    return True


class Gateway:
    """Passes requests on to `target`, with the next fault of the plan for each request that it concerns: chats."""

    def __init__(self, target: str, plan: Sequence[Fault] = (), *, also_others: bool = False) -> None:
        self._client = httpx.AsyncClient(base_url=target, timeout=None)
        self.concerns: Callable[[str, bytes], bool] = everything if also_others else chats
        self.plan: deque[Fault] = deque(plan)
        self.always: Fault | None = None
        """What happens once the plan is over."""
        self.seen: list[tuple[str, float]] = []
        """Path and time of each request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        self.seen.append((scope["path"], asyncio.get_running_loop().time()))
        fault = (self.plan.popleft() if self.plan else self.always) if self.concerns(scope["path"], body) else None
        response = await self._answer(request, body, fault)
        await response(scope, receive, send)

    def lead_to(self, target: str) -> None:
        """Pass on to another server from now on."""
        self._client.base_url = httpx.URL(target)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def _answer(self, request: Request, body: bytes, fault: Fault | None) -> ASGIApp:
        if isinstance(fault, Refuse):
            return Response("upstream is not there", fault.status, headers=fault.headers)
        if isinstance(fault, Hold):
            await asyncio.sleep(fault.seconds)
        passing = ("authorization", "content-type", "last-event-id")
        headers = {name: value for name, value in request.headers.items() if name in passing}
        passed = self._client.build_request(request.method, request.url.path, content=body, headers=headers)
        try:
            upstream = await self._client.send(passed, stream=True)
        except httpx.TransportError:
            return JSONResponse({"error": "no upstream"}, 502)
        return _Answer(upstream, fault)


class _Answer(StreamingResponse):
    def __init__(self, upstream: httpx.Response, fault: Fault | None) -> None:
        headers = {name: value for name, value in upstream.headers.items() if name in _PASSED_BACK}
        super().__init__(self._lines(upstream, fault), upstream.status_code, headers)
        self._cut = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def cutting(message: object) -> None:
            # uvicorn closes the connection of an answer that is left without its end.
            if not (self._cut and isinstance(message, dict) and not message.get("more_body", True)):
                await send(message)  # type: ignore[arg-type]

        await super().__call__(scope, receive, cutting)

    async def _lines(self, upstream: httpx.Response, fault: Fault | None) -> AsyncIterator[bytes]:
        try:
            number = 0
            rest = b""
            async for chunk in upstream.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if isinstance(fault, Cut | Stop | Stall | Insert) and number >= fault.lines:
                        if isinstance(fault, Insert):
                            yield fault.content
                        if isinstance(fault, Stall):
                            await asyncio.sleep(3600)
                        self._cut = isinstance(fault, Cut)
                        return
                    if isinstance(fault, Slow):
                        await asyncio.sleep(fault.seconds)
                    number += 1
                    yield line + b"\n"
            if rest:
                yield rest
        finally:
            await upstream.aclose()
