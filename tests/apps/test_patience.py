"""Clients on raw sockets, and model servers, that send too much, too slowly, or what is no text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import h11
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dialogue import web, wire
from dialogue.ndjson import LONGEST_LINE
from dialogue.wire import PatientProtocol
from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.rig import Browser, dialogue, said, settings
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.anyio
JSON = "Host: localhost\r\nContent-Type: application/json\r\n"


async def connect(browser: Browser) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(str(browser.http.base_url))
    return await asyncio.open_connection(parts.hostname, parts.port)


async def exchange(browser: Browser, sent: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes as they are; gives status and body."""
    reader, writer = await connect(browser)
    writer.write(sent)
    status = int((await reader.readline()).split()[1])
    length = 0
    while (line := await reader.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = await reader.readexactly(length)
    writer.close()
    return status, json.loads(body) if body.startswith(b"{") else {}


def post(body: bytes) -> bytes:
    return f"POST /api/conversations HTTP/1.1\r\n{JSON}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with dialogue(settings("http://127.0.0.1:9", "Ada@tiny-a", "Bob@tiny-b")) as browser:
        yield browser


@pytest.mark.parametrize(
    "body",
    [
        rb'{"topic": "\ud800"}',
        rb'{"topic": "x", "speakers": ["\udfff"]}',
        rb'{"topic": "x", "personas": {"\ud83d": "y"}}',
        rb'{"\ud83d": 1}',
    ],
)
async def test_half_of_a_character_is_refused_wherever_it_stands(browser: Browser, body: bytes) -> None:
    status, answer = await exchange(browser, post(body))
    assert status == 400
    assert answer["error"]["message"] == "a text holds half of a character (a lone surrogate)"


async def test_both_halves_are_a_character(browser: Browser) -> None:
    status, answer = await exchange(browser, post(rb'{"topic": "\ud83d\ude00"}'))
    assert (status, answer["topic"]) == (201, "😀")


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"topic":' * 7_000, b'{"topic": "x', b"\xff\xfe", b"NaN", b""])
async def test_what_is_no_json_is_told_so(browser: Browser, body: bytes) -> None:
    status, _ = await exchange(browser, post(body))
    assert status in (400, 422)
    assert (await browser.http.get("/healthz")).status_code == 200


async def test_a_head_without_end_is_refused(browser: Browser) -> None:
    status, _ = await exchange(browser, b"GET /api/session HTTP/1.1\r\nX: " + b"x" * 900_000)
    assert status == 400


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
@pytest.mark.parametrize("sent", [b"", b"GET /api/session HTTP/1.1\r\nHost: "])
async def test_a_request_that_does_not_go_on_is_let_go(
    browser: Browser, before: bytes, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not before:
        monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    reader, writer = await connect(browser)
    if before:
        writer.write(before)
        await reader.readuntil(b"ok\n")
        monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    writer.write(sent)
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):  # for ever, or where uvicorn waits itself, for 5 s
            await reader.read()
    writer.close()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[PatientProtocol]:
    """The server's side of each connection."""
    made: list[PatientProtocol] = []
    real = PatientProtocol.connection_made

    def connection_made(self: PatientProtocol, transport: asyncio.Transport) -> None:
        made.append(self)
        real(self, transport)

    monkeypatch.setattr(PatientProtocol, "connection_made", connection_made)
    return made


def waits_for_head(connection: PatientProtocol) -> bool:
    return connection._head is not None


async def test_a_head_that_came_whole_is_waited_for_no_more(
    browser: Browser, connections: list[PatientProtocol]
) -> None:
    body = b'{"topic": ""}'
    reader, writer = await connect(browser)
    await eventually(lambda: connections)
    (connection,) = connections
    assert waits_for_head(connection)
    writer.write(post(body)[: -len(body)])
    await eventually(lambda: connection.conn.their_state is h11.SEND_BODY, "the body's turn")
    assert not waits_for_head(connection)
    writer.write(body)
    assert b"422" in await reader.readline()
    writer.close()


async def test_a_body_that_does_not_come_is_told_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_BODY_SECONDS", 0.2)
    status, answer = await exchange(browser, post(b"x" * 100)[:-50])
    assert (status, answer["error"]["code"]) == (408, "slow")


@pytest.mark.parametrize("length", [60_000, 10**15])
async def test_a_body_that_trickles_on_after_its_answer_is_let_go(
    browser: Browser, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_BODY_SECONDS", 0.2)
    monkeypatch.setattr(wire, "REST_SECONDS", 0.5)
    _, writer = await connect(browser)
    writer.write(f"POST /api/conversations HTTP/1.1\r\n{JSON}Content-Length: {length}\r\n\r\n".encode())

    async def trickle() -> None:
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(trickle(), PATIENCE)
    writer.close()
    assert (await browser.http.get("/healthz")).status_code == 200


async def test_a_body_that_comes_late_but_whole_keeps_its_connection(
    browser: Browser, connections: list[PatientProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_BODY_SECONDS", 0.2)
    monkeypatch.setattr(wire, "REST_SECONDS", PATIENCE)
    reader, writer = await connect(browser)
    writer.write(f"POST /api/conversations HTTP/1.1\r\n{JSON}Content-Length: 2\r\n\r\n{{".encode())
    assert (await reader.readline()).split()[1] == b"408"
    (connection,) = connections
    await eventually(lambda: connection._rest, "a wait for the rest")
    writer.write(b"}")
    await eventually(lambda: connection._rest is None, "the end of the wait for the rest")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"ok\n")
    writer.close()


async def test_a_client_that_reads_nothing_is_let_go(
    connections: list[PatientProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["x" * 2000 for _ in range(200)]
    limits: dict[str, Any] = {"turns": 40, "turn_chars": 10**6, "turn_tokens": 1000, "total_tokens": 10**6}
    async with (
        rig.serving(Double(answer=lambda *_: words).app) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", **limits)) as browser,
    ):
        identifier = await browser.start(turns=40)
        await browser.listen(identifier)
        monkeypatch.setattr(wire, "WRITE_SECONDS", 0.3)
        connections.clear()
        reader, writer = await connect(browser)
        transport = writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        # Requests whose answers, 16 MB each, nobody reads: far more than the system's own buffers hold.
        writer.write(f"GET /api/conversations/{identifier} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await eventually(lambda: connections and connections[-1].transport.is_closing(), "the end of the connection")
        transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(16_000_000)
        writer.close()
        assert (await browser.http.get("/healthz")).status_code == 200


def speaking(*lines: bytes) -> Starlette:
    """A model server that answers each chat with these lines."""

    async def chat(_: Request) -> Response:
        return StreamingResponse(iter(lines), media_type="application/x-ndjson")

    async def loaded(_: Request) -> Response:
        return Response(b'{"models": []}', media_type="application/json")

    return Starlette(routes=[Route("/api/chat", chat, methods=["POST"]), Route("/api/ps", loaded)])


def line(text: str, **more: Any) -> bytes:
    return json.dumps({"message": {"content": text}, **more}).encode() + b"\n"


END = line("", done=True, done_reason="stop")


async def heard(app: Starlette | Callable[..., Any], until: str = "turn_end", **limits: Any) -> list[rig.Heard]:
    async with rig.serving(app) as url, dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", **limits)) as browser:
        return await browser.listen(await browser.start(turns=2), until)


async def test_a_line_of_900_kb_is_no_answer() -> None:
    events = await heard(speaking(line("x" * 900_000), END))
    assert said(events) == {}
    assert events[-1].data["reason"] == "failed"
    assert f"longer than {LONGEST_LINE} bytes" in events[-1].data["message"]


async def test_a_line_just_short_of_the_limit_is_heard() -> None:
    text = "x" * (LONGEST_LINE - 100)
    events = await heard(speaking(line(text), END), turn_chars=10**6)
    assert said(events)[1] == text


async def test_a_turn_of_30000_characters_without_a_break_ends_at_its_limit() -> None:
    events = await heard(speaking(*[line("x" * 1000)] * 30, END), turn_chars=8000)
    assert said(events)[1] == "x" * 8000
    assert events[-1].data["reason"] == "length"


async def test_one_token_that_is_too_long_is_cut() -> None:
    events = await heard(speaking(line("x" * 30_000), line("y"), END))
    assert said(events)[1] == "x" * 8000
    assert events[-1].data["reason"] == "length"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (rb'{"message": {"content": "a\ud800b"}}', "stop"),
        (rb'{"message": {"content": "ab"}, "done": true, "done_reason": "\ud800"}', "?"),
        (rb'{"error": "\ud83d is wrong"}', "failed"),
        (rb'{"message": "\ud83d"}', "failed"),
        (b"[" * 60_000, "failed"),
        (b'{"message":' * 5_000, "failed"),
    ],
)
async def test_what_a_model_server_says_that_is_no_text_breaks_no_stream(sent: bytes, reason: str) -> None:
    events = await heard(speaking(sent + b"\n", END))
    assert events[-1].data["reason"] == reason
    json.dumps([event.data for event in events], ensure_ascii=False).encode()


async def test_an_error_page_without_end_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless(_: Request) -> Response:
        async def pages() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b"<p>" * 21_845 + b"."
                await asyncio.sleep(0)

        return StreamingResponse(pages(), 400)

    app = Starlette(routes=[Route("/api/chat", endless, methods=["POST"])])
    events = await heard(app)
    assert events[-1].data["reason"] == "failed"
    assert len(events[-1].data["message"]) < 300
    assert sent < 50_000_000
