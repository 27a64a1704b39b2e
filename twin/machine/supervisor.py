"""Keeps a twin's processes running: `python -m twin.machine.supervisor FOLDER [--detach]`.

It runs what `processes/*.json` says, as a kubelet runs static pods: it starts what is new, restarts what died or
changed, ends what was taken away. It remembers nothing, so a new supervisor carries on where a killed one stopped.
Where the system can (Linux), its children die with it; elsewhere `twin.machine.processes.find` knows them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from twin.machine.processes import Spec, command_line, digest, find, read_specs
from twin.machine.state import TwinState, write_json

#: Seconds between looks when nobody sends SIGHUP.
_LOOK = 0.25
#: Seconds before a process that died is started again; doubled each time, up to the second figure.
_BACKOFF = (0.2, 10.0)
#: A process that ran this long, in seconds, has recovered.
_STEADY = 20.0
#: Seconds that processes get to end by themselves.
_PATIENCE = 3.0
_LOG_LIMIT = 20 * 2**20
_PR_SET_PDEATHSIG = 1


@dataclass
class _Child:
    spec: Spec
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    backoff: float = _BACKOFF[0]
    not_before: float = 0.0
    last_exit: int | None = None


class Supervisor:
    """The loop. `stop` ends it after the current round."""

    def __init__(self, state: TwinState) -> None:
        self._state = state
        self._children: dict[str, _Child] = {}
        self._published: object = None
        self.stopping = False

    def run(self, wait: Callable[[float], None]) -> None:
        """Look, act, wait; until told to stop or until the twin's folder is gone."""
        while not self.stopping and self._state.specs.is_dir():
            self._collect()
            self._adopt(read_specs(self._state))
            self._start()
            self._publish()
            wait(_LOOK)
        self._end(list(self._children.values()))

    def _collect(self) -> None:
        for child in self._children.values():
            if child.process is None or child.process.poll() is None:
                continue
            self._ended(child, child.process.returncode)

    def _ended(self, child: _Child, status: int | None) -> None:
        now = time.monotonic()
        child.last_exit = status
        child.process = None
        child.restarts += 1
        child.backoff = _BACKOFF[0] if now - child.started > _STEADY else min(2 * child.backoff, _BACKOFF[1])
        child.not_before = now + child.backoff

    def _adopt(self, specs: dict[str, Spec]) -> None:
        gone = [c for name, c in self._children.items() if specs.get(name) != c.spec]
        self._end(gone)
        for child in gone:
            del self._children[child.spec.name]
        for name, spec in specs.items():
            self._children.setdefault(name, _Child(spec))

    def _start(self) -> None:
        for child in self._children.values():
            if child.process is None and time.monotonic() >= child.not_before and all(map(_answers, child.spec.needs)):
                child.started = time.monotonic()
                try:
                    child.process = _spawn(self._state, child.spec)
                except OSError as error:  # a full disk, a program that is not there any more: as one that ended at once
                    with contextlib.suppress(OSError):
                        sys.stderr.write(f"{child.spec.name} cannot be started: {error}\n")
                        sys.stderr.flush()
                    self._ended(child, None)

    def _end(self, children: list[_Child]) -> None:
        processes = [child.process for child in children if child.process and child.process.poll() is None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _publish(self) -> None:
        status = {
            name: {
                "pid": child.process.pid if child.process else None,
                "restarts": child.restarts,
                "spec": digest(child.spec),
                "lastExit": child.last_exit,
            }
            for name, child in self._children.items()
        }
        if status != self._published and self._state.folder.is_dir():
            with contextlib.suppress(OSError):  # a full disk: said as soon as there is room
                write_json(self._state.status, {"supervisor": os.getpid(), "processes": status})
                self._published = status


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _spawn(state: TwinState, spec: Spec) -> subprocess.Popen[bytes]:
    path = state.logs / f"{spec.name}.log"
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    parent = os.getpid()

    def die_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    with path.open("ab") as log:
        # Single-threaded, so running code between fork and exec is safe here.
        return subprocess.Popen(
            command_line(state, spec),
            env={**os.environ, **spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )


def _signals(supervisor: Supervisor) -> Callable[[float], None]:
    """Let signals end a wait: SIGTERM and SIGINT to stop, SIGHUP and SIGCHLD to look again."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def stop(*_: object) -> None:
        supervisor.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for number in (signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)

    def wait(seconds: float) -> None:
        if select.select([reading], [], [], seconds)[0]:
            os.read(reading, 4096)

    return wait


def _alone(lock: IO[str]) -> bool:
    """Take the supervisor's lock. Whoever asks whether there is a supervisor shares it for a moment."""
    for _ in range(250):  # five seconds: a process that asks may itself be stopped for a while
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.02)
    return False


def main(folder: Path) -> int:
    """Run until told to stop. Does nothing when the twin has a supervisor already."""
    state = TwinState(folder.parent, folder.name)
    lock = state.supervisor_lock.open("w")
    if not _alone(lock):
        return 0
    supervisor = Supervisor(state)
    wait = _signals(supervisor)
    # Left over where children do not die with their supervisor: their ports are needed again.
    for pid in find(state):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    supervisor.run(wait)
    return 0


if __name__ == "__main__":
    if "--detach" in sys.argv and os.fork():
        os._exit(0)  # whoever called need not wait for the twin's whole life
    sys.exit(main(Path(sys.argv[1])))
