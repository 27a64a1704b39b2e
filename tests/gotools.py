"""Finds Go, the sources of Go modules and tools built from them: some tests let the real parts judge our output.

Go is the twin's: from the path, where it is new enough for Karpenter, or from PyPI. Modules come through Go's own proxy
and cache; built tools lie in `.cache/go/bin`. Where there is no Go, or a module cannot be had, the test is skipped and
says why; with `REQUIRE_GO=1` it fails instead, so that CI cannot lose these tests without notice.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import versions
from tests.built import unavailable
from twin.errors import TwinError
from twin.machine.build import KARPENTER_PINS
from twin.machine.go import go_for

KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
#: What is Karpenter's own, whatever cloud; its definitions of NodePools and NodeOverlays.
KARPENTER_CORE_MODULE = "sigs.k8s.io/karpenter"
DEVICE_PLUGIN_MODULE = "github.com/NVIDIA/k8s-device-plugin"
#: The newest that the module proxy serves everywhere. Its chart's templates are those of the pinned 0.20.0 but for
#: comments, an option for the host's network and the version of node-feature-discovery (compared on 2026-11-29).
DEVICE_PLUGIN_MODULE_VERSION = "v0.19.3"
KNATIVE_MODULE = "knative.dev/serving"
KNATIVE_OPERATOR_MODULE = "knative.dev/operator"
#: Definitions of the Prometheus operator, as the chart of that version brings them.
PROMETHEUS_OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"
KUBE_STATE_METRICS_MODULE = "k8s.io/kube-state-metrics/v2"
#: Karpenter's own half, as the pinned release takes it.
KARPENTER_CORE = (KARPENTER_CORE_MODULE, "v1.15.0")
KNATIVE_PKG = ("knative.dev/pkg", "v0.0.0-20260727151759-521cb33b33dd")
#: Judges Alertmanager's configuration.
AMTOOL = "github.com/prometheus/alertmanager/cmd/amtool"
#: Renders charts as the Helm inside Pulumi's Kubernetes provider does; read on 2026-11-21.
HELM = ("helm.sh/helm/v3/cmd/helm", "v3.22.0")

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "go"


@functools.cache
def go() -> Path:
    """The `go` command. Skips the test if there is none, and none can be had."""
    try:
        return go_for(KARPENTER_PINS)
    except TwinError as error:
        unavailable("GO", str(error))


@functools.cache
def module_dir(module: str, version: str) -> Path:
    """Folder with the sources of one version of a module. Skips the test if it cannot be had."""
    with tempfile.TemporaryDirectory() as nowhere:  # no go.mod of somebody else's decides
        answer = _run(["mod", "download", "-json", f"{module}@{version}"], Path(nowhere))
    return Path(json.loads(answer)["Dir"])


@functools.cache
def module_file(module: str, version: str, path: str) -> str:
    """Text of one file of a module, also where the module wants a newer Go than there is. Skips the test like it."""
    with tempfile.TemporaryDirectory() as nowhere:
        command = [str(go()), "mod", "download", "-json", f"{module}@{version}"]
        done = subprocess.run(command, cwd=nowhere, capture_output=True, text=True, check=False)
    try:
        archive = json.loads(done.stdout)["Zip"]
    except (ValueError, KeyError):
        unavailable("GO", f"{module} {version} cannot be had: {(done.stderr or done.stdout).strip()[-500:]}")
    with zipfile.ZipFile(archive) as files:
        return files.read(f"{module}@{version}/{path}").decode()


@functools.cache
def karpenter_dir() -> Path:
    """Sources of the pinned Karpenter: `pkg/apis/crds`, `charts/karpenter`, `charts/karpenter-crd`."""
    return module_dir(KARPENTER_MODULE, f"v{versions.KARPENTER_VERSION}")


@functools.cache
def device_plugin_dir() -> Path:
    """Sources of the device plugin: `deployments/helm/nvidia-device-plugin`."""
    return module_dir(DEVICE_PLUGIN_MODULE, DEVICE_PLUGIN_MODULE_VERSION)


@functools.cache
def knative_dir() -> Path:
    """Sources of the pinned Knative Serving: `config/core/300-resources`, `config/core/configmaps`."""
    return module_dir(KNATIVE_MODULE, versions.KNATIVE_MODULE_VERSION)


@functools.cache
def knative_operator_dir() -> Path:
    """Sources of its operator: `config/charts/knative-operator`, and in `cmd/operator/kodata` what it installs."""
    return module_dir(KNATIVE_OPERATOR_MODULE, versions.KNATIVE_MODULE_VERSION)


@functools.cache
def tool(package: str, version: str) -> Path:
    """A command built from a module: minutes the first time, nothing after. Skips the test if it cannot be built."""
    folder = _CACHE / "bin" / version
    built = folder / package.rsplit("/", 1)[-1]
    with _lock(folder):
        if not built.exists():
            # Built aside and moved: an interrupted build leaves nothing that looks finished.
            with tempfile.TemporaryDirectory(dir=folder) as aside:
                _run(["install", f"{package}@{version}"], Path(aside), GOBIN=aside)
                (Path(aside) / built.name).replace(built)
    return built


@functools.cache
def built(folder: Path, name: str, package: str = ".", tags: str = "") -> Path:
    """A program that a module of ours builds: folder holds go.mod, go.sum and, but for a package of others, main.go.

    `tool` cannot build what replaces modules of its own. tags: Go's build tags, for such a package. Skips like `tool`.
    """
    files = ("go.mod", "go.sum", *(["main.go"] if package == "." else []))
    sources = b"".join((folder / file).read_bytes() for file in files)
    sources += b"" if package == "." else f"{package} {tags}".encode()
    target = _CACHE / "bin" / hashlib.sha256(sources).hexdigest()[:16] / name
    with _lock(target.parent):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as aside:
                command = ["build", "-mod=readonly", "-tags", tags, "-o", str(Path(aside) / name), package]
                _run(command, folder, CGO_ENABLED="0")
                (Path(aside) / name).replace(target)
    return target


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _run(arguments: list[str], cwd: Path, **environment: str) -> str:
    command = [str(go()), *arguments]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        unavailable("GO", f"`go {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
