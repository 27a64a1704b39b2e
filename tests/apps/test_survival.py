"""Conversations survive: real processes that are killed, replaced, or whose store fails, on one store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialogue.hub import Hub
from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ROOT, free_port
from tests.apps.rig import QUICK, Browser, Heard, said, settings
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.anyio
KILLS = 20
TURNS = 24
#: Seconds; a process that was killed is given up soon, so that the test is short.
LEASE = 0.6


@pytest.fixture(params=["file", "table"])
def table(request: pytest.FixtureRequest) -> Mapping[str, str] | None:
    """Variables that lead a process to a table; none where conversations are kept in a file."""
    if request.param == "file":
        return None
    name: str = request.getfixturevalue("dynamodb")("survival")
    return {"DIALOGUE_STORE_TABLE": name}


class Service:
    """The service as processes, one after the other or two at once, on one store."""

    def __init__(self, folder: Path, url: str, table: Mapping[str, str] | None = None, **limits: Any) -> None:
        """table: variables of the environment that lead to a table, instead of a file in the folder."""
        self.store = folder / "talks.sqlite"
        self.table = table
        self.port = free_port()
        self.log = folder / "service.log"
        names = (("Ada", "tiny-a"), ("Bob", "tiny-b"))
        speakers = [{"name": name, "model": model, "url": url} for name, model in names]
        chosen = {**QUICK, "most_turns": 100, "total_tokens": 100_000, "lease_seconds": LEASE, **limits}
        self.config = folder / "dialogue.json"
        self.config.write_text(json.dumps({"speakers": speakers, "limits": chosen}))

    async def start(self, port: int = 0, before: Sequence[str] = ()) -> Process:
        """Start a process, and wait until it answers. before: the command that runs it."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "apps"), **(self.table or {})}
        port = port or self.port
        arguments = ["serve", "--config", str(self.config), "--port", str(port)]
        if self.table is None:
            arguments += ["--store", str(self.store)]
        with self.log.open("ab") as log:
            command = [*before, sys.executable, "-m", "dialogue", *arguments]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=log, stderr=log, env=environment
            )
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/healthz")
                    return process
                assert process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.02)


class Page:
    """What the page does: follows a conversation, comes back with the last id, and keeps what it has shown."""

    def __init__(self, *urls: str) -> None:
        self.urls = list(urls)
        self.events: list[Heard] = []

    async def follow(self, identifier: str, until: str = "finished") -> None:
        """Until the conversation has the state."""
        turn = 0
        while not self.over(until):
            browser = Browser(self.urls[turn % len(self.urls)])
            turn += 1
            try:
                last = self.events[-1].id if self.events else None
                async with contextlib.aclosing(browser.watch(identifier, last)) as watching:  # type: ignore[type-var]
                    async for event in watching:
                        self.events.append(event)
                        if self.over(until):
                            break
            except (httpx.TransportError, AssertionError):
                await asyncio.sleep(0.05)
            finally:
                await browser.http.aclose()

    def over(self, until: str) -> bool:
        """Whether the last state is that one."""
        states = [event.data["state"] for event in self.events if event.kind == "state"]
        return bool(states) and states[-1] == until


def finished(events: list[Heard]) -> dict[int, int]:
    """How often each turn came to its end, as the page was told."""
    ends = [event.data["turn"] for event in events if event.kind == "turn_end" and event.data["reason"] == "stop"]
    return {turn: ends.count(turn) for turn in ends}


async def undisturbed(url: str, turns: int) -> dict[int, str]:
    """What is said where nothing happens."""
    chosen = settings(url, "Ada@tiny-a", "Bob@tiny-b", most_turns=100, total_tokens=100_000)
    async with rig.dialogue(chosen) as browser:
        return said(await browser.listen(await browser.start(turns=turns)))


@contextlib.asynccontextmanager
async def ended(*processes: Process) -> AsyncIterator[list[Process]]:
    """Processes that are killed at the end."""
    running = list(processes)
    try:
        yield running
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def shown(url: str, identifier: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(f"/api/conversations/{identifier}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


async def begun(url: str, turns: int = TURNS) -> str:
    browser = Browser(url)
    try:
        return await browser.start(turns=turns)
    finally:
        await browser.http.aclose()


def complain(service: Service) -> None:
    log = service.log.read_text()
    assert "Traceback" not in log, log


@pytest.mark.timeout(10 * PATIENCE, func_only=True)  # twenty starts of a process, also on a busy machine
async def test_killed_at_twenty_random_moments_it_loses_nothing_and_says_nothing_twice(
    tmp_path: Path, table: Mapping[str, str] | None
) -> None:
    chance = random.Random(20261129)
    double = Double(tokens_per_second=60)
    async with rig.serving(double.app) as model:
        service = Service(tmp_path, model, table)
        url = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start()) as processes:
            identifier = await begun(url, turns=60)
            page = Page(url)
            following = asyncio.create_task(page.follow(identifier))
            before: dict[int, str] = {}
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.1, 1.5))
                ends = finished(page.events)
                processes[-1].kill()
                await processes[-1].wait()
                processes.append(await service.start())
                now = {turn["turn"]: turn["text"] for turn in (await shown(url, identifier))["said"]}
                assert set(ends) <= set(now), "a turn that was seen to end is lost"
                assert all(now[turn] == text for turn, text in before.items()), "a finished turn has changed"
                before = {turn: now[turn] for turn in finished(page.events) if turn in now}
            double.tokens_per_second = 0
            await following
            whole = await shown(url, identifier)
    complain(service)
    assert whole["reason"] == "turns"
    texts = {turn["turn"]: turn["text"] for turn in whole["said"]}
    assert list(texts) == list(range(1, 61))
    assert said(page.events) == texts, "the page shows something else than the transcript"
    assert set(finished(page.events).values()) == {1}, "a turn was said twice"
    async with rig.serving(Double().app) as model:
        assert texts == await undisturbed(model, 60), "a restart has changed what they say"


async def test_a_new_revision_takes_over_in_the_middle_of_a_turn(
    tmp_path: Path, table: Mapping[str, str] | None
) -> None:
    """The old one lets go when it is told to end: its lease, which is long, need not run out."""
    double = Double(tokens_per_second=60)
    async with rig.serving(double.app) as model:
        service = Service(tmp_path, model, table, lease_seconds=10 * PATIENCE)
        other = free_port()
        old, new = (f"http://127.0.0.1:{port}" for port in (service.port, other))
        async with ended(await service.start()) as processes:
            identifier = await begun(old, turns=30)
            page = Page(old, new)
            following = asyncio.create_task(page.follow(identifier))
            await eventually(lambda: any(event.data["turn"] == 3 for event in page.events if event.kind == "token"))
            double.speaks.clear()
            processes.append(await service.start(other))
            async with httpx.AsyncClient(base_url=new) as client:
                refused = await client.post(f"/api/conversations/{identifier}/stop", json={})
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "elsewhere")
            read = Page(new)
            reading = asyncio.create_task(read.follow(identifier))
            processes[0].send_signal(signal.SIGTERM)
            assert await processes[0].wait() in (0, -signal.SIGTERM)
            double.tokens_per_second = 0
            double.speaks.set()
            await asyncio.gather(following, reading)
            whole = await shown(new, identifier)
        complain(service)
        texts = {turn["turn"]: turn["text"] for turn in whole["said"]}
        assert said(page.events) == said(read.events) == texts
        assert set(finished(page.events).values()) == {1}
        how = [event.data["how"] for event in page.events if event.kind == "resumed"]
        assert how in (["continued"], []), "what was half said goes on"
        assert texts == await undisturbed(model, 30)


async def test_of_two_pods_one_holds_a_conversation_and_the_other_shows_it(
    tmp_path: Path, table: Mapping[str, str] | None
) -> None:
    double = Double(tokens_per_second=100)
    async with rig.serving(double.app) as model:
        service = Service(tmp_path, model, table)
        ports = (service.port, free_port())
        one, other = (f"http://127.0.0.1:{port}" for port in ports)
        async with ended(await service.start(ports[0]), await service.start(ports[1])) as processes:
            identifier = await begun(one, turns=8)
            pages = [Page(one), Page(other)]
            following = [asyncio.create_task(page.follow(identifier)) for page in pages]
            await eventually(lambda: finished(pages[0].events), "a whole turn")
            double.speaks.clear()
            await eventually(lambda: finished(pages[1].events), "that turn on the other")
            # It is silent for longer than its lease: the other takes over, and it must notice when it wakes.
            processes[0].send_signal(signal.SIGSTOP)
            turns = len(finished(pages[1].events))
            double.speaks.set()
            await eventually(lambda: len(finished(pages[1].events)) > turns, "a turn with the other")
            processes[0].send_signal(signal.SIGCONT)
            await asyncio.gather(*following)
            seen = [await shown(url, identifier) for url in (one, other)]
        complain(service)
        texts = [{turn["turn"]: turn["text"] for turn in each["said"]} for each in seen]
        assert texts[0] == texts[1] == said(pages[0].events) == said(pages[1].events)
        assert all(set(finished(page.events).values()) == {1} for page in pages)
        assert texts[0] == await undisturbed(model, 8)


async def test_a_full_store_is_told_and_what_was_said_meanwhile_is_kept_later(tmp_path: Path) -> None:
    async with rig.serving(Double(tokens_per_second=100).app) as model:
        service = Service(tmp_path, model)
        url = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start()) as processes:
            identifier = await begun(url, turns=10)
            page = Page(url)
            following = asyncio.create_task(page.follow(identifier))
            await eventually(lambda: finished(page.events), "a whole turn")
            free = resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE)
            resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE, (service.store.stat().st_size, free[1]))
            await eventually(lambda: any(event.kind == "store" for event in page.events), "word of the store")
            assert [event.data["ok"] for event in page.events if event.kind == "store"] == [False]
            turns = len(finished(page.events))
            await eventually(lambda: len(finished(page.events)) >= turns + 2, "two further turns")
            resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE, free)
            await following
            assert [event.data["ok"] for event in page.events if event.kind == "store"] == [False, True]
            processes[0].kill()
            await processes[0].wait()
            processes.append(await service.start())
            whole = await shown(url, identifier)
        assert "conversations cannot be kept" in service.log.read_text()
        complain(service)
        assert {turn["turn"]: turn["text"] for turn in whole["said"]} == said(page.events)
        assert whole["state"] == "finished"
        assert sqlite3.connect(service.store).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("back", [True, False])
async def test_a_store_that_is_gone_stops_nobody(tmp_path: Path, back: bool) -> None:
    async with rig.serving(Double(tokens_per_second=100).app) as model:
        service = Service(tmp_path, model)
        service.store = tmp_path / "volume" / "talks.sqlite"
        service.store.parent.mkdir()
        url = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start()) as processes:
            identifier = await begun(url, turns=8)
            page = Page(url)
            following = asyncio.create_task(page.follow(identifier))
            await eventually(lambda: finished(page.events), "a whole turn")
            shutil.rmtree(service.store.parent)
            await eventually(lambda: any(event.kind == "store" for event in page.events), "word of the store")
            if back:
                service.store.parent.mkdir()
            await following
            whole = await shown(url, identifier)
            assert {turn["turn"]: turn["text"] for turn in whole["said"]} == said(page.events)
            async with httpx.AsyncClient(base_url=url) as client:
                assert (await client.get(f"/api/conversations/{identifier}/transcript")).status_code == 200
                assert (await client.get("/api/session")).json()["store"] == {"kept": True, "problem": not back}
                listed = (await client.get("/api/conversations")).json()["conversations"]
                assert [each["id"] for each in listed] == [identifier]
            processes[0].kill()
            await processes[0].wait()
            if back:
                processes.append(await service.start())
                again = await shown(url, identifier)
                assert again["said"] == whole["said"]
        complain(service)


#: Takes away what lets root write everywhere.
LIKE_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root writes everywhere, without setpriv")
async def test_a_store_that_becomes_read_only_stops_nobody(tmp_path: Path) -> None:
    async with rig.serving(Double(tokens_per_second=100).app) as model:
        service = Service(tmp_path, model)
        folder = tmp_path / "volume"
        service.store = folder / "talks.sqlite"
        folder.mkdir()
        url = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start(before=LIKE_OTHERS if os.getuid() == 0 else ())) as processes:
            identifier = await begun(url, turns=8)
            page = Page(url)
            following = asyncio.create_task(page.follow(identifier))
            await eventually(lambda: finished(page.events), "a whole turn")
            service.store.chmod(0o444)
            folder.chmod(0o555)
            await eventually(lambda: any(event.kind == "store" for event in page.events), "word of the store")
            kept = await asyncio.to_thread(service.store.read_bytes)
            turns = len(finished(page.events))
            await eventually(lambda: len(finished(page.events)) >= turns + 2, "two further turns")
            assert service.store.read_bytes() == kept
            folder.chmod(0o755)
            service.store.chmod(0o644)
            await following
            assert [event.data["ok"] for event in page.events if event.kind == "store"] == [False, True]
            processes[0].kill()
            await processes[0].wait()
            processes.append(await service.start())
            whole = await shown(url, identifier)
        complain(service)
        assert {turn["turn"]: turn["text"] for turn in whole["said"]} == said(page.events)


async def test_a_store_that_is_none_is_told_and_left_alone(tmp_path: Path) -> None:
    async with rig.serving(Double().app) as model:
        service = Service(tmp_path, model)
        service.store.write_bytes(b"something else" * 1000)
        url = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start()):
            page = Page(url)
            await page.follow(await begun(url, turns=2))
        assert service.store.read_bytes() == b"something else" * 1000
        assert "file is not a database" in service.log.read_text()
        complain(service)


async def test_conversations_are_listed_by_key_and_deleted_when_their_time_is_over(tmp_path: Path) -> None:
    now = [time.time()]
    async with rig.serving(Double().app) as model:
        chosen = settings(model, "Ada@tiny-a", "Bob@tiny-b", turns=2, keep_seconds=1000)
        chosen = chosen.model_copy(update={"store": tmp_path / "talks.sqlite"})
        async with Hub(chosen, clock=lambda: now[0]).open() as hub:
            talk = hub.start("ada", "the deep blue sea")
            await eventually(lambda: talk.state == "finished")
            assert [each["id"] for each in hub.belonging_to("ada")] == [talk.id]
            assert hub.belonging_to("bob") == []
        async with Hub(chosen, clock=lambda: now[0]).open() as hub:
            now[0] += 999
            hub.forget_old()
            (listed,) = hub.belonging_to("ada")
            del listed["began"]
            assert listed == {"id": talk.id, "topic": "the deep blue sea", "state": "finished", "turns": 2}
            assert hub.find(talk.id).snapshot() == talk.snapshot()
            now[0] += 2
            with hub.watching(hub.find(talk.id), "ada"):
                hub.forget_old()
                assert hub.belonging_to("ada"), "somebody watches it"
            hub.forget_old()
            assert hub.belonging_to("ada") == []
        assert b"deep blue" not in (tmp_path / "talks.sqlite").read_bytes(), "deleted text can still be read"
