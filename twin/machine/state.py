"""Where a twin keeps what it knows: one folder per stack below `.twin`, and a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.errors import TwinError

FOLDER = ".twin"


@dataclass(frozen=True)
class TwinState:
    """The files of one twin. Nothing outside `folder` belongs to it, but for its entry in `<root>/kubeconfig`."""

    root: Path
    """The project's `.twin`, absolute."""
    stack: str

    @property
    def folder(self) -> Path:
        """Everything of this twin."""
        return self.root / self.stack

    @property
    def exists(self) -> bool:
        """Whether there is, or was, such a twin."""
        return self.folder.is_dir()

    @property
    def specs(self) -> Path:
        """What the supervisor must run: one JSON file per process (`twin.machine.processes`)."""
        return self.folder / "processes"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.folder / "log"

    @property
    def bin(self) -> Path:
        """Links to the programs. The supervisor's children are known by these paths in the list of processes."""
        return self.folder / "bin"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and for the twin's own processes: full rights."""
        return self.folder / "kubeconfig"

    @property
    def run(self) -> Path:
        """Where the twin is: ports, token, versions (`Run`)."""
        return self.folder / "run.json"

    @property
    def plan(self) -> Path:
        """The plan that the twin was given (`twin.plan`)."""
        return self.folder / "plan.json"

    @property
    def status(self) -> Path:
        """What the supervisor runs at the moment."""
        return self.folder / "status.json"

    @property
    def finished(self) -> Path:
        """There while what runs is a plan that `slices up` has applied to its end."""
        return self.folder / "finished"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.folder / "supervisor.lock"

    def make(self) -> None:
        """Make the folders. Only the owner may look: there are keys in them.

        Raises TwinError for a path that cannot stand in KUBECONFIG, which Karpenter and kubectl read as a list.
        """
        if os.pathsep in str(self.folder):
            raise TwinError(f"{self.root.parent} has a {os.pathsep!r} in its path: the twin needs one without")
        self.root.mkdir(exist_ok=True)
        for folder in (self.folder, self.specs, self.logs, self.bin, self.pki):
            folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        """Remove every file of this twin, and `.twin` itself when it was the last. Raises TwinError where it cannot."""
        # A process that was just killed may still be writing: the second attempt finds it gone.
        for _ in range(20):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.05)
        else:
            raise TwinError(f"{self.folder} cannot be removed: remove it by hand")
        with contextlib.suppress(OSError):
            self.root.rmdir()

    def busy(self) -> bool:
        """Whether another command is changing this twin. Leaves nothing behind where there is none."""
        try:
            with (self.folder / "lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    @contextlib.contextmanager
    def lock(self, *, wait: float = 0.0) -> Iterator[None]:
        """Keep other commands from changing this twin. The system frees the lock when its holder dies.

        wait: seconds to wait for another command. Raises TwinError when it is still busy then.
        """
        self.make()
        path = self.folder / "lock"
        deadline = time.monotonic() + wait
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # `down` removes the file together with all others: a lock on a removed file locks nobody out.
                if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
                    break
                os.close(file)
                self.make()
                continue
            except OSError as error:
                os.close(file)
                if time.monotonic() >= deadline:
                    raise TwinError(f"another slices command is busy with the twin of {self.stack}") from error
            time.sleep(0.1)
        try:
            yield
        finally:
            os.close(file)


def twins(root: Path) -> list[TwinState]:
    """The twins that have a folder, by name."""
    if not root.is_dir():
        return []
    return [TwinState(root, path.name) for path in sorted(root.iterdir()) if path.is_dir()]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Addresses and keys of a twin; stays the same as long as the twin exists, also over crashes."""

    ports: dict[str, int]
    """Loopback port by purpose."""
    token: str
    """Bearer token with full rights in the twin's cluster."""
    started: float
    """When the twin was first started, in seconds since 1970."""

    @property
    def server(self) -> str:
        """Address of the API server."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def aws(self) -> str:
        """Address of the stand-in for AWS."""
        return f"http://127.0.0.1:{self.ports['aws']}"


def load_run(state: TwinState) -> Run | None:
    """Addresses of a twin; None when it was never started. Raises TwinError where they cannot be read."""
    try:
        return Run(**read_json(state.run))
    except FileNotFoundError:
        return None


class DamagedError(TwinError):
    """A file of a twin that cannot be read."""

    def __init__(self, path: Path) -> None:
        """path: its folder bears the stack's name."""
        stack = path.parent.name
        super().__init__(f"{path} is damaged: `slices down {stack}` removes it, then `slices up {stack}` starts anew")


def new_token() -> str:
    """A bearer token."""
    return secrets.token_hex(16)


#: Key of a file's checksum. A damaged file may still be JSON, and have a null or a number where nobody expects one.
_CHECKSUM = "checksum"
#: Bytes that a file of the twin may have; the plan of 5,000 models has some ten million.
_MOST_BYTES = 2**30


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file in one step, with its checksum: a reader, or a crash, never sees half of it."""
    text = json.dumps({**value, _CHECKSUM: _checksum(value)}, indent=1, sort_keys=True)
    write_text(path, f"{text}\n")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` has written. Raises FileNotFoundError, and DamagedError where it is not that any more."""
    from gpu.files import read_text  # noqa: PLC0415  `--help` lists commands without it

    try:
        found = json.loads(read_text(path, _MOST_BYTES))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(path) from error
    if not isinstance(found, dict) or found.pop(_CHECKSUM, None) != _checksum(found):
        raise DamagedError(path)
    return found


def _checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, readable by its owner only."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)  # a full disk names none
        raise
