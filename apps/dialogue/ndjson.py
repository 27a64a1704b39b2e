"""Lines of JSON from a stream of bytes, strictly.

Why not the `ollama` client's own stream: it splits text where `str.splitlines` does, which also breaks at U+0085, a
character that Go writes into JSON as it is; it takes a line of any length; and it ends without a word when the stream
does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

#: Bytes; a line of Ollama's holds one token.
LONGEST_LINE = 1 << 16


class MalformedError(Exception):
    """A line is not a JSON object, or too long."""


async def objects(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The object of each line, as soon as the line is there. Raises `MalformedError`."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield _parse(line)
        _check_length(rest)
    if rest.strip():
        yield _parse(rest)


def _check_length(line: bytes) -> None:
    if len(line) > LONGEST_LINE:
        raise MalformedError(f"a line is longer than {LONGEST_LINE} bytes")


def _parse(line: bytes) -> dict[str, Any]:
    _check_length(line)
    try:
        value = json.loads(line)
        if b"\\u" in line:  # perhaps the lone half of a character, which cannot be written as UTF-8
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"a line is not JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise MalformedError(f"a line is not an object: {line[:80]!r}")
    return value
