"""Conversations against a model server: order, streaming, cancellation, interruption, many at once."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.apps import rig
from tests.apps.gateway import Gateway, Slow
from tests.apps.ollama_server import ModelServer
from tests.apps.rig import Browser, dialogue, said, settings, states

pytestmark = pytest.mark.anyio


async def test_two_speakers_take_turns_and_stream_in_order(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=30)) as browser:
        identifier = await browser.start(turns=4)
        events = await browser.listen(identifier)
        turns = [(event.data["turn"], event.data["speaker"]) for event in events if event.kind == "turn"]
        assert turns == [(1, "Ada"), (2, "Bob"), (3, "Ada"), (4, "Bob")]
        assert [event.id for event in events] == sorted({event.id for event in events})
        spoken = [event.data["turn"] for event in events if event.kind in ("turn", "token", "turn_end")]
        assert spoken == sorted(spoken), "a turn began before the one before it was over"
        shown = await browser.show(identifier)
        assert {turn["turn"]: turn["text"] for turn in shown["said"]} == said(events)
        assert all(said(events).values())
        assert shown["state"] == "finished"
        assert shown["reason"] == "turns"


async def test_tokens_come_one_by_one(models: ModelServer) -> None:
    async with (
        Gateway(models.url, [Slow(0.02)]) as gateway,
        rig.serving(gateway) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=60)) as browser,
    ):
        events = await browser.listen(await browser.start(turns=1))
        tokens = [event for event in events if event.kind == "token"]
        assert len(tokens) > 10
        end = next(event for event in events if event.kind == "turn_end")
        assert end.data["tokens_per_second"] > 0
        assert end.data["tokens"] >= len(tokens)


async def test_a_guest_joins_on_request(models: ModelServer) -> None:
    chosen = settings(models.url, "Ada@tiny-a", "Bob@tiny-b", guests=("Cleo@tiny-c",), turn_tokens=20)
    async with dialogue(chosen) as browser:
        identifier = await browser.start(turns=9)
        assert (await browser.post(identifier, "guests", speaker="Cleo")).status_code == 200
        assert (await browser.post(identifier, "guests", speaker="Cleo")).status_code == 409
        events = await browser.listen(identifier)
        names = [event.data["speaker"] for event in events if event.kind == "turn"]
        assert "Cleo" in names
        order = names[names.index("Cleo") :]
        assert order == list(itertools.islice(itertools.cycle(["Cleo", "Ada", "Bob"]), len(order)))
        assert [event.data["speaker"]["name"] for event in events if event.kind == "joined"] == ["Cleo"]


async def test_three_speakers_from_the_beginning(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@tiny-a", "Bob@tiny-b", "Cleo@tiny-c", turn_tokens=20)) as browser:
        events = await browser.listen(await browser.start(turns=6))
        assert [event.data["speaker"] for event in events if event.kind == "turn"] == ["Ada", "Bob", "Cleo"] * 2


async def test_stopping_frees_the_model_and_resuming_goes_on(models: ModelServer) -> None:
    chosen = settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=1500, total_tokens=3000)
    async with dialogue(chosen) as browser:
        identifier = await browser.start(turns=1)
        before = await browser.listen(identifier, "token")
        assert (await browser.post(identifier, "stop")).json() == {"state": "stopped"}
        shown = await browser.show(identifier)
        partial = shown["said"][0]["text"]
        assert shown["said"][0]["reason"] == "stopped"
        assert partial
        await asyncio.sleep(0.3)
        assert (await browser.show(identifier))["said"][0]["text"] == partial, "it went on after it was stopped"
        assert (await browser.post(identifier, "resume")).status_code == 200
        events = before + await browser.listen(identifier, after=before[-1].id)
        assert [event.data["how"] for event in events if event.kind == "resumed"] == ["continued"]
        whole = (await browser.show(identifier))["said"][0]["text"]
        assert whole == said(events)[1]
        assert whole.startswith(partial)
        uninterrupted = await _alone(chosen.model_copy(), turns=1)
        assert whole == uninterrupted


async def _alone(chosen, turns: int) -> str:  # type: ignore[no-untyped-def]
    """The first turn as it is when nothing happens."""
    async with dialogue(chosen) as browser:
        return said(await browser.listen(await browser.start(turns=turns)))[1]


@pytest.mark.parametrize(("suffix", "how"), [("", "continued"), ("-closed", "restarted")])
async def test_a_server_killed_mid_stream_comes_back_and_the_turn_goes_on(
    models: ModelServer, suffix: str, how: str
) -> None:
    names = (f"Ada@tiny-a{suffix}", f"Bob@tiny-b{suffix}")
    chosen = settings(models.url, *names, turn_tokens=1500, total_tokens=9000, retry_seconds=0.2)
    uninterrupted = await _alone(chosen, turns=1)
    async with dialogue(chosen) as browser:
        identifier = await browser.start(turns=1)
        events = await browser.listen(identifier, "token")
        await asyncio.to_thread(models.kill)
        more = await browser.listen(identifier, "status:unreachable", after=events[-1].id)
        await asyncio.to_thread(models.start)
        events += more + await browser.listen(identifier, after=more[-1].id)
        assert [event.data["how"] for event in events if event.kind == "resumed"] == [how]
        assert {"interrupted", "unreachable"} <= set(states(events))
        assert said(events)[1] == uninterrupted
        assert (await browser.show(identifier))["said"][0]["text"] == uninterrupted


async def test_fifty_conversations_at_once_are_neither_lost_nor_mixed_up(models: ModelServer) -> None:
    chosen = settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=12, conversations_per_key=50)
    topics = [f"topic {number}" for number in range(50)]
    async with dialogue(chosen) as browser:

        async def one(topic: str) -> dict[int, str]:
            identifier = await browser.start(topic, turns=2)
            events = await browser.listen(identifier)
            assert events[0].data["topic"] == topic
            shown = await browser.show(identifier)
            assert {turn["turn"]: turn["text"] for turn in shown["said"]} == said(events)
            return said(events)

        together = await asyncio.gather(*(one(topic) for topic in topics))
    assert all(len(texts) == 2 and all(texts.values()) for texts in together)
    async with dialogue(chosen) as browser:
        for topic, texts in list(zip(topics, together, strict=True))[::10]:
            assert said(await browser.listen(await browser.start(topic, turns=2))) == texts, topic


async def test_a_watcher_that_comes_back_misses_nothing_and_hears_nothing_twice(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@tiny-a", "Bob@tiny-b", turn_tokens=60)) as browser:
        identifier = await browser.start(turns=2)
        whole = await browser.listen(identifier)
        for cut in {1, len(whole) // 2, len(whole) - 1}:
            again = await browser.listen(identifier, after=whole[cut - 1].id)
            assert said(whole[:cut] + again) == said(whole)
        assert await _status(browser, identifier, whole[-1].id) == 204
        assert await _status(browser, identifier, 10**8) == 204
        assert said(await browser.listen(identifier, after=None)) == said(whole)


async def _status(browser: Browser, identifier: str, after: int) -> int:
    path = f"/api/conversations/{identifier}/events"
    return (await browser.http.get(path, headers={"last-event-id": str(after)})).status_code
