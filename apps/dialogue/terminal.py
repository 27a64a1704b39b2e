"""A conversation in the terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, TextIO

from dialogue import transcript
from dialogue.conversation import Conversation
from dialogue.hub import Hub
from dialogue.log import Event
from dialogue.settings import Settings

_COLOURS = ("36", "33", "35", "32")


class Screen:
    """Writes what is said to `out`, and what is waited for to `notes`."""

    def __init__(self, out: TextIO, notes: TextIO) -> None:
        self._out = out
        self._notes = notes
        self._colours = out.isatty()
        self._line_open = False
        self._names: list[str] = []

    def show(self, event: Event) -> None:
        """Write one event."""
        handler = getattr(self, f"_on_{event.kind}", None)
        if handler:
            handler(event.data)

    def _on_conversation(self, data: dict[str, Any]) -> None:
        self._names = [speaker["name"] for speaker in data["speakers"]]

    def _on_joined(self, data: dict[str, Any]) -> None:
        self._names.append(data["speaker"]["name"])

    def _on_turn(self, data: dict[str, Any]) -> None:
        name = data["speaker"]
        if self._colours:
            colour = _COLOURS[self._names.index(name) % len(_COLOURS)]
            name = f"\033[1;{colour}m{name}\033[0m"
        self._write(f"{name}: ")

    def _on_token(self, data: dict[str, Any]) -> None:
        self._write(visible(data["text"]))

    def _on_status(self, data: dict[str, Any]) -> None:
        if data["state"] in ("asking", "reading"):
            return
        retry = f", next try in {data['retry_seconds']:.0f} s" if data["retry_seconds"] else ""
        self._note(f"{data['label']} ({data['seen']}{retry})")

    def _on_resumed(self, data: dict[str, Any]) -> None:
        self._note("the answer goes on" if data["how"] == "continued" else "the answer starts again")

    def _on_turn_end(self, data: dict[str, Any]) -> None:
        self._close_line()
        if data["message"]:
            self._note(data["message"])
        self._write("\n")
        self._line_open = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
        self._line_open = not text.endswith("\n")

    def _note(self, text: str) -> None:
        self._close_line()
        self._notes.write(f"  · {visible(text)}\n")
        self._notes.flush()

    def _close_line(self) -> None:
        if self._line_open:
            self._write("\n")


def visible(text: str) -> str:
    """The text without what a terminal would obey: a model must not move the cursor or write to the clipboard."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


async def talk(settings: Settings, topic: str, personas: dict[str, str], save: Path | None = None) -> int:
    """Hold one conversation and show it. Returns 0, or 1 if a model failed. Raises `RequestError` and `OSError`."""
    screen = Screen(sys.stdout, sys.stderr)
    async with Hub(settings.model_copy(update={"store": None})).open() as hub:
        conversation = hub.start("terminal", topic, [each.name for each in settings.speakers], personas)
        try:
            with hub.watching(conversation, conversation.owner):
                await _show(conversation, screen)
        except asyncio.CancelledError:
            await hub.close()
            raise
        finally:
            if save:
                _, write = transcript.FORMATS.get(save.suffix.lstrip("."), transcript.FORMATS["md"])
                save.write_text(write(conversation), encoding="utf-8")
        return 0 if conversation.state == "finished" else 1


async def _show(conversation: Conversation, screen: Screen) -> None:
    position = 0
    log = conversation.log
    while position < log.last or conversation.state == "running":
        await log.wait(position)
        for event in log.read(position):
            screen.show(event)
            position = event.position


def run(settings: Settings, topic: str, personas: dict[str, str], save: Path | None = None) -> int:
    """`talk`, until its end or Ctrl-C (exit code 130).

    Raises as `talk` does, and `OSError` before it if `save` cannot be written: a conversation takes an hour.
    """
    if save:
        with save.open("a", encoding="utf-8"):
            pass
    try:
        return asyncio.run(talk(settings, topic, personas, save))
    except KeyboardInterrupt:
        return 130
    except ExceptionGroup as group:  # of the hub's tasks
        raise _first(group) from None


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
