"""Builds the twin's programs from the Go modules that `twin/tools/go.mod` pins: minutes once, nothing after.

The programs lie in `.cache/twin/<hash of go.mod and go.sum>`. What Go has compiled stays in Go's own cache, so an
interrupted build goes on where it was.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twin.errors import TwinError
from twin.go import ROOT, find_go, go_needed, install_go

MODULE = Path(__file__).resolve().parent / "tools"
KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
KUBERNETES_MODULE = "k8s.io/kubernetes"
_CACHE = ROOT / ".cache" / "twin"
#: Written last: the folder is whole.
_DONE = "versions.json"
_CHARTS = ("karpenter", "karpenter-crd")
#: CGO off: the same programs whether or not the machine has a C compiler.
_ENVIRONMENT = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


@dataclass(frozen=True)
class Program:
    """A program of the twin and the package that it is built from."""

    name: str
    package: str


#: Two packages call their program `kwok`, and etcd's is called `server`: each is built under a name of its own.
PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Program("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    Program("karpenter", "github.com/aws/karpenter-provider-aws/kwok"),
    Program("helm", "helm.sh/helm/v3/cmd/helm"),
)


class Progress(Protocol):
    """Hears how a build goes."""

    def begin(self, packages: int) -> None:
        """packages: how many must be compiled; those that Go has in its cache do not count."""

    def building(self, program: str) -> None:
        """The next program."""

    def compiled(self, package: str) -> None:
        """A package is compiled."""


def programs_dir() -> Path:
    """Where the programs of the pinned modules lie, or will."""
    pinned = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        pinned.update((MODULE / name).read_bytes())
    return _CACHE / pinned.hexdigest()[:16]


def is_built() -> bool:
    """Whether all programs are there."""
    return (programs_dir() / _DONE).is_file()


def module_versions(programs: Path) -> Mapping[str, str]:
    """Versions (without `v`) of the modules that the programs were built from."""
    versions: Mapping[str, str] = json.loads((programs / _DONE).read_text(encoding="utf-8"))
    return versions


def ensure_built(progress: Progress) -> Path:
    """The folder of the programs; builds what is missing. Raises TwinError where that is not possible."""
    folder = programs_dir()
    if is_built():
        return folder
    with _lock():
        if not is_built():
            _build(folder, progress)
    return folder


def _build(folder: Path, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    modules = {m["Path"]: m for m in _modules() if "Version" in m}
    missing = [program for program in PROGRAMS if not (folder / program.name).exists()]
    progress.begin(len(_stale([program.package for program in missing])))
    for program in missing:
        progress.building(program.name)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / program.name
            _compile(program, made, modules[KUBERNETES_MODULE]["Version"], progress)
            made.replace(folder / program.name)
    karpenter = Path(modules[KARPENTER_MODULE]["Dir"])
    for chart in _CHARTS:
        shutil.rmtree(folder / "charts" / chart, ignore_errors=True)
        shutil.copytree(karpenter / "charts" / chart, folder / "charts" / chart, copy_function=shutil.copyfile)
        _writable(folder / "charts" / chart)
    versions = {path: module["Version"].removeprefix("v") for path, module in modules.items()}
    (folder / _DONE).write_text(json.dumps(versions, indent=1), encoding="utf-8")


def _compile(program: Program, target: Path, kubernetes: str, progress: Progress) -> None:
    """Build one program. `go build -v` names each package when it is compiled."""
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    # Without it the server calls itself v0.0.0-master, which kubectl and Karpenter refuse.
    variables = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={text}" for name, text in variables.items())
    command = [str(_go()), "build", "-v", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", str(target), program.package]
    process = subprocess.Popen(command, cwd=MODULE, env=_environment(), stderr=subprocess.PIPE, text=True)
    said = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            said.append(line)
            progress.compiled(line.strip())
    finally:
        # Interrupted: Go keeps what it has compiled so far.
        if process.poll() is None and process.wait() and not said:
            said.append("interrupted")
    if process.returncode:
        raise TwinError(f"{program.name} could not be built:\n{''.join(said[-15:]).strip()}")


def _stale(packages: list[str]) -> list[str]:
    template = "{{if .Stale}}{{.ImportPath}}{{end}}"
    return _run("list", "-deps", "-trimpath", "-f", template, *packages).split() if packages else []


def _modules() -> list[dict[str, Any]]:
    """All modules, downloaded."""
    decoder, text = json.JSONDecoder(), _run("mod", "download", "-json").strip()
    found = []
    while text:
        module, end = decoder.raw_decode(text)
        found.append(module)
        text = text[end:].lstrip()
    return found


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [str(_go()), *arguments], cwd=MODULE, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TwinError(f"go {' '.join(arguments[:2])} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


@functools.cache
def _go() -> Path:
    needed = go_needed(MODULE / "go.mod")
    return find_go(needed) or install_go(needed)


def _environment() -> dict[str, str]:
    return {**os.environ, **_ENVIRONMENT}


def _writable(folder: Path) -> None:
    """Go keeps its module cache read-only; copied folders would be too, and could not be removed."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time: two would only take each other's processors."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
