"""Whether the twin that one waits for still lives: every wait asks at each look, and ends with the cause where not."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
import threading
import time
from collections.abc import Iterator

from twin.errors import GivenUpError, TwinError
from twin.kube.client import ApiError, UnreachableError
from twin.machine.launch import status, supervised, tail
from twin.machine.state import Run, TwinState, load_run

#: Seconds between two looks.
_EVERY = 0.5
#: Seconds for which nothing may listen on the API server's port: the supervisor has a new one up in three or four.
_SILENCE = 7.0
#: Seconds that `down` may take from the end of the supervisor to the end of the files.
_REMOVAL = 1.5
#: Times that a process may end while the twin starts, until it is said that it does not stay up.
_ENDS = 3
#: Processes that all others wait for. Their logs say why they end.
_BASE = ("etcd", "kube-apiserver", "aws")
#: Bytes that the twin's disk must have free: with less etcd stops.
_LEAST_FREE = 2 * 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Pulse:
    """Call it in a wait, as often as you like; it raises TwinError when the wait is in vain."""

    def __init__(self, state: TwinState, run: Run, *, starting: bool = False) -> None:
        """starting: the API server need not be there yet; but what does not stay up is told."""
        self._state = state
        self._port = run.ports["apiserver"]
        self._starting = starting
        self._given_up = threading.Event()
        self._looked = 0.0
        self._heard = time.monotonic()
        self._ends = self._ended() if starting else {}

    def __call__(self) -> None:
        """Look, twice a second at most."""
        if self._given_up.is_set():
            raise GivenUpError
        if time.monotonic() - self._looked < _EVERY:
            return
        self._looked = time.monotonic()
        if cause := dead(self._state):
            raise TwinError(cause)
        if self._starting:
            self._stays_up()
        elif _listens(self._port):
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _SILENCE:
            raise TwinError(silent(self._state))

    def started(self) -> None:
        """From now on the API server must be there."""
        self._starting, self._heard = False, time.monotonic()

    def give_up(self) -> None:
        """End all waits, in whatever thread."""
        self._given_up.set()

    def _stays_up(self) -> None:
        for name, ends in self._ended().items():
            if ends - self._ends.get(name, 0) > _ENDS:
                said = tail(self._state, name, 1) or "it has said nothing"
                raise TwinError(f"{name} of the twin does not stay up{full(self._state)}. Its last words: {said}")

    def _ended(self) -> dict[str, int]:
        processes = status(self._state)["processes"]
        return {name: processes[name]["restarts"] for name in _BASE if name in processes}


def dead(state: TwinState) -> str:
    """Why a twin that was there is there no more, and what to do; empty where it runs."""
    stack = state.stack
    if state.run.exists() and supervised(state):
        return ""
    deadline = time.monotonic() + _REMOVAL
    while state.run.exists() and time.monotonic() < deadline:  # `down` ends the processes first
        time.sleep(0.05)
    if state.run.exists():
        return (
            f"the twin of {stack} died, its supervisor does not run any more{full(state)}: "
            f"`slices up {stack}` recovers it, `slices down {stack}` removes what is left"
        )
    return f"the twin of {stack} was stopped meanwhile: `slices up {stack}` starts it again"


def silent(state: TwinState) -> str:
    """What to say where the API server of a twin that runs does not answer."""
    stack = state.stack
    return (
        f"the API server of the twin of {stack} does not answer{full(state)}: `slices status {stack}` says more, "
        f"`slices up {stack}` brings it back"
    )


def full(state: TwinState) -> str:
    """That the twin's disk is full, where it is, to be put after what came of it."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(state.root.parent).free < _LEAST_FREE or shutil.disk_usage(state.root).free < _LEAST_FREE:
            return f", and the disk of {state.root} is full"
    return ""


@contextlib.contextmanager
def told(state: TwinState) -> Iterator[None]:
    """Within it, what comes of a twin's end or of a full disk is told by its cause. Raises TwinError."""
    stack = state.stack
    try:
        yield
    except ApiError as error:
        cause = dead(state) or (silent(state) if isinstance(error, UnreachableError) else str(error))
        raise TwinError(cause) from error
    except OSError as error:
        if error.errno in _FULL and error.filename is not None:
            raise TwinError(
                f"{error.filename} cannot be written, the disk is full: make room, then `slices up {stack}` goes on, "
                f"or `slices down {stack}` removes the twin"
            ) from error
        if isinstance(error, FileNotFoundError) and str(error.filename or "").startswith(f"{state.folder}"):
            raise TwinError(
                f"the twin of {stack} was stopped meanwhile: `slices up {stack}` starts it again"
            ) from error
        raise


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except TimeoutError:
        return True  # busy, not gone
    except OSError:
        return False
    return True


def pulse_of(state: TwinState) -> Pulse:
    """The pulse of a twin that runs. Raises TwinError where none does."""
    run = load_run(state)
    if run is None or (cause := dead(state)):
        raise TwinError(cause if run else f"there is no twin of {state.stack}: `slices up {state.stack}` starts one")
    return Pulse(state, run)
