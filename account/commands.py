"""Commands that people paste into a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any, Final

Command = tuple[str, ...]
"""The words of a command; `shell_text` quotes them."""


class Evaluated(str):
    """A word that the shell is to evaluate: it is not quoted."""

    __slots__ = ()


HOME_REGION: Final = "us-east-1"
"""Where the global services of the partition are asked; STS elsewhere refuses accounts that did not opt in."""
CALLERS_ACCOUNT: Final = Evaluated(
    f'"$(aws sts get-caller-identity --region {HOME_REGION} --query Account --output text)"'
)
"""The id of the account that whoever pastes the command works in."""


def aws(service: str, operation: str, *, region: str, query: str | None = None, **options: Any) -> Command:
    """An `aws` command. region: also of global services, since whoever pastes it may have configured none.

    options: names with underscores; a list is several words, True a flag without a value, a mapping its JSON.
    """
    words = ["aws", service, operation, "--region", region]
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is True:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        words += [each if isinstance(each, str) else json.dumps(each) for each in values]
    if query:
        words += ["--query", query, "--output", "text"]
    return tuple(words)


def pulumi(operation: str, stack: str) -> str:
    """A `pulumi` command on a stack, as a shell reads it. operation: its words, such as `state unprotect --all`."""
    return shell_text(("pulumi", *operation.split(), "-s", stack))


def shell_text(command: Command, width: int | None = None) -> str:
    """The command as a shell reads it.

    width: columns; what is wider continues on more lines, with an option and its value on the same one where both fit.
    """
    line = " ".join(_quoted(word) for word in command)
    if width is None or len(line) <= width:
        return line
    first, *rest = _parts(command, width - _MARGIN)
    lines = [first]
    for part in rest:
        if len(lines[-1]) + 1 + len(part) > width - _MARGIN:
            lines.append(f"  {part}")
        else:
            lines[-1] += f" {part}"
    return " \\\n".join(lines)


#: Columns of a line's indent and backslash.
_MARGIN = 4


def _parts(command: Command, width: int) -> list[str]:
    """Words, each option together with its first value."""
    parts: list[str] = []
    for word in (_quoted(word) for word in command):
        after_option = bool(parts) and parts[-1].startswith("--") and " " not in parts[-1]
        if after_option and not word.startswith("--") and len(parts[-1]) + 1 + len(word) <= width:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts


def _quoted(word: str) -> str:
    return word if isinstance(word, Evaluated) else shlex.quote(word)
