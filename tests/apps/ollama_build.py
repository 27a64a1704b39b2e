"""Builds a real Ollama server from its Go module, for tests: `python -m tests.apps.ollama_build`.

Needs Go, gcc, g++ and three sets of C++ headers, because the module leaves out llama.cpp's `vendor/` folder:
`nlohmann/json.hpp` and `stb/stb_image.h` (Debian: `nlohmann-json3-dev`, `libstb-dev`), and `miniaudio/miniaudio.h`,
taken from the source archive of the PyPI package `miniaudio`. About four minutes of processor time, once: the server
stays in `.cache/ollama/`. Where something is missing, `UnavailableError` says what.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from rich.console import Console

from twin.machine.build import one_build
from twin.machine.progress import BuildProgress

#: The newest tag that builds as a module; later ones keep llama.cpp outside. Above the fix of CVE-2026-7482 (0.17.1).
VERSION = "v0.17.4"
MODULE = "github.com/ollama/ollama"
MINIAUDIO = ("1.61", "e88e97837d031f0fb6982394218b6487de02eaa382ad273b8fca37791a2b4b15")

_ROOT = Path(__file__).resolve().parents[2]
_CACHE = _ROOT / ".cache" / "ollama" / VERSION
_INCLUDE_FOLDERS = (Path("/usr/include"), Path("/usr/local/include"), Path("/opt/homebrew/include"))


class UnavailableError(Exception):
    """The server cannot be built here; the message says what is missing."""


def server() -> Path:
    """Path of the `ollama` command, built if need be. `OLLAMA_BIN` names another one.

    Raises `UnavailableError` where the build is impossible.
    """
    if chosen := os.environ.get("OLLAMA_BIN"):
        if not Path(chosen).is_file():
            raise UnavailableError(f"OLLAMA_BIN names no file: {chosen}")
        return Path(chosen)
    built = _CACHE / "ollama"
    if built.exists():
        return built
    go = _tools()
    with one_build(_CACHE, BuildProgress(Console(stderr=True), "Ollama")):
        if not built.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as aside:
                _build(go, Path(aside))
                # Moved when it is whole: an interrupted build leaves nothing that looks finished.
                (Path(aside) / "ollama").replace(built)
    return built


def _tools() -> str:
    """The `go` command, once everything else that the build needs is known to be there."""
    missing = [name for name in ("go", "gcc", "g++") if shutil.which(name) is None]
    packages = {"nlohmann/json.hpp": "nlohmann-json3-dev", "stb/stb_image.h": "libstb-dev"}
    missing += [
        f"{header} (Debian: {package})"
        for header, package in packages.items()
        if not any((folder / header).exists() for folder in _INCLUDE_FOLDERS)
    ]
    go = shutil.which("go")
    if missing or go is None:
        raise UnavailableError(f"not here: {', '.join(missing)}")
    return go


def _build(go: str, aside: Path) -> None:
    include = _miniaudio(aside)
    folders = [include, *(folder for folder in _INCLUDE_FOLDERS[1:] if folder.exists())]
    flags = " ".join(f"-I{folder}" for folder in folders)
    environment = {**os.environ, "GOBIN": str(aside), "CGO_ENABLED": "1", "CGO_CXXFLAGS": f"-O2 {flags}"}
    environment["GOFLAGS"] = "-trimpath"
    _run([go, "install", f"{MODULE}@{VERSION}"], aside, environment)


def _miniaudio(aside: Path) -> Path:
    """An include folder with `miniaudio/miniaudio.h`."""
    version, expected = MINIAUDIO
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "miniaudio"]
    _run([*pip, "--no-build-isolation", "--dest", str(aside), f"miniaudio=={version}"], aside, dict(os.environ))
    archive = next(aside.glob("miniaudio-*.tar.gz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != expected:
        raise UnavailableError(f"{archive.name} has another hash than expected: {found}")
    header = aside / "include" / "miniaudio" / "miniaudio.h"
    header.parent.mkdir(parents=True)
    with tarfile.open(archive) as files:
        member = next(name for name in files.getnames() if name.endswith("/miniaudio.h"))
        content = files.extractfile(member)
        assert content is not None
        header.write_bytes(content.read())
    return header.parents[1]


def _run(command: list[str], cwd: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"`{' '.join(command[:3])}` failed: {(done.stderr or done.stdout).strip()[-800:]}")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{server()}\n")
    except UnavailableError as reason:
        sys.exit(f"error: no Ollama server can be built: {reason}")
