"""A port of this machine that leads to one service behind Kourier, which finds services by the name in `Host`."""

from __future__ import annotations

import asyncio
import contextlib
import re

#: Bytes of a request's head, and those that are passed on at a time.
_HEAD = 65_536
_CHUNK = 65_536
_FIELD = re.compile(rb"^(host|connection|keep-alive):[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)
_OURS = re.compile(rb"^host:[ \t]*(localhost|127\.0\.0\.1)(:\d+)?[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_REFUSAL = b"HTTP/1.1 421 Misdirected Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Relay:
    """Listens on 127.0.0.1 and passes each request on, under the service's name. Open it with `async with`."""

    def __init__(self, target: int, host: str) -> None:
        """target: port of 127.0.0.1 that leads to Kourier. host: the service's name."""
        self._target = target
        self._host = host.encode()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with contextlib.AsyncExitStack() as closing:
                closing.callback(writer.close)
                head = await reader.readuntil(b"\r\n\r\n")
                if not _OURS.search(head):  # a page of elsewhere, whose name was pointed here
                    writer.write(_REFUSAL)
                    return
                inward, outward = await asyncio.open_connection("127.0.0.1", self._target)
                closing.callback(outward.close)
                outward.write(self._renamed(head))
                async with asyncio.TaskGroup() as both:
                    upload = both.create_task(_pass_on(reader, outward))
                    await _pass_on(inward, writer)
                    upload.cancel()

    def _renamed(self, head: bytes) -> bytes:
        """One request a connection: the next one has a head to rename too."""
        line, _, fields = head.partition(b"\r\n")
        return line + b"\r\nHost: " + self._host + b"\r\nConnection: close\r\n" + _FIELD.sub(b"", fields)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
