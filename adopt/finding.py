"""One thing that a report says of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["fits", "missing", "note", "unseen"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about the cluster. line: what to set or run, where something is to be done."""

    status: Status
    about: str
    text: str
    line: str = ""


def fits(about: str, text: str) -> Finding:
    """It is as the stack needs it."""
    return Finding(status="fits", about=about, text=text)


def note(about: str, text: str, line: str = "") -> Finding:
    """Somebody should know it."""
    return Finding(status="note", about=about, text=text, line=line)


def missing(about: str, text: str, line: str = "") -> Finding:
    """Something is to be done first."""
    return Finding(status="missing", about=about, text=text, line=line)


def unseen(about: str, text: str, line: str = "") -> Finding:
    """Nobody could see it."""
    return Finding(status="unseen", about=about, text=text, line=line)
