"""Models that sleep, gateways that refuse, answers that break off: no request is lost, and the wait is told truly."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dialogue.endpoint import AsleepError, Endpoint
from dialogue.settings import Limits, Speaker
from tests.apps import rig
from tests.apps.gateway import Cut, Fault, Gateway, Hold, Insert, Refuse, Stall, Stop
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ModelServer, free_port
from tests.apps.rig import Browser, Heard, dialogue, said, settings, states

pytestmark = pytest.mark.anyio
WAKE = {"wake": {"node": 2.5, "image": 0.5, "weights": 0.5}}


@contextlib.asynccontextmanager
async def behind(
    models: ModelServer, *plan: Fault, also_others: bool = False, speaker: Any = None, **limits: Any
) -> AsyncIterator[tuple[Browser, Gateway]]:
    """The dialogue of two models behind a gateway with faults."""
    limits = {"turn_tokens": 200, **limits}
    async with (
        Gateway(models.url, plan, also_others=also_others) as gateway,
        rig.serving(gateway) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", speaker=speaker, **limits)) as browser,
    ):
        yield browser, gateway


async def undisturbed(models: ModelServer, **limits: Any) -> str:
    """What the first turn is when nothing goes wrong."""
    async with behind(models, **limits) as (browser, _):
        return said(await browser.listen(await browser.start(turns=1)))[1]


def ends(events: list[Heard]) -> list[str]:
    return [event.data["reason"] for event in events if event.kind == "turn_end"]


@pytest.mark.parametrize("status", [502, 503, 504, 429])
async def test_a_gateway_without_a_server_is_asked_again(models: ModelServer, status: int) -> None:
    async with behind(models, *[Refuse(status)] * 3, also_others=True) as (browser, gateway):
        events = await browser.listen(await browser.start(turns=1))
        assert said(events)[1]
        waits = [event.data for event in events if event.kind == "status" and event.data["retry_seconds"]]
        assert len(waits) == 3
        assert all(wait["label"] == "starting a GPU node" and wait["estimated"] for wait in waits)
        assert all(str(status) in wait["seen"] for wait in waits)
        assert [path for path, _ in gateway.seen].count("/api/chat") == 1, "the turn itself was asked for once"


async def test_pauses_grow_and_retry_after_is_kept(models: ModelServer) -> None:
    plan = [Refuse()] * 4 + [Refuse(503, {"retry-after": "1"})]
    async with behind(models, *plan, also_others=True, longest_retry_seconds=0.4) as (browser, gateway):
        events = await browser.listen(await browser.start(turns=1))
        pauses = [event.data["retry_seconds"] for event in events if event.kind == "status"]
        pauses = [pause for pause in pauses if pause]
        assert pauses[0] < pauses[2] < pauses[3]
        assert pauses[4] == 1
        times = [at for _, at in gateway.seen]
        assert times[5] - times[4] >= 1


async def test_a_held_request_shows_the_steps_and_is_not_made_twice(models: ModelServer) -> None:
    async with behind(models, Hold(4.2), also_others=True, speaker=WAKE, heartbeat_seconds=0.5) as (browser, gateway):
        events = await browser.listen(await browser.start(turns=1))
        assert states(events)[:5] == ["asking", "node", "image", "weights", "late"]
        guessed = [event.data for event in events if event.kind == "status" and event.data["state"] in ("node", "late")]
        assert all(status["estimated"] and status["seen"] == "no answer yet" for status in guessed)
        assert said(events)[1]
        assert len([path for path, _ in gateway.seen if path == "/api/ps"]) == 1


async def test_a_server_that_is_up_tells_whether_the_model_is_in_memory() -> None:
    double = Double()
    async with (
        rig.serving(double.app) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b")) as browser,
    ):
        first = await browser.listen(await browser.start(turns=2))
        loading = [event.data for event in first if event.kind == "status" and event.data["state"] == "weights"]
        assert [status["turn"] for status in loading] == [1, 2]
        assert not any(status["estimated"] for status in loading)
    async with (
        rig.serving(double.app) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b")) as browser,
    ):
        assert "reading" in states(await browser.listen(await browser.start(turns=2)))


async def test_a_gateway_that_lets_only_chats_through_will_do(models: ModelServer) -> None:
    async with behind(models) as (browser, gateway):
        gateway.concerns = lambda path, _: path == "/api/ps"
        gateway.always = Refuse(403)
        assert said(await browser.listen(await browser.start(turns=1)))[1]


async def test_no_connection_is_called_that() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with dialogue(settings(url, "Ada", "Bob", wake_seconds=0.5)) as browser:
        identifier = await browser.start()
        events = await browser.listen(identifier, "state:stopped")
        assert "unreachable" in states(events)
        assert events[-1].data["reason"] == "failure"
        end = next(event for event in events if event.kind == "turn_end")
        assert f"Ollama does not answer at {url}: is it running? `ollama serve`" in end.data["message"]
        assert (await browser.post(identifier, "resume")).status_code == 200


@pytest.mark.parametrize(
    ("host", "known", "words"),
    [
        ("localhost", True, "Ollama does not answer at http://localhost:9: is it running? `ollama serve`"),
        ("[::1]", True, "Ollama does not answer at http://[::1]:9: is it running? `ollama serve`"),
        ("gpu-box.example", True, "is Ollama running, and for others too? `OLLAMA_HOST=0.0.0.0 ollama serve`"),
        ("gpu-box.example", False, "there is no host of the name in this speaker's `url`"),
        ("m.models.svc.cluster.local", True, "the gateway before the models does not answer; `kubectl get pods"),
        ("m.models.svc", False, "the cluster has no service of that name; `kubectl get ksvc -A` lists"),
    ],
)
async def test_a_refused_connection_says_what_to_do_where_it_was_refused(
    host: str, known: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    speaker = Speaker(name="Ada", model="tiny-a", url=f"http://{host}:9")
    endpoint = Endpoint(speaker, Limits())
    for ask in (endpoint.loaded(), anext(endpoint.chat([{"role": "user", "content": "x"}], {}))):
        with pytest.raises(AsleepError) as seen:
            await ask
        assert words in str(seen.value)
        assert not seen.value.connected
        assert host in ("localhost", "[::1]") or host not in str(seen.value), "people who watch read it"
    await endpoint.close()


async def test_a_model_that_is_not_there_is_told_how_to_fetch(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@no-such-model", "Bob@tiny-b")) as browser:
        events = await browser.listen(await browser.start(), "state:stopped")
        end = next(event for event in events if event.kind == "turn_end")
        assert end.data["message"].startswith("the server answers 404: ")
        assert end.data["message"].endswith("; `ollama pull no-such-model` fetches it")


@pytest.mark.parametrize("fault", [Cut(20), Stop(20), Stall(20)], ids=lambda fault: type(fault).__name__)
async def test_an_answer_that_breaks_off_is_continued(models: ModelServer, fault: Fault) -> None:
    whole = await undisturbed(models)
    async with behind(models, fault, stall_seconds=0.5) as (browser, gateway):
        events = await browser.listen(await browser.start(turns=1))
        assert "interrupted" in states(events)
        assert [event.data["how"] for event in events if event.kind == "resumed"] == ["continued"]
        assert said(events)[1] == whole
        assert ends(events) in (["stop"], ["length"])
        assert [path for path, _ in gateway.seen].count("/api/chat") == 3, "two halves, and a look at the template"


@pytest.mark.parametrize(
    "content",
    [
        b'{"error":"an error was encountered while running the model: unexpected EOF"}\n',
        b'{"model":"tiny-a","message":{"role":"assistant","cont\n',
        b"<html>gateway</html>\n",
        b"[1, 2]\n",
        b'{"model":"tiny-a","done":false}\n',
        b'{"message":{"role":"assistant","content":7},"done":false}\n',
        b"\xff\xfe\xfd\n",
        b'{"message":' + b"[" * 100_000 + b"\n",
        b"x" * 1_200_000,
    ],
    ids=["error line", "half a line", "html", "no object", "no message", "no text", "no utf-8", "deep", "endless line"],
)
async def test_what_is_no_answer_is_not_shown_and_the_turn_goes_on(models: ModelServer, content: bytes) -> None:
    whole = await undisturbed(models, turn_tokens=60)
    async with behind(models, Insert(10, content), turn_tokens=60) as (browser, _):
        events = await browser.listen(await browser.start(turns=1))
        assert "interrupted" in states(events)
        assert said(events)[1] == whole


async def test_a_model_that_never_answers_well_stops_the_conversation_which_can_go_on(models: ModelServer) -> None:
    async with behind(models) as (browser, gateway):
        gateway.always = Insert(0, b'{"error":"out of memory"}\n')
        identifier = await browser.start(turns=1)
        events = await browser.listen(identifier, "state:stopped")
        end = next(event for event in events if event.kind == "turn_end")
        assert "out of memory" in end.data["message"]
        assert (await browser.show(identifier))["said"][0]["reason"] == "failed"
        gateway.always = None
        assert (await browser.post(identifier, "resume")).status_code == 200
        assert said(await browser.listen(identifier, after=events[-1].id))[1]


async def test_a_refusal_is_not_repeated(models: ModelServer) -> None:
    async with dialogue(settings(models.url, "Ada@nobody-has-this", "Bob@tiny-b")) as browser:
        events = await browser.listen(await browser.start(), "state:stopped")
        end = next(event for event in events if event.kind == "turn_end")
        assert "404" in end.data["message"]
        assert "not found" in end.data["message"]
        assert "interrupted" not in states(events)


async def test_many_interruptions_in_one_turn_lose_and_double_nothing(models: ModelServer) -> None:
    whole = await undisturbed(models)
    async with behind(models, *[Cut(3)] * 5) as (browser, _):
        events = await browser.listen(await browser.start(turns=1))
        assert said(events)[1] == whole
        assert len([event for event in events if event.kind == "resumed"]) == 5


async def first_turn(answer: list[str], fault: Fault) -> list[Heard]:
    """Events of a turn with an answer that is known, on a gateway with a fault."""
    async with (
        rig.serving(Double(answer=lambda *_: answer).app) as url,
        Gateway(url, [fault]) as gateway,
        rig.serving(gateway) as before,
        dialogue(settings(before, "Ada@tiny-a", "Bob@tiny-b")) as browser,
    ):
        return await browser.listen(await browser.start(turns=1))


@pytest.mark.parametrize("lines", range(1, 6))
async def test_an_answer_cut_between_paragraphs_goes_on_with_one_gap(lines: int) -> None:
    words = ["One.", "\n\n", "Two", " three", "\n", "- four"]
    assert said(await first_turn(words, Cut(lines)))[1] == "".join(words)


@pytest.mark.parametrize(
    "fault",
    [Stop(40), Insert(40, b'{"error":"prediction aborted, token repeat limit reached"}\n')],
    ids=["silently", "with an error"],
)
async def test_a_model_that_ollama_stops_for_repeating_itself_is_not_asked_to_go_on(fault: Fault) -> None:
    events = await first_turn(["So", *[" ha"] * 100], fault)
    assert ends(events) == ["repeat"]
    assert "interrupted" not in states(events)
    assert said(events)[1] == "So" + " ha" * 39


async def test_a_topic_larger_than_the_context_is_answered_nevertheless(models: ModelServer) -> None:
    topic = "the sea and the wind " * 150  # 3150 tokens of the tiny models, which hold 2048
    async with behind(models, topic_chars=4000, turn_tokens=20) as (browser, _):
        events = await browser.listen(await browser.start(topic, turns=2))
        assert all(said(events).values())
