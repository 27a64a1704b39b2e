"""What was said, as a file to keep."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from dialogue.conversation import Conversation


def file_name(conversation: Conversation, extension: str) -> str:
    """A name that says what it is about, in plain letters."""
    words = re.findall(r"[a-z0-9]+", conversation.topic.lower())
    return "-".join(["dialogue", *words[:6], conversation.began.strftime("%Y%m%d")])[:80] + f".{extension}"


def markdown(conversation: Conversation) -> str:
    """For people, with headings."""
    topic = " ".join(conversation.topic.split())
    lines = [f"# {topic}", "", *([f"> {conversation.notice}", ""] if conversation.notice else [])]
    for speaker in conversation.speakers:
        persona = " ".join(speaker.persona.split())
        lines.append(f"- **{speaker.name}** ({speaker.model}){f': {persona}' if persona else ''}")
    lines += ["", f"{conversation.began:%Y-%m-%d %H:%M} UTC, {conversation.tokens} tokens", ""]
    for turn in conversation.turns:
        rate = f" · {turn.rate} tokens/s" if turn.rate else ""
        ending = {"length": " […]", "stopped": " [stopped]", "failed": " [broken off]"}.get(turn.reason, "")
        lines += [f"## {turn.number}. {turn.speaker}{rate}", "", turn.text.strip() + ending, ""]
    return "\n".join(lines)


def plain(conversation: Conversation) -> str:
    """For people, without any markup."""
    said = [f"{turn.speaker}: {turn.text.strip()}" for turn in conversation.turns if turn.text.strip()]
    notice = [conversation.notice] if conversation.notice else []
    return "\n\n".join([conversation.topic, *notice, *said]) + "\n"


def machine(conversation: Conversation) -> str:
    """For programs: the snapshot as JSON."""
    return json.dumps(conversation.snapshot(), ensure_ascii=False, indent=2) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Conversation], str]]] = {
    "md": ("text/markdown", markdown),
    "txt": ("text/plain", plain),
    "json": ("application/json", machine),
}
