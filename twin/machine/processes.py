"""The processes of a twin: what they are, and how to find and end them even when nobody remembers having started them.

Every program runs under a path inside the twin's folder (a link in its `bin`), so the list of processes tells which
ones are ours. No file with process ids has to be right for `slices down` to find them all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from twin.errors import TwinError
from twin.machine.state import DamagedError, TwinState, read_json, write_json

SUPERVISOR = "twin.machine.supervisor"
_MODULE = "-m"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A process that the supervisor keeps running."""

    name: str
    program: str
    """Path of the program."""
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's environment."""
    needs: Sequence[int] = ()
    """Loopback ports that must answer before it is started."""
    module: str = ""
    """For the twin's own Python modules: run this one instead of a program."""


def write_spec(state: TwinState, spec: Spec) -> None:
    """Hand a process over to the supervisor; a changed one is restarted. `wake` makes it look at once."""
    if not spec.module:
        link = state.bin / spec.name
        if not link.is_symlink() or str(link.readlink()) != spec.program:
            link.unlink(missing_ok=True)
            link.symlink_to(spec.program)
    write_json(state.specs / f"{spec.name}.json", asdict(spec))


def digest(spec: Spec) -> str:
    """Changes with anything in a spec."""
    return hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode()).hexdigest()[:12]


def read_specs(state: TwinState) -> dict[str, Spec]:
    """The processes that should run, by name."""
    specs = {}
    for path in sorted(state.specs.glob("[!.]*.json")):
        try:
            specs[path.stem] = Spec(**read_json(path))
        except (FileNotFoundError, DamagedError, TypeError):
            continue  # taken away while we looked, or damaged: `up` writes it anew
    return specs


def command_line(state: TwinState, spec: Spec) -> list[str]:
    """The command line that the process runs under; `find` knows it again."""
    if spec.module:
        return [sys.executable, "-m", spec.module, str(state.folder), *spec.arguments]
    return [str(state.bin / spec.name), *spec.arguments]


def find(state: TwinState) -> dict[int, str]:
    """Processes of this twin that run now, the supervisor included: process id to name."""
    programs = f"{state.bin}/"
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        # None: it ended meanwhile, or belongs to somebody else. A kernel's has no command line.
        line: list[str] = process.info["cmdline"] or [""]
        if process.pid == os.getpid():
            continue
        if line[0].startswith(programs):
            found[process.pid] = line[0].removeprefix(programs)
        elif _MODULE in line and str(state.folder) in line:
            module = line[line.index(_MODULE) + 1]
            if module.startswith("twin."):
                found[process.pid] = module
    return found


def kill_all(state: TwinState, *, patience: float = 10.0) -> list[str]:
    """End every process of this twin at once, the supervisor first, so that it starts none again.

    Names of those that were ended. Raises TwinError when one is still there after `patience` seconds.
    """
    seen: dict[int, str] = {}
    deadline = time.monotonic() + patience
    while running := find(state):
        seen |= running
        supervisors = [pid for pid, name in running.items() if name == SUPERVISOR]
        for pid in supervisors or running:
            _kill(pid)
        if time.monotonic() > deadline:
            left = ", ".join(f"{name} ({pid})" for pid, name in running.items())
            raise TwinError(f"these do not end: {left}; `slices down {state.stack}` tries again")
        _wait_gone(supervisors or list(running), seconds=1.0)
    # One that is about to end has no command line any more, and holds its ports for some moments yet.
    _wait_gone(list(seen), seconds=max(1.0, deadline - time.monotonic()))
    return list(dict.fromkeys(seen.values()))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _wait_gone(pids: Sequence[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process with that id runs; one that has ended, and that its parent has not collected, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        # The first thread of a process may have ended while others still do, with all files and ports open.
        return state != "Z" or len(list((process / "task").iterdir())) > 1
    except OSError:
        return not Path("/proc/self").exists()  # a system without /proc
