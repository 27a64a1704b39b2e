"""The page's server: who may come, what is sent, and that nobody who watches keeps it from ending."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.patience import PATIENCE, eventually, until
from tests.unit.twin.cluster import everyday
from twin.errors import TwinError
from twin.watch import source, sse
from twin.watch.page import parts, places
from twin.watch.scene import Scene
from twin.watch.server import Server, listen

pytestmark = pytest.mark.parts


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (source, sse):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.02)


class Made:
    """A made-up cluster that changes when the test says so."""

    def __init__(self) -> None:
        self.now = everyday().scene()
        self.painted = 0
        self.looks = 0
        self.end = ""
        self.problem: Exception | None = None

    def scene(self) -> Scene:
        self.painted += 1
        if self.problem:
            raise self.problem
        return self.now

    def wait(self, seconds: float = 0.0) -> None:
        time.sleep(0.01)

    def ended(self) -> str:
        self.looks += 1
        return self.end


class Served:
    """A server, its address, and what it shows."""

    def __init__(self, made: Made, server: Server, url: str) -> None:
        self.made = made
        self.server = server
        self.http = httpx.AsyncClient(base_url=url, timeout=PATIENCE)

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with self.http.stream("GET", "/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            yield self._read(response)

    @staticmethod
    async def _read(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
        kind = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data:"):
                data = line.removeprefix("data:").strip()
                yield kind, json.loads(data) if data else None


def serving(test: Callable[[Served], Awaitable[None]]) -> Served:
    """Run a test against a server on a real socket."""
    made = Made()

    async def run() -> Served:
        listener = listen(0)
        server = Server(made)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        served = Served(made, server, f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            await test(served)
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, PATIENCE)
            await served.http.aclose()
        return served

    return asyncio.run(run())


def test_the_page_its_files_and_the_picture_are_served() -> None:
    async def test(served: Served) -> None:
        page = await served.http.get("/")
        assert "mps-aaaaa" in page.text
        for path in ("/watch.css", "/box.css", "/watch.js", "/mark.svg"):
            assert f'"{path}"' in page.text
            assert (await served.http.get(path)).status_code == 200
        picture = await served.http.get("/picture.svg")
        assert picture.headers["content-type"] == "image/svg+xml"
        ElementTree.fromstring(picture.content)
        assert (await served.http.get("/../server.py")).status_code == 404
        assert (await served.http.post("/")).status_code == 405
        for path in ("/", "/events", "/picture.svg"):
            assert (await served.http.head(path)).status_code == 200

    serving(test)


def test_only_who_names_this_machine_is_answered() -> None:
    async def test(served: Served) -> None:
        for path in ("/", "/events", "/picture.svg", "/nothing"):
            for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", "", "0.0.0.0"):
                refused = await served.http.get(path, headers={"host": host})
                assert (refused.status_code, "mps-aaaaa" in refused.text) == (400, False)
        for host in ("localhost", "127.0.0.1:1234", "LOCALHOST:80"):
            assert (await served.http.get("/", headers={"host": host})).status_code == 200

    serving(test)


def test_every_answer_forbids_what_is_not_its_own() -> None:
    async def test(served: Served) -> None:
        for path in ("/", "/watch.js", "/nothing"):
            answer = await served.http.get(path)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer.headers
        picture = (await served.http.get("/picture.svg")).headers["content-security-policy"]
        assert picture.startswith("default-src 'none'; style-src 'sha256-")

    serving(test)


def test_who_watches_gets_everything_once_and_then_what_changed() -> None:
    async def test(served: Served) -> None:
        async with served.events() as events:
            kind, first = await anext(events)
            drawn = parts(served.made.now)
            assert (kind, first) == ("parts", {"parts": drawn, "places": places(drawn)})
            served.made.now = replace(served.made.now, usd=1.5)
            kind, second = await anext(events)
            assert (kind, list(second)) == ("parts", ["parts"])
            assert list(second["parts"]) == ["figures"]
            assert "$1.500" in second["parts"]["figures"]
            served.made.now = replace(served.made.now, pools=served.made.now.pools[:1])
            _, third = await anext(events)
            assert "pool:general" not in third["places"]["main"]

    serving(test)


def test_it_paints_only_while_somebody_watches_and_sends_only_what_is_new() -> None:
    async def test(served: Served) -> None:
        made = served.made

        async def looks(number: int) -> None:
            after = made.looks + number
            await eventually(lambda: made.looks >= after, "further looks of the painter")

        await looks(5)
        assert made.painted == 0
        async with served.events() as events:
            await anext(events)
            painted = made.painted
            await eventually(lambda: made.painted >= painted + 5, "further pictures")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.3)
        await eventually(lambda: served.server.board._watchers == 0, "the end of the watcher")
        await looks(2)  # of which one had begun
        painted = made.painted
        await looks(5)
        assert made.painted == painted

    serving(test)


def test_streams_do_not_delay_the_end_and_the_port_is_free_again() -> None:
    async def test(served: Served) -> None:
        served.server.config.timeout_graceful_shutdown = None  # what kept it would do so for ever
        port = served.http.base_url.port
        async with served.events() as one, served.events() as other:
            await anext(one)
            await anext(other)
            served.server.should_exit = True
            async with asyncio.timeout(PATIENCE):
                async for _ in one:
                    pass
        await eventually(lambda: not served.server.servers or not served.server.servers[0].is_serving())
        assert port is not None
        listen(port).close()

    serving(test)


def test_a_watcher_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_SEND_SECONDS", 0.3)
    scenes = []
    for letter in "ab":
        large = everyday()
        for number in range(30):
            large.event("Odd", f"{number} " + letter * 30_000, "a", warning=True)
        scenes.append(large.scene())

    async def test(served: Served) -> None:
        board = served.server.board
        with socket.create_connection(("127.0.0.1", served.http.base_url.port or 0)) as deaf:
            deaf.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await eventually(lambda: board._watchers == 1)
            numbers = itertools.count()

            def let_go() -> bool:
                served.made.now = scenes[next(numbers) % 2]
                return not board._watchers

            await eventually(let_go)  # once nothing more fits into the connection

    serving(test)


def test_a_watcher_that_is_gone_is_forgotten() -> None:
    async def test(served: Served) -> None:
        async with served.events() as events:
            await anext(events)
            assert served.server.board._watchers == 1
        await eventually(lambda: served.server.board._watchers == 0)

    serving(test)


def test_the_end_of_the_twin_is_told_and_ends_the_server() -> None:
    async def test(served: Served) -> None:
        async with served.events() as events:
            await anext(events)
            served.made.end = "The twin of local was stopped."
            _, last = await anext(events)
            assert "The twin of local was stopped." in last["parts"]["figures"]
            assert [kind async for kind, _ in events] == ["end"]
        await eventually(lambda: served.server.should_exit)

    assert serving(test).server.board.ended == "The twin of local was stopped."


def test_the_end_is_noticed_when_nobody_watches() -> None:
    async def test(served: Served) -> None:
        served.made.end = "gone"
        await eventually(lambda: served.server.should_exit)

    serving(test)


def test_a_mistake_of_the_painter_is_not_swallowed() -> None:
    async def test(served: Served) -> None:
        served.made.problem = KeyError("oops")
        async with served.events() as events:
            assert [kind async for kind, _ in events] == []

    assert isinstance(serving(test).server.board.failure, KeyError)


def test_a_taken_port_is_a_plain_error() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TwinError, match=f"port {port} cannot be had .*leave --port out"):
            listen(port)
        assert taken.getsockname()[0] == "127.0.0.1"


def test_nothing_of_ours_keeps_running() -> None:
    async def test(served: Served) -> None:
        async with served.events() as events:
            await anext(events)

    serving(test)
    until(lambda: all(thread.name != "paint" for thread in threading.enumerate()))
