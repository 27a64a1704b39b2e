"""Problems in a stack file: each with its full key, its value, what is allowed and, where there is one, a spelling."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PROJECT: Final = "gpu-slices"

#: Stands for "no value": the key is missing.
MISSING: Final = object()

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: Characters of a value that a message shows.
_SHOWN = 80


def is_ours_misspelt(key: str) -> bool:
    """Whether a full key, such as `gpu-slice:pools`, has a namespace that is most likely meant for this project's."""
    namespace, colon, _ = key.partition(":")
    return bool(colon) and namespace != PROJECT and nearest(namespace, [PROJECT]) is not None


def key_of(path: Path) -> str:
    """The key as Pulumi writes it: `gpu-slices:pools[1].sharing.replicas`, `gpu-slices:tags["a b"]`."""
    head, *rest = path
    name = str(head)
    if not name.startswith("aws:") and not is_ours_misspelt(name):
        name = f"{PROJECT}:{name if _PLAIN_KEY.fullmatch(name) else _shorten(name)}"
    return name + "".join(_step(part) for part in rest)


def _step(part: str | int) -> str:
    if isinstance(part, str) and len(part) <= _SHOWN and _PLAIN_KEY.fullmatch(part):
        return f".{part}"
    return f"[{_shorten(part)}]"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``message`` says what is allowed and what to do, as a sentence without its subject.

    ``meant`` is the key of the same section that an unknown key most likely stands for.
    """

    path: Path
    value: Any
    message: str
    where: str | None = None
    meant: str | None = None

    def __str__(self) -> str:
        """Two lines: key, value and place; then the message."""
        shown = "" if self.value is MISSING else f" = {_shorten(self.value)}"
        place = f"  ({self.where})" if self.where else ""
        return f"{key_of(self.path)}{shown}{place}\n    {_printable(self.message)}"


class ConfigError(Exception):
    """Every problem of a stack's configuration; nothing has been registered when this is raised."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.stack = stack
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__(stack, self.problems)

    def __str__(self) -> str:
        """A heading and every problem, in the order of the file."""
        many = counted(len(self.problems), "problem")
        lines = [f"{many} in the configuration of stack '{self.stack}'; nothing was planned or changed.", ""]
        lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines)


def nearest(value: object, options: Iterable[str]) -> str | None:
    """The option that a misspelt text most likely means, or None; of two that are equally near, the first."""
    if not isinstance(value, str):
        return None
    wanted = value.lower()
    scored = [(difflib.SequenceMatcher(None, wanted, option.lower()).ratio(), option) for option in options]
    best, meant = max(scored, key=lambda score: score[0], default=(0.0, None))
    return meant if best >= 0.6 else None


def hint(value: object, options: Iterable[str]) -> str:
    """`; did you mean b?`, or nothing."""
    meant = nearest(value, options)
    return f"; did you mean {meant}?" if meant else ""


def listed(names: Iterable[object], word: str = "or") -> str:
    """`a, b or c`."""
    *most, last = [str(name) for name in names] or ["nothing"]
    return f"{', '.join(most)} {word} {last}" if most else last


def counted(number: int, noun: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_of(value: object, options: Sequence[str] | Mapping[str, object]) -> str:
    """Which values are allowed, first the one that is probably meant: `did you mean b? It must be a, b or c`."""
    meant = nearest(value, options) if len(options) > 1 else None
    return meant_first(meant, f"must be {listed(options)}", "It ")


def meant_first(meant: str | None, allowed: str, begin: str = "") -> str:
    """What is allowed may be a long list: what is probably meant stands before it.

    begin: what a sentence of `allowed` begins with.
    """
    if not meant:
        return allowed
    sentence = f"{begin}{allowed}"
    return f"did you mean {meant}? {sentence[0].upper()}{sentence[1:]}"


def _shorten(value: Any) -> str:
    text = _as_json(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _as_json(value: Any) -> str:
    """The value in one printable line, whatever it is: messages must not fail on what they complain about."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, numbers too long to print, cycles
        text = f"<{type(value).__name__}>"
    return _printable(text)


def _printable(text: str) -> str:
    """The text in one line that every terminal shows: what a stack file holds may be repeated in messages."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
