"""API keys from a file, compared in constant time, and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)
#: Characters; a key of `openssl rand -hex 16` has 32.
SHORTEST_KEY = 20
_RELOAD_SECONDS = 5.0
_MOST_BUCKETS = 10_000
#: Bytes of a file of keys; a Secret of Kubernetes has at most as many.
_MOST_BYTES = 1 << 20


class KeysError(Exception):
    """The file of keys is wrong; the message never shows a key."""


def parse(text: str) -> dict[str, bytes]:
    """Name and digest of each key: lines of `name:key`, and comments with `#`. Raises `KeysError`."""
    digests: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise KeysError(f"line {number}: write name:key")
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise KeysError(f"line {number}: a key has {SHORTEST_KEY} or more letters, digits and signs, and no spaces")
        if name in digests:
            raise KeysError(f"line {number}: a second key named {name}; give it another name")
        digests[name] = _digest(key)
    if not digests:
        raise KeysError("there is no key in it")
    return digests


class FixedKeys:
    """Keys of a text: lines of `name:key`, or such pairs between commas."""

    def __init__(self, text: str) -> None:
        self._digests = parse(text.replace(",", "\n"))

    def name(self, given: str) -> str | None:
        """Whose key this is. All keys are compared, whichever fits, in a time that tells nothing of them."""
        digest = _digest(given)
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def fingerprint(self, name: str) -> bytes | None:
        """What stands for the key of that name: it changes with the key, and is None once there is none."""
        return self._digests.get(name)

    @property
    def readable(self) -> bool:
        """Whether the keys can be read."""
        return True


class Keys(FixedKeys):
    """Keys of a file that may change: a Secret that is mounted is replaced in place.

    A file that cannot be read any more, or is malformed, lets nobody in until it is right again; the log says why. The
    first reading raises `KeysError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._checked = time.monotonic()
        self._version: tuple[int, ...] | None = self._stamp()
        self._digests = self._read()

    def name(self, given: str) -> str | None:
        """Whose key this is, according to the file as it is now."""
        self._reload()
        return super().name(given)

    def fingerprint(self, name: str) -> bytes | None:
        """The same of the file as it is now."""
        self._reload()
        return super().fingerprint(name)

    @property
    def readable(self) -> bool:
        """Whether the file, as it is now, holds keys."""
        self._reload()
        return bool(self._digests)

    def _reload(self) -> None:
        if time.monotonic() - self._checked < _RELOAD_SECONDS:
            return
        self._checked = time.monotonic()
        try:
            if (version := self._stamp()) == self._version:
                return
            self._digests, self._version = self._read(), version
        except KeysError as error:
            if self._digests:
                _log.error("nobody is let in until the file of keys is right: %s", error)
            self._digests, self._version = {}, None
        else:
            _log.warning("the file of keys has changed: keys of %s", ", ".join(self._digests))

    def _read(self) -> dict[str, bytes]:
        try:
            # Whatever it has been replaced by: opening a pipe would wait for its other end.
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise KeysError(f"{self._path}: it is no regular file")
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise KeysError(f"{self._path}: it has more than {_MOST_BYTES >> 20} MiB")
            text = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise KeysError(f"{self._path}: {type(error).__name__}") from error
        try:
            return parse(text)
        except KeysError as error:
            raise KeysError(f"{self._path}: {error}") from error

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise KeysError(f"{self._path}: {error.strerror}") from error
        return status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size


class RateLimit:
    """A bucket of tokens for each name: `per_minute` at once, then as many each minute. Forgets the oldest names."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str) -> float:
        """Seconds until the name may do something again: 0 if it may now."""
        left = self._left(name)
        return 0.0 if left >= 1 else (1 - left) * 60 / self._size

    def take(self, name: str) -> None:
        """Note that the name did something."""
        self._buckets[name] = (self._left(name) - 1, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)

    def _left(self, name: str) -> float:
        left, since = self._buckets.get(name, (self._size, self._clock()))
        return min(self._size, left + (self._clock() - since) * self._size / 60)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
