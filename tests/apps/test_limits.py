"""What a conversation, a key and the service may use; who watches and who does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dialogue import conversation, server
from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ModelServer
from tests.apps.rig import Browser, Clock, dialogue, said, settings
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def talking(double: Double, **limits: Any) -> AsyncIterator[Browser]:
    async with (
        rig.serving(double.app) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", **limits)) as browser,
    ):
        yield browser


def endless(_: str, __: list[dict[str, str]]) -> list[str]:
    return [f" word{number}" for number in range(100_000)]


async def test_a_turn_has_no_more_tokens_than_it_may(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=15)) as browser:
        identifier = await browser.start(turns=2)
        await browser.listen(identifier)
        assert all(turn["tokens"] <= 15 for turn in (await browser.show(identifier))["said"])


async def test_a_server_that_does_not_keep_to_the_limit_is_cut_off() -> None:
    double = Double(answer=endless)
    double.keeps_limits = False
    async with talking(double, turn_tokens=25) as browser:
        identifier = await browser.start(turns=1)
        events = await browser.listen(identifier)
        assert next(event.data["reason"] for event in events if event.kind == "turn_end") == "length"
        assert len(said(events)[1].split()) <= 27
        await eventually(lambda: double.answering == 0, "the end of the model's answer")


async def test_all_turns_together_have_no_more_tokens_than_they_may(models: ModelServer) -> None:
    chosen = settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=20, total_tokens=50)
    async with dialogue(chosen) as browser:
        identifier = await browser.start(turns=40)
        events = await browser.listen(identifier)
        assert events[-1].data == {"state": "finished", "reason": "tokens"}
        assert (await browser.show(identifier))["tokens"] <= 50
        assert (await browser.post(identifier, "resume")).status_code == 409


class Hurried:
    """`asyncio` whose time-outs end when the test says so."""

    def __init__(self) -> None:
        self.seconds: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        self.seconds, self._made = seconds, asyncio.timeout(None)
        return self._made

    def end(self) -> None:
        self._made.reschedule(0)


async def test_time_runs_out_in_the_middle_of_a_turn_and_the_model_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = Hurried()
    monkeypatch.setattr(conversation, "asyncio", hurried)
    double = Double(answer=endless, tokens_per_second=50)
    async with talking(double, turn_tokens=5000, total_tokens=9000, seconds=200) as browser:
        identifier = await browser.start()
        await browser.listen(identifier, "token")
        assert hurried.seconds == 200
        hurried.end()
        events = await browser.listen(identifier)
        assert events[-1].data == {"state": "finished", "reason": "time"}
        assert said(events)[1]
        await eventually(lambda: double.answering == 0, "the end of the model's answer")


async def test_one_conversation_of_a_key_at_a_time() -> None:
    async with talking(Double(answer=endless, tokens_per_second=50)) as browser:
        first = await browser.start()
        second = await browser.http.post("/api/conversations", json={"topic": "more"})
        assert second.status_code == 409
        assert second.json()["error"]["running"] == [first]
        await browser.post(first, "stop")
        other = await browser.start("more")
        assert (await browser.post(first, "resume")).status_code == 409
        await browser.post(other, "stop")
        assert (await browser.post(first, "resume")).status_code == 200


async def test_the_service_is_full_at_its_limit() -> None:
    limits = {"conversations_per_key": 10, "conversations": 2}
    async with talking(Double(answer=endless, tokens_per_second=50), **limits) as browser:
        await browser.start()
        await browser.start()
        assert (await browser.http.post("/api/conversations", json={"topic": "x"})).status_code == 503


async def test_old_conversations_make_room() -> None:
    async with talking(Double(), conversations=2, kept=3) as browser:
        ids = []
        for _ in range(5):
            ids.append(await browser.start(turns=1))
            await browser.listen(ids[-1])
        codes = [(await browser.http.get(f"/api/conversations/{each}")).status_code for each in ids]
        assert codes == [404, 404, 200, 200, 200]


async def test_what_nobody_watches_stops_and_frees_the_model(clock: Clock) -> None:
    double = Double(answer=endless, tokens_per_second=50)
    async with talking(double, turn_tokens=10**5, total_tokens=10**6, unwatched_seconds=100) as browser:
        watched = await browser.start()
        listening = await browser.listening(watched, "state:finished")
        await clock.passes(1000)
        assert (await browser.show(watched))["state"] == "running", "somebody was watching"
        listening.cancel()
        await asyncio.wait([listening])
        await clock.passes(99)
        assert (await browser.show(watched))["state"] == "running", "somebody was watching a moment ago"
        await clock.passes(1000)
        shown = await browser.show(watched)
        assert (shown["state"], shown["reason"]) == ("stopped", "unwatched")
        assert double.answering == 0
        before = shown["said"][-1]["text"]
        assert (await browser.post(watched, "resume")).status_code == 200
        await browser.listen(watched, "token", after=10**6)
        assert (await browser.show(watched))["said"][-1]["text"].startswith(before)


async def test_the_stream_of_a_stopped_conversation_ends_so_that_the_service_can_sleep(clock: Clock) -> None:
    """Knative keeps a pod for as long as a request is open."""
    async with talking(Double(answer=endless, tokens_per_second=50), unwatched_seconds=100) as browser:
        identifier = await browser.start()
        path = f"/api/conversations/{identifier}/events"
        await browser.listen(identifier, "token")
        pausing = await browser.listening(identifier, "state:running", after=10**9)
        await browser.post(identifier, "stop")
        await clock.passes(99)
        await browser.post(identifier, "resume")
        assert [event.data["state"] for event in await pausing if event.kind == "state"] == ["stopped", "running"], (
            "who pauses for a moment is seen to go on by all"
        )

        await browser.post(identifier, "stop")
        await clock.passes(101)
        async with asyncio.timeout(PATIENCE):
            events = [event async for event in browser.watch(identifier)]
        assert events[-1].data == {"state": "stopped", "reason": "asked"}
        nothing = await browser.http.get(path, headers={"last-event-id": str(events[-1].id)})
        assert nothing.status_code == 204
        again = [event.id async for event in browser.watch(identifier)]
        assert again == [event.id for event in events], "who comes later is told all, and let go"

        await browser.post(identifier, "resume")
        assert (await browser.listen(identifier, "token", after=events[-1].id))[0].data["state"] == "running"


async def test_what_is_old_is_forgotten(clock: Clock) -> None:
    async with talking(Double(), keep_seconds=100) as browser:
        identifier = await browser.start(turns=1)
        await browser.listen(identifier)
        await clock.passes(99)
        assert (await browser.show(identifier))["state"] == "finished"
        await clock.passes(101)
        assert (await browser.http.get(f"/api/conversations/{identifier}")).status_code == 404


async def test_a_watcher_that_does_not_read_holds_nobody_up() -> None:
    def loud(_: str, __: list[dict[str, str]]) -> list[str]:
        return ["x" * 2000] * 2000

    async with talking(Double(answer=loud), turn_tokens=2000, total_tokens=4000, turn_chars=10**7) as browser:
        identifier = await browser.start(turns=1)
        host, port = browser.http.base_url.host, browser.http.base_url.port
        _, sleeper = await asyncio.open_connection(host, port, limit=1024)
        path = f"/api/conversations/{identifier}/events"
        sleeper.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await sleeper.drain()
        events = await browser.listen(identifier)
        assert len(said(events)[1]) == 4_000_000
        sleeper.close()


async def test_watchers_are_limited_and_heartbeats_keep_them() -> None:
    async with talking(Double(answer=endless, tokens_per_second=1), watchers=1, heartbeat_seconds=0.1) as browser:
        identifier = await browser.start()
        path = f"/api/conversations/{identifier}/events"
        async with browser.http.stream("GET", path) as response:
            beats = 0
            async for line in response.aiter_lines():
                beats += line == ": still here"
                if beats == 2:
                    break
            assert (await browser.http.get(path)).status_code == 503
        codes = []
        while 200 not in codes:  # it is seen in a moment that the first has gone
            async with browser.http.stream("GET", path) as response:
                codes.append(response.status_code)
        assert set(codes) <= {200, 503}


async def test_the_end_of_the_service_ends_streams_and_answers() -> None:
    double = Double(answer=endless, tokens_per_second=50)
    async with rig.serving(double.app) as url:
        async with rig.serving(server.make(settings(url, "Ada@tiny-a", "Bob@tiny-b"), log_level="critical")) as own:
            browser = Browser(own)
            identifier = await browser.start()
            await browser.listen(identifier, "token")
            listening = await browser.listening(identifier, "state:stopped")
        events = await listening
        await browser.http.aclose()
        assert events[-1].data == {"state": "stopped", "reason": "shutdown"}
        await eventually(lambda: double.answering == 0, "the end of the model's answer")
