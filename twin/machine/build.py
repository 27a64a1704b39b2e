"""Builds the twin's programs from the Go modules that `twin/machine/tools/go.mod` pins: minutes once, nothing after.

The programs lie in `.cache/twin/<hash of go.mod and go.sum>`. What Go has compiled stays in Go's own cache, so an
interrupted build goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from twin.errors import TwinError
from twin.machine.go import ROOT, GoModule

_MODULE = GoModule(Path(__file__).resolve().parent / "tools")
KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
KUBERNETES_MODULE = "k8s.io/kubernetes"
#: Its packages cannot be built from tagged modules alone, so it is no requirement of the module: only its definitions
#: are wanted. Knative 1.23 (`versions.KNATIVE_SERVING_VERSION`).
KNATIVE_MODULE = "knative.dev/serving"
KNATIVE_VERSION = "v0.51.0"
KNATIVE_SUM = "h1:yN2Q7eYqJgoPfZkATjoBZyGbZ2P1Qhns9HIMU4mF+to="
_KNATIVE_DEFINITIONS = ("configuration", "revision", "route", "service")
_CACHE = ROOT / ".cache" / "twin"
#: Written last: the folder is whole.
_DONE = "versions.json"
#: Changes with what the folder holds besides.
_LAYOUT = 1
_CHARTS = ("karpenter", "karpenter-crd")


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

    def linking(self, program: str) -> None:
        """All that the program consists of is compiled."""


def programs_dir() -> Path:
    """Where the programs of the pinned modules lie, or will."""
    pinned = hashlib.sha256(_MODULE.pins)
    pinned.update(f"{KNATIVE_VERSION} {_LAYOUT}".encode())
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
    modules = _MODULE.modules()
    missing = [program for program in PROGRAMS if not (folder / program.name).exists()]
    if missing:
        progress.begin(len(_MODULE.stale([program.package for program in missing])))
    variables = _variables(modules[KUBERNETES_MODULE]["Version"])
    for program in missing:
        progress.building(program.name)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / program.name
            _compile(program, made, variables, progress)
            made.replace(folder / program.name)
    karpenter = Path(modules[KARPENTER_MODULE]["Dir"])
    for chart in _CHARTS:
        shutil.rmtree(folder / "charts" / chart, ignore_errors=True)
        shutil.copytree(karpenter / "charts" / chart, folder / "charts" / chart, copy_function=shutil.copyfile)
        _writable(folder / "charts" / chart)
    _fetch_knative(folder / "knative")
    versions = {path: module["Version"].removeprefix("v") for path, module in modules.items()}
    (folder / _DONE).write_text(json.dumps(versions, indent=1), encoding="utf-8")


def _compile(program: Program, made: Path, variables: Mapping[str, str], progress: Progress) -> None:
    waits = set(_MODULE.stale([program.package]))

    def compiled(package: str) -> None:
        progress.compiled(package)
        waits.discard(package)
        if not waits:
            progress.linking(program.name)

    if not waits:
        progress.linking(program.name)
    _MODULE.build(program.package, made, variables, compiled)


def knative_definitions(programs: Path) -> list[dict[str, Any]]:
    """Knative's definitions of its objects, from its own sources. Its operator's is not to be had as a Go module: that
    one takes any `spec`.
    """
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((programs / "knative").glob("*.yaml"))]
    return [*found, _OPERATOR_DEFINITION]


_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_OPERATOR_DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "knativeservings.operator.knative.dev"},
    "spec": {
        "group": "operator.knative.dev",
        "names": {"kind": "KnativeServing", "plural": "knativeservings", "singular": "knativeserving"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": _ANYTHING, "status": _ANYTHING}}
                },
            }
        ],
    },
}


def _fetch_knative(target: Path) -> None:
    """Copy Knative's definitions. Raises TwinError where the module is not the one that was pinned."""
    module = json.loads(_MODULE.run("mod", "download", "-json", f"{KNATIVE_MODULE}@{KNATIVE_VERSION}"))
    if module["Sum"] != KNATIVE_SUM:
        raise TwinError(f"{KNATIVE_MODULE} {KNATIVE_VERSION} has the hash {module['Sum']}, not {KNATIVE_SUM}")
    target.mkdir(exist_ok=True)
    for name in _KNATIVE_DEFINITIONS:
        path = Path(module["Dir"]) / "config" / "core" / "300-resources" / f"{name}.yaml"
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o644)


def _variables(kubernetes: str) -> dict[str, str]:
    """Without them the server calls itself v0.0.0-master, which kubectl and Karpenter refuse."""
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    stamps = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    return {f"k8s.io/component-base/version.{name}": text for name, text in stamps.items()}


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
