"""Keeps a job's checkpoints: resumes from the newest whole one, bounds what is lost, ends in time when told to.

Layout below the store's address. `attempts/A` is claimed by each process that starts, with the next free number:
whoever comes back from a lost node has a smaller one. `checkpoints/A-N/` is the Nth checkpoint of attempt A: its files,
and last of all `manifest.json` with their sizes and sums, without which it does not count. Nothing is written twice.
The newest is that of the highest attempt, so that an older process can overwrite nothing and hide nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from checkpoint.store import Store, StoreError, open_store

State = TypeVar("State")

#: Where checkpoints are kept, and what the stack file says of them, as `gpu-slices` sets them.
URL_VARIABLE: Final = "CHECKPOINT_URL"
INTERVAL_VARIABLE: Final = "CHECKPOINT_INTERVAL_SECONDS"
GRACE_VARIABLE: Final = "CHECKPOINT_GRACE_SECONDS"

#: Exit status of who was told to end and has kept its state: 128 and the signal's number, as a shell says it. Not 0,
#: which would say that the job is done.
TERMINATED: Final = 128 + signal.SIGTERM
#: Exit status of a process that a newer one has replaced: sysexits.h, EX_TEMPFAIL.
SUPERSEDED: Final = 75
#: Exit status where the store cannot be read at the start: sysexits.h, EX_UNAVAILABLE.
UNAVAILABLE: Final = 69

#: Seconds in which the store must answer at the start: credentials of a new pod may take a while.
START_SECONDS: Final = 120.0
#: Seconds between two tries of the last save.
_LAST_PAUSE: Final = 1.0
_MANIFEST: Final = "manifest.json"
_ATTEMPTS, _CHECKPOINTS = "attempts/", "checkpoints/"


class Place(NamedTuple):
    """A checkpoint by attempt and number in it: the greater is the newer."""

    attempt: int
    number: int

    @property
    def prefix(self) -> str:
        """What its keys begin with."""
        return f"{_CHECKPOINTS}{self.attempt:06d}-{self.number:06d}/"


class _DamagedError(Exception):
    """A checkpoint that cannot be used."""


class Checkpoints:
    """Checkpoints of one run, by the one process that works on it; several processes of a pod let one of them do it.

    url: `s3://BUCKET/PREFIX`, `file:///FOLDER` or a folder; every run has its own.
    interval_seconds: most work that may be lost, in seconds; what a step or a save takes is reckoned in.
    grace_seconds: how long the process has from SIGTERM to its end.
    keep: how many whole checkpoints are kept. say: hears what a person should know, a line at a time.
    """

    def __init__(
        self,
        url: str,
        *,
        interval_seconds: float = 600,
        grace_seconds: float = 100,
        keep: int = 3,
        say: Callable[[str], None] | None = None,
    ) -> None:
        if keep < 1 or interval_seconds <= 0 or grace_seconds <= 0:
            raise ValueError("keep, interval_seconds and grace_seconds must be more than 0")
        self._url, self._interval, self._grace, self._keep = url, interval_seconds, grace_seconds, keep
        self._say = say or _to_stderr
        self._store: Store | None = None
        self._attempt = self._number = 0
        self._deadline: float | None = None
        self._before: Any = None
        # Clock readings: when the work that is kept was reached, when that save was done, when the last step ended,
        # when a save may be tried again.
        self._safe_at = self._saved_at = self._step_at = self._try_at = 0.0
        self._step_seconds = self._save_seconds = 0.0
        self._saved_step: int | None = None
        self._proven = False
        self._told_slow = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Checkpoints:
        """As the stack file's section `checkpoint` says it. Ends the process, with words, where it says nothing."""
        url = environment.get(URL_VARIABLE)
        if not url:
            _end(f"{URL_VARIABLE} is missing: write s3://BUCKET/PREFIX, or file:///FOLDER on a machine of yours", 1)
        return cls(
            url,
            interval_seconds=_seconds(environment, INTERVAL_VARIABLE, 600),
            grace_seconds=_seconds(environment, GRACE_VARIABLE, 100),
        )

    def __enter__(self) -> Checkpoints:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("checkpoints are kept by the main thread: only it hears signals")
        self._before = signal.signal(signal.SIGTERM, self._told_to_end)
        try:
            self._attempt = self._at_start(self._claim)
        except BaseException:
            signal.signal(signal.SIGTERM, self._before)
            raise
        self._say(f"attempt {self._attempt} at {self._url}")
        self._safe_at = self._step_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    @property
    def ending(self) -> bool:
        """Whether the process was told to end: `reached` will keep the state and end it."""
        return self._deadline is not None

    def resume(self, read: Callable[[Path], State]) -> tuple[int, State] | None:
        """Step and state of the newest whole checkpoint; None where there is none. What is damaged is told, and left.

        read: makes the state of the folder that a `write` has filled.
        """
        found = self._at_start(lambda: self._newest(read))
        self._safe_at = self._step_at = time.monotonic()
        if found is None:
            self._say("no checkpoint is there: from the beginning")
            return None
        place, step, state = found
        self._saved_step = step
        self._say(f"goes on after step {step}, from checkpoint {place.prefix}")
        return step, state

    def reached(self, step: int, write: Callable[[Path], None]) -> None:
        """Call after every step. Keeps the state when it is time, and ends the process when it was told to end.

        write: puts the state, as it is after that step, into an empty folder.
        """
        now = time.monotonic()
        self._step_seconds = max(now - self._step_at, self._step_seconds * 0.9)
        if self._deadline is not None:
            self._last(step, write, self._deadline)
        if self._due(now):
            self._save(step, write, now)
        if self._deadline is not None:
            self._last(step, write, self._deadline)
        self._step_at = time.monotonic()

    def save(self, step: int, write: Callable[[Path], None]) -> bool:
        """Keep the state now, whether or not it is time: at the end of the work. Whether it is kept."""
        return self._save(step, write, time.monotonic())

    # --- When ---------------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> bool:
        if now < self._try_at:
            return False
        if not self._proven:
            # At once after the first step: it shows what a save takes, and whether the store lets us, before hours of
            # work hang on it.
            return True
        needed = self._step_seconds + self._save_seconds
        if needed <= self._interval:
            return now - self._safe_at + needed >= self._interval
        if not self._told_slow:
            self._told_slow = True
            self._say(
                f"a step takes {self._step_seconds:.1f} s and a save {self._save_seconds:.1f} s, more than the "
                f"{self._interval:g} s that may be lost: steps are kept as often as half of the time allows"
            )
        return now - self._saved_at >= self._save_seconds

    def _told_to_end(self, _signal: int, _frame: FrameType | None) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace

    def _last(self, step: int, write: Callable[[Path], None], deadline: float) -> NoReturn:
        while self._saved_step != step:
            now = time.monotonic()
            if self._save(step, write, now):
                break
            if time.monotonic() + _LAST_PAUSE >= deadline:
                kept = "nothing" if self._saved_step is None else f"step {self._saved_step}"
                _end(f"told to end at step {step}, which could not be kept; kept is {kept}", TERMINATED, self._say)
            time.sleep(_LAST_PAUSE)
        _end(f"told to end: step {step} is kept", TERMINATED, self._say)

    # --- Saving -------------------------------------------------------------------------------------------------------

    def _save(self, step: int, write: Callable[[Path], None], now: float) -> bool:
        """Keep the state that was reached at `now`. A store that refuses is told, and the work goes on."""
        try:
            self._upload(step, write)
        except StoreError as error:
            self._try_at = time.monotonic() + min(60.0, self._interval / 10)
            at_stake = time.monotonic() - self._safe_at
            self._say(f"step {step} could not be kept, {at_stake:.0f} s of work are at stake: {error}")
            return False
        self._safe_at, self._saved_step, self._try_at, self._proven = now, step, 0.0, True
        self._saved_at = time.monotonic()
        self._save_seconds = max(self._saved_at - now, self._save_seconds * 0.9)
        try:
            self._sweep()
        except StoreError as error:
            self._say(f"old checkpoints stay for now: {error}")
        return True

    def _upload(self, step: int, write: Callable[[Path], None]) -> None:
        store, self._number = self._opened, self._number + 1
        place = Place(self._attempt, self._number)
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as scratch:
            folder = Path(scratch)
            write(folder)
            files = {}
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                name = path.relative_to(folder).as_posix()
                if name == _MANIFEST:
                    raise ValueError(f"{_MANIFEST} is the name of what lists the files: write another")
                files[name] = {"size": path.stat().st_size, "sha256": _sum(path)}
                store.upload(f"{place.prefix}{name}", path)
        newest = max(self._attempts(), default=0)
        if newest > self._attempt:
            _end(f"attempt {newest} has taken over from attempt {self._attempt}, which ends", SUPERSEDED, self._say)
        store.write(f"{place.prefix}{_MANIFEST}", json.dumps({"step": step, "files": files}).encode())

    def _sweep(self) -> None:
        """Remove what is older than the newest whole ones, and what older processes have left unfinished."""
        found = self._places()
        whole = sorted((place for place, keys in found.items() if f"{place.prefix}{_MANIFEST}" in keys), reverse=True)
        kept, mine = set(whole[: self._keep]), Place(self._attempt, self._number)
        for place, keys in found.items():
            if place not in kept and place < mine:
                # The manifest first: what is left by who is killed meanwhile does not count.
                manifest = f"{place.prefix}{_MANIFEST}"
                self._opened.delete(key for key in keys if key == manifest)
                self._opened.delete(key for key in keys if key != manifest)

    # --- Resuming -----------------------------------------------------------------------------------------------------

    def _claim(self) -> int:
        self._store = self._store or open_store(self._url)
        number = max([*self._attempts(), *(place.attempt for place in self._places())], default=0) + 1
        about = json.dumps({"host": socket.gethostname(), "began": int(time.time())}).encode()
        while not self._opened.claim(f"{_ATTEMPTS}{number:06d}", about):
            number += 1
        return number

    def _newest(self, read: Callable[[Path], State]) -> tuple[Place, int, State] | None:
        for place, keys in sorted(self._places().items(), reverse=True):
            if f"{place.prefix}{_MANIFEST}" not in keys:
                self._say(f"checkpoint {place.prefix} was never finished: the one before")
                continue
            with tempfile.TemporaryDirectory(prefix="checkpoint-") as scratch:
                folder = Path(scratch)
                try:
                    step = self._fetch(place, set(keys), folder)
                except _DamagedError as error:
                    self._say(f"checkpoint {place.prefix} is damaged: {error}; the one before")
                    continue
                return place, step, read(folder)
        return None

    def _fetch(self, place: Place, keys: set[str], folder: Path) -> int:
        """Its files, compared with what the manifest says of them; the step. Raises _DamagedError."""
        try:
            manifest = json.loads(self._opened.read(f"{place.prefix}{_MANIFEST}"))
            step, files = int(manifest["step"]), dict(manifest["files"])
            wanted = {name: (int(each["size"]), str(each["sha256"])) for name, each in files.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise _DamagedError(f"its manifest cannot be read ({error})") from error
        for name, (size, checksum) in wanted.items():
            key, path = f"{place.prefix}{name}", folder / name
            if key not in keys:
                raise _DamagedError(f"{name} is missing")
            if not path.resolve().is_relative_to(folder.resolve()):
                raise _DamagedError(f"{name} is no name of a file in it")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._opened.download(key, path)
            if path.stat().st_size != size:
                raise _DamagedError(f"{name} has {path.stat().st_size} bytes, not {size}")
            if _sum(path) != checksum:
                raise _DamagedError(f"{name} is not what was written")
        return step

    # --- The store ----------------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> Store:
        assert self._store is not None, "checkpoints are used in a with statement"
        return self._store

    def _attempts(self) -> list[int]:
        return [int(name) for key in self._opened.keys(_ATTEMPTS) if (name := key.removeprefix(_ATTEMPTS)).isdigit()]

    def _places(self) -> dict[Place, list[str]]:
        found: dict[Place, list[str]] = {}
        for place, key in _placed(self._opened.keys(_CHECKPOINTS)):
            found.setdefault(place, []).append(key)
        return found

    def _at_start(self, ask: Callable[[], State]) -> State:
        """What must be known before any work: whether others are at it, and what is kept. Ends the process without it.

        To begin anew because the store is out would throw away what is kept.
        """
        deadline, pause = time.monotonic() + START_SECONDS, 0.5
        while True:
            try:
                return ask()
            except StoreError as error:
                if self._deadline is not None or time.monotonic() + pause > deadline:
                    _end(f"checkpoints cannot be read: {error}", UNAVAILABLE, self._say)
                self._say(f"checkpoints cannot be read yet: {error}")
            time.sleep(pause)
            pause = min(2 * pause, 15.0)


def _placed(keys: list[str]) -> Iterator[tuple[Place, str]]:
    for key in keys:
        attempt, dash, number = key.removeprefix(_CHECKPOINTS).partition("/")[0].partition("-")
        if dash and attempt.isdigit() and number.isdigit():
            yield Place(int(attempt), int(number)), key


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        _end(f"{name} must be seconds, such as 600, not {text!r}", 1)
    return seconds


def _to_stderr(text: str) -> None:
    print(f"checkpoint: {text}", file=sys.stderr, flush=True)  # noqa: T201  the job's log is where a person looks


def _end(text: str, status: int, say: Callable[[str], None] = _to_stderr) -> NoReturn:
    say(text)
    raise SystemExit(status)
