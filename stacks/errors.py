"""Problems in a stack file: each with its full key, its value, what is allowed and, where there is one, a spelling."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PROJECT: Final = "gpu-slices"

#: Stands for "no value": the key is missing.
MISSING: Final = object()

Path = tuple[str | int, ...]


def key_of(path: Path) -> str:
    """The key as Pulumi writes it: `gpu-slices:pools[1].sharing.replicas`."""
    head, *rest = path
    text = str(head) if ":" in str(head) else f"{PROJECT}:{head}"
    return text + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``message`` says what is allowed and what to do, as a sentence without its subject."""

    path: Path
    value: Any
    message: str
    where: str | None = None

    def __str__(self) -> str:
        """Two lines: key, value and place; then the message."""
        shown = "" if self.value is MISSING else f" = {_shorten(self.value)}"
        place = f"  ({self.where})" if self.where else ""
        return f"{key_of(self.path)}{shown}{place}\n    {self.message}"


class ConfigError(Exception):
    """Every problem of a stack's configuration; nothing has been registered when this is raised."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.stack = stack
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__(stack, self.problems)

    def __str__(self) -> str:
        """A heading and every problem, in the order of the file."""
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = [f"{count} {noun} in the configuration of stack '{self.stack}'; nothing was planned or changed.", ""]
        lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines)


def nearest(value: object, options: Iterable[str]) -> str | None:
    """The option that a misspelt value most likely means, or None."""
    by_lower = {option.lower(): option for option in options}
    matches = difflib.get_close_matches(str(value).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def one_of(value: object, options: Sequence[str] | Mapping[str, object]) -> str:
    """Says which values are allowed and which one is probably meant: `must be a, b or c; did you mean b?`."""
    names = list(options)
    *most, last = names
    listed = f"{', '.join(most)} or {last}" if most else last
    meant = nearest(value, names)
    return f"must be {listed}" + (f"; did you mean {meant}?" if meant else "")


def _shorten(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
