"""Figures and states in words and signs that all pictures share. A state has sign and word, never colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

#: Stages of a node (`twin.view`) and states of a slot (`twin.watch.scene`), which are words for people too.
SIGNS: Mapping[str, str] = MappingProxyType(
    {
        "bought": "◌",
        "booting": "◔",
        "no GPU yet": "◑",
        "starting": "◐",
        "ready": "●",
        "leaving": "✕",
        "coming": "◌",
        "free": "○",
        "not offered yet": "┄",
    }
)
#: The order of a node's life.
STAGES = ("bought", "booting", "no GPU yet", "ready", "leaving")

_SIGNS = "◌◔◑◐●✕○┄·×…╭╮╰╯│─█▓▒░"
#: One ASCII character for each sign, for terminals that have no others.
_ASCII = str.maketrans(_SIGNS, ".ooo*x-?-x~++++|-#%=:")


def dollars(usd: float, *, fine: bool = False) -> str:
    """Dollars to a tenth of a cent; fine: to a hundredth of one, for small sums."""
    if usd >= 1000:
        return f"${usd:,.0f}"
    if usd >= 10:
        return f"${usd:.2f}"
    return f"${usd:.4f}" if fine and usd < 1 else f"${usd:.3f}"


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock(at: float) -> str:
    """The time of day here. at: seconds since 1970."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def moment(stamp: object) -> float:
    """Seconds since 1970 of an object's RFC 3339 time; 0 where there is none."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return 0.0


def count(number: int, one: str, many: str = "") -> str:
    """`1 node`, `2 nodes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def gib(mib: float) -> str:
    """MiB as GiB: `5.5 GiB`."""
    return f"{mib / 1024:,.1f} GiB"


def share(taken: int, total: int) -> str:
    """MiB of MiB: `15.1 of 22.5 GiB`."""
    return f"{taken / 1024:,.1f} of {gib(total)}"


def joined(*parts: str) -> str:
    """The parts that there are, with a dot between each two."""
    return " · ".join(filter(None, parts))


def shorten(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: max(0, most - 1)].rstrip() + "…"


def clean(text: str) -> str:
    """A text without what a terminal would obey and XML forbids, on one line: names and messages come from others.

    Every picture passes all that it writes through this.
    """
    return "".join(character if character.isprintable() else " " for character in text)


def in_ascii(text: str) -> str:
    """A text with our own signs in ASCII, as long as before."""
    return text.translate(_ASCII)


def writes_signs(encoding: str) -> bool:
    """Whether a terminal with that encoding has our signs."""
    try:
        _SIGNS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
