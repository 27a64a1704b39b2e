"""The parts that need no server: log, prompts, waiting states, lines, settings, transcripts."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue import ndjson, prompt, settings, terminal, transcript, waiting
from dialogue.conversation import Conversation
from dialogue.log import BATCH_CHARS, BATCH_EVENTS, Event, Log
from dialogue.settings import Limits, SettingsError, Speaker, Wake
from dialogue.turn import Turn

WAKE = Wake(node=60, image=30, weights=20)
ADA = Speaker(name="Ada", model="a", url="http://a", persona="Dry.", context_tokens=600)


def drain(log: Log, position: int = 0) -> list[Event]:
    events: list[Event] = []
    while more := log.read(events[-1].position if events else position):
        events += more
    return events


@given(st.lists(st.one_of(st.text(max_size=5), st.just(None)), max_size=60), st.data())
def test_whoever_reads_a_log_in_whatever_pieces_gets_all_of_it_once(entries: list[str | None], data: Any) -> None:
    log = Log()
    for entry in entries:
        if entry is None:
            log.add("turn")
        else:
            log.add_text(entry)
    whole = drain(log)
    text = "".join("|" if entry is None else entry for entry in entries)
    assert "".join(event.data.get("text", "|") for event in whole) == text
    assert sum(event.data.get("tokens", 0) for event in whole) == sum(entry is not None for entry in entries)
    cut = data.draw(st.integers(0, len(entries)))
    rest = "".join(event.data.get("text", "|") for event in drain(log, cut))
    assert rest == "".join("|" if entry is None else entry for entry in entries[cut:])
    turns = [event.data["turn"] for event in whole if event.kind == "token"]
    assert turns == sorted(turns)


def test_one_reading_of_a_log_is_bounded() -> None:
    log = Log()
    for _ in range(2000):
        log.add_text("x" * 100)
    assert sum(len(event.data["text"]) for event in log.read(0)) < BATCH_CHARS + 100
    for _ in range(2000):
        log.add("status")
    assert len(log.read(2000)) == BATCH_EVENTS


async def _lines(*chunks: bytes) -> list[dict[str, Any]]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in ndjson.objects(stream())]


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=6)), max_size=6), st.data())
def test_lines_are_found_wherever_the_bytes_are_cut(values: list[dict[str, str]], data: Any) -> None:
    content = b"".join(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for value in values)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    chunks = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    found = asyncio.run(_lines(*chunks))
    assert found == [json.loads(line) for line in content.split(b"\n") if line]


def test_a_line_is_not_cut_at_characters_that_only_look_like_its_end() -> None:
    # What `str.splitlines` splits at, and Go leaves in its JSON.
    value = {"content": "next line: \u0085, and \u2028"}
    assert asyncio.run(_lines(json.dumps(value, ensure_ascii=False).encode() + b"\n")) == [value]


@pytest.mark.parametrize(
    ("seconds", "awake", "state", "estimated"),
    [
        (0.5, False, "asking", False),
        (2, False, "node", True),
        (59, False, "node", True),
        (61, False, "image", True),
        (91, False, "weights", True),
        (111, False, "late", True),
        (0.5, True, "asking", False),
        (100, True, "waiting", False),
    ],
)
def test_a_held_request_is_told_by_its_time(seconds: float, awake: bool, state: str, estimated: bool) -> None:
    status = waiting.held(seconds, WAKE, awake)
    assert (status.state, status.estimated) == (state, estimated)


def test_states_change_at_the_moments_that_are_named() -> None:
    for awake in (False, True):
        moments = waiting.moments(WAKE, awake)
        told = [waiting.held(moment, WAKE, awake).state for moment in moments]
        assert len(set(told)) == len(told)
        assert [waiting.held(moment - 0.01, WAKE, awake).state for moment in moments][1:] == told[:-1]


def test_a_step_without_length_is_left_out() -> None:
    assert waiting.held(2, Wake(node=0, image=0, weights=20), awake=False).state == "weights"


def test_a_speaker_hears_the_others_as_the_user_and_itself_as_the_assistant() -> None:
    said = [("Ada", "one"), ("Bob", "two"), ("Ada", "three"), ("Bob", "four")]
    chat = prompt.messages(ADA, ["Bob"], "the sea", said, 100)
    assert [(each["role"], each["content"]) for each in chat[1:]] == [
        ("user", "Please begin."),
        ("assistant", "one"),
        ("user", "two"),
        ("assistant", "three"),
        ("user", "four"),
    ]
    assert "You are Ada. Dry." in chat[0]["content"]
    assert "the sea" in chat[0]["content"]
    assert "Bob" in chat[0]["content"]


def test_several_others_are_told_apart_by_their_names() -> None:
    chat = prompt.messages(ADA, ["Bob", "Cleo"], "x", [("Bob", "one"), ("Cleo", "two"), ("Ada", "three")], 100)
    assert [each["content"] for each in chat[1:]] == ["Bob: one\n\nCleo: two", "three"]


@given(st.lists(st.text(min_size=1, max_size=900), max_size=12), st.integers(1, 300))
def test_a_chat_fits_its_context_and_keeps_what_was_said_last(texts: list[str], answer: int) -> None:
    said = [("Ada" if number % 2 else "Bob", text) for number, text in enumerate(texts)]
    chat = prompt.messages(ADA, ["Bob"], "x", said, answer)
    roles = [each["role"] for each in chat]
    assert roles[:2] == ["system", "user"]
    assert all(one != other for one, other in itertools.pairwise(roles)), "roles take turns"
    spoken = [text for text in texts if text.strip()]
    if spoken:
        assert spoken[-1] in chat[-1]["content"]
    if len(chat) > 3:
        assert sum(prompt.tokens(each["content"]) for each in chat) + answer <= ADA.context_tokens


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Ada", ":", " Hello"], "Hello"),
        (["  ", "Ada: ", "Hello"], "Hello"),
        (["**Ada:**", " Hello"], "Hello"),
        (["**Ada**", ": Hello"], "Hello"),
        (["[Ada]: Hello"], "Hello"),
        (["A", "d", "mirable"], "Admirable"),
        (["Ada said so"], "Ada said so"),
        (["Hello", " Ada: you"], "Hello Ada: you"),
        (["Ada"], "Ada"),
        (["Ada: ", "Ada: twice"], "Ada: twice"),
        ([" ", "\n"], ""),
    ],
)
def test_a_speakers_own_name_is_taken_off_the_beginning(pieces: list[str], expected: str) -> None:
    opening = prompt.Opening("Ada")
    assert "".join(opening.take(piece) for piece in pieces) + opening.rest() == expected


def test_settings_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.json"
    speakers = [{"name": name, "model": name, "url": f"http://{name}/"} for name in ("a", "b")]
    path.write_text(json.dumps({"speakers": speakers, "limits": {"turns": 4}, "port": 1}))
    environment = {"DIALOGUE_PORT": "81", "DIALOGUE_HOST": "::1", "DIALOGUE_TRUSTED_PROXIES": "10.0.0.0/8, 10.1.2.3"}
    loaded = settings.load(path, environment, title="Talk")
    assert (loaded.port, loaded.host, loaded.title, loaded.limits.turns) == (81, "::1", "Talk", 4)
    assert loaded.speakers[0].url == "http://a"
    assert loaded.trusted_proxies == ("10.0.0.0/8", "10.1.2.3")


def test_all_that_is_wrong_with_settings_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.json"
    wrong = {"speakers": [{"name": "a\n", "model": "m", "url": "ftp://a"}], "limits": {"turns": 0}, "prot": 1}
    path.write_text(json.dumps(wrong))
    with pytest.raises(SettingsError) as caught:
        settings.load(path, {})
    told = str(caught.value)
    for place in ("speakers.0.name", "speakers.0.url", "limits.turns", "prot"):
        assert place in told
    with pytest.raises(SettingsError, match="at least two that are not guests"):
        settings.load(None, {}, speakers=[ADA, ADA.model_copy(update={"guest": True})])
    with pytest.raises(SettingsError, match="two are named ada"):
        settings.load(None, {}, speakers=[ADA, ADA, ADA.model_copy(update={"name": "b"})])
    path.write_text("[")
    with pytest.raises(SettingsError, match=r"dialogue\.json"):
        settings.load(path, {})


def test_what_is_wrong_in_the_environment_is_told_by_its_variable() -> None:
    environment = {"DIALOGUE_PORT": "tcp://10.0.0.1:80", "DIALOGUE_KEYS_FILE": ""}
    both = [ADA, ADA.model_copy(update={"name": "Bob"})]
    with pytest.raises(SettingsError, match=r"^DIALOGUE_PORT: Input should be a valid integer"):
        settings.load(None, environment, speakers=both)
    assert settings.load(None, environment, speakers=both, port=81).port == 81
    with pytest.raises(SettingsError, match=r"^port: "):
        settings.load(None, environment, speakers=both, port=-1)


def _conversation() -> Conversation:
    speakers = [ADA, Speaker(name="Bob", model="b", url="http://b")]
    conversation = Conversation("id", "me", "Is a hot dog\n a sandwich?", speakers, {}, Limits(), 2)
    conversation.turns = [
        Turn(1, "Ada", ["Ye", "s."], tokens=2, seconds=0.1, reason="stop"),
        Turn(2, "Bob", ["No"], 1, reason="length"),
    ]
    return conversation


def test_transcripts_hold_what_was_said() -> None:
    conversation = _conversation()
    for extension, (_, write) in transcript.FORMATS.items():
        text = write(conversation)
        assert "Yes." in text, extension
        assert "http://" not in text, "addresses stay inside"
    assert json.loads(transcript.machine(conversation))["said"][0]["text"] == "Yes."
    assert "## 1. Ada · 20.0 tokens/s" in transcript.markdown(conversation)
    assert "No […]" in transcript.markdown(conversation)
    assert transcript.file_name(conversation, "md").startswith("dialogue-is-a-hot-dog-a-sandwich-")


def test_a_file_name_is_plain_whatever_the_topic() -> None:
    conversation = _conversation()
    conversation.topic = '../../"\r\nx-evil: 1 ' + "日本" * 50
    name = transcript.file_name(conversation, "md")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert ".." not in name


def test_a_model_cannot_command_the_terminal() -> None:
    out, notes = io.StringIO(), io.StringIO()
    screen = terminal.Screen(out, notes)
    screen.show(Event(1, "conversation", {"speakers": [{"name": "Ada"}]}))
    screen.show(Event(2, "turn", {"speaker": "Ada"}))
    screen.show(Event(3, "token", {"text": "a\x1b]52;c;ZXZpbA==\x07b\x9b31mc\rd\u202ee\nf"}))
    status = {"state": "node", "label": "waking\x1b[2J", "seen": "x", "retry_seconds": None}
    screen.show(Event(4, "status", status))
    assert out.getvalue() == "Ada: a]52;c;ZXZpbA==b31mcde\nf\n"
    assert "\x1b" not in notes.getvalue()
