"""Who did what, from where, and how it ended: a line of JSON for each request that matters.

Lines hold names of keys, never a key. Ids of conversations are what lets people watch them, so a line has a digest.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

LOG = logging.getLogger("dialogue.audit")


def told(method: str, path: str) -> tuple[str, str]:
    """What a request asks for, in a word of a closed set, and the conversation's id or nothing."""
    _, _, *rest = path.split("/")
    identifier = rest[1] if len(rest) > 1 else ""
    match method, rest:
        case "GET" | "HEAD", ["session"]:
            return "session", ""
        case "GET" | "HEAD", ["conversations"]:
            return "list", ""
        case "POST", ["conversations"]:
            return "start", ""
        case "GET" | "HEAD", ["conversations", _]:
            return "show", identifier
        case "GET" | "HEAD", ["conversations", _, "events" | "transcript" as what]:
            return {"events": "watch"}.get(what, what), identifier
        case "POST", ["conversations", _, "stop" | "resume" | "guests" as what]:
            return {"guests": "invite"}.get(what, what), identifier
    return "other", ""


def write(*, who: str | None, action: str, conversation: str, address: str, status: int, code: str = "") -> None:
    """Log one line. who: name of the key, None where there was none that fits; code: of the error."""
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "audit": "dialogue",
        "who": who,
        "action": action,
        "from": address,
        "status": status,
        "result": code or HTTPStatus(status).phrase,
    }
    if conversation:
        line["conversation"] = digest(conversation)
    LOG.info(json.dumps(line, separators=(",", ":")))


def digest(identifier: str) -> str:
    """What stands for a conversation in the log: 12 hexadecimal digits."""
    return hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest()[:12]
