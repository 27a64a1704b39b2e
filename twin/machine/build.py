"""Builds the twin's programs from the Go modules pinned below `twin/machine/tools`: minutes once, nothing after.

Kubernetes and Karpenter are pinned apart, so that each is built with the libraries that it was released with: Karpenter
1.15 has k8s.io modules of 0.37 and a newer cel-go than Kubernetes 1.36. The programs lie in `.cache/twin/<hash of the
pins>`. What Go has compiled stays in Go's own cache, so an interrupted build goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from twin.errors import TwinError
from twin.kube.definitions import any_spec
from twin.machine.go import ROOT, GoModule
from twin.machine.state import write_text

_TOOLS = Path(__file__).resolve().parent / "tools"
_KUBERNETES = GoModule(_TOOLS / "kubernetes")
_KARPENTER = GoModule(_TOOLS / "karpenter")
#: Asks for the newest Go of all that is built or read here.
KARPENTER_PINS = _KARPENTER.folder / "go.mod"
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
#: What is mended in the main of Karpenter's kwok flavour, v1.15.0: it builds the cluster's state without what judges
#: the health of nodes, and so panics with the gate NodeRepair (`cluster.nodeRepair`). The real controller's main
#: (cmd/controller/main.go) has it.
_MENDED = {
    '"sigs.k8s.io/karpenter/pkg/controllers/state"': (
        '"sigs.k8s.io/karpenter/pkg/controllers/node/health"\n\t"sigs.k8s.io/karpenter/pkg/controllers/state"'
    ),
    "state.NewCluster(op.Clock, op.GetClient(), cloudProvider)": (
        "state.NewCluster(op.Clock, op.GetClient(), cloudProvider, "
        "state.WithRepairPolicyMatcher(lo.Must(health.NewRepairPolicyMatcher(ctx, cloudProvider))))"
    ),
}


@dataclass(frozen=True)
class Program:
    """A program of the twin, the package that it is built from, and the module of ours that pins it."""

    name: str
    package: str
    module: GoModule


def _programs(karpenter: GoModule) -> tuple[Program, ...]:
    """Two packages call their program `kwok`, and etcd's is called `server`: each is built under a name of its own.

    karpenter: what `_mended_karpenter` wrote.
    """
    return (
        Program("etcd", "go.etcd.io/etcd/server/v3", _KUBERNETES),
        Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", _KUBERNETES),
        Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", _KUBERNETES),
        Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", _KUBERNETES),
        Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", _KUBERNETES),
        Program("karpenter", ".", karpenter),
        Program("helm", "helm.sh/helm/v3/cmd/helm", _KUBERNETES),
    )


class Progress(Protocol):
    """Hears how a build goes."""

    def waiting(self) -> None:
        """Another command builds the same."""

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
    pinned = hashlib.sha256(_KUBERNETES.pins + _KARPENTER.pins)
    pinned.update(f"{KNATIVE_VERSION} {_LAYOUT} {_MENDED}".encode())
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
    with one_build(_CACHE, progress):
        if not is_built():
            _build(folder, progress)
    return folder


def _build(folder: Path, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    modules = {**_KARPENTER.modules(), **_KUBERNETES.modules()}
    karpenter = Path(modules[KARPENTER_MODULE]["Dir"])
    programs = _programs(_mended_karpenter(karpenter, folder / "karpenter-main"))
    missing = [program for program in programs if not (folder / program.name).exists()]
    if missing:
        progress.begin(_to_compile(missing))
    variables = _variables(modules[KUBERNETES_MODULE]["Version"])
    for program in missing:
        progress.building(program.name)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / program.name
            _compile(program, made, variables, progress)
            made.replace(folder / program.name)
    for chart in _CHARTS:
        shutil.rmtree(folder / "charts" / chart, ignore_errors=True)
        shutil.copytree(karpenter / "charts" / chart, folder / "charts" / chart, copy_function=shutil.copyfile)
        _writable(folder / "charts" / chart)
    _fetch_knative(folder / "knative")
    versions = {path: module["Version"].removeprefix("v") for path, module in modules.items()}
    write_text(folder / _DONE, json.dumps(versions, indent=1))


def _mended_karpenter(karpenter: Path, target: Path) -> GoModule:
    """Karpenter's own main, mended, as a module below target. karpenter: its sources. Raises TwinError for others."""
    target.mkdir(exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(_KARPENTER.folder / name, target / name)
    main = karpenter / "kwok" / "main.go"
    text = main.read_text(encoding="utf-8")
    for wrong, right in _MENDED.items():
        if text.count(wrong) != 1:
            raise TwinError(f"{main} is not what twin/machine/build.py mends (`_MENDED`): it lacks {wrong}")
        text = text.replace(wrong, right)
    (target / "main.go").write_text(text, encoding="utf-8")
    return GoModule(target)


def _to_compile(programs: Sequence[Program]) -> int:
    """How many packages must be compiled for programs; what two have in common counts once."""
    modules = {program.module for program in programs}
    return sum(
        len(module.stale([program.package for program in programs if program.module is module])) for module in modules
    )


def _compile(program: Program, made: Path, variables: Mapping[str, str], progress: Progress) -> None:
    waits = set(program.module.stale([program.package]))

    def compiled(package: str) -> None:
        progress.compiled(package)
        waits.discard(package)
        if not waits:
            progress.linking(program.name)

    if not waits:
        progress.linking(program.name)
    program.module.build(program.package, made, variables, compiled)


def knative_definitions(programs: Path) -> list[dict[str, Any]]:
    """Knative's definitions of its objects, from its own sources. Its operator's is not to be had as a Go module: that
    one takes any `spec`.
    """
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((programs / "knative").glob("*.yaml"))]
    return [*found, _OPERATOR_DEFINITION]


_OPERATOR_DEFINITION = any_spec("operator.knative.dev", "v1beta1", "KnativeServing", "Namespaced")


def _fetch_knative(target: Path) -> None:
    """Copy Knative's definitions. Raises TwinError where the module is not the one that was pinned."""
    module = json.loads(_KUBERNETES.run("mod", "download", "-json", f"{KNATIVE_MODULE}@{KNATIVE_VERSION}"))
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
def one_build(cache: Path, progress: Progress) -> Iterator[None]:
    """One build in a folder at a time: two would only take each other's processors."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.waiting()
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
