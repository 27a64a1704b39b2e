"""Builds the real Pulumi engine and its Kubernetes provider from the Go modules pinned below `tools`.

Both take minutes once (about six and eighteen of CPU) and lie in `.cache/engine/<hash of the pins>` then. Providers of
AWS and EKS, and the language host of Python, are no Go modules: stand-ins of ours take their place.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from twin.machine.build import one_build
from twin.machine.go import ROOT, GoModule
from twin.machine.progress import BuildProgress

_TOOLS = Path(__file__).resolve().parent / "tools"
_PULUMI = GoModule(_TOOLS / "pulumi")
_KUBERNETES = GoModule(_TOOLS / "kubernetes")
_CACHE = ROOT / ".cache" / "engine"

PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"
_PULUMI_CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
KUBERNETES_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
#: The version that the provider tells; its module's own is a commit. The SDK of the lock file asks for this one.
KUBERNETES_PROVIDER_VERSION = "4.34.2"
#: Runs a Python program for the engine; part of the SDK's module, not of its wheel.
EXEC = "pulumi-language-python-exec"


def programs_dir() -> Path:
    """Where the programs lie, or will."""
    own = (_TOOLS / "kubernetes" / "main.go").read_bytes()
    return _CACHE / hashlib.sha256(_PULUMI.pins + _KUBERNETES.pins + own).hexdigest()[:16]


def ensure_built(progress: BuildProgress) -> Path:
    """The folder of `pulumi`, `pulumi-resource-kubernetes` and `EXEC`; builds what is missing. Raises TwinError."""
    folder = programs_dir()
    done = folder / EXEC  # copied last
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with one_build(_CACHE, progress):
        if not done.exists():
            _build(folder, progress)
    return folder


def _build(folder: Path, progress: BuildProgress) -> None:
    pulumi, kubernetes = _PULUMI.modules(), _KUBERNETES.modules()
    version = pulumi[PULUMI_SDK]["Version"]
    provider = Path(kubernetes[KUBERNETES_PROVIDER]["Dir"])
    with tempfile.TemporaryDirectory() as scratch:
        # The provider's own main embeds generated files that its module lacks; ours embeds the schema that it has.
        ours = shutil.copytree(_TOOLS / "kubernetes", Path(scratch) / "kubernetes", copy_function=shutil.copyfile)
        shutil.copyfile(provider / "cmd" / "pulumi-resource-kubernetes" / "schema.json", ours / "schema.json")
        builds = [
            (_PULUMI, _PULUMI_CLI, "pulumi", {f"{PULUMI_SDK}/go/common/version.Version": version}),
            (GoModule(ours), ".", "pulumi-resource-kubernetes", {"main.version": KUBERNETES_PROVIDER_VERSION}),
        ]
        missing = [build for build in builds if not (folder / build[2]).exists()]
        progress.begin(sum(len(module.stale([package])) for module, package, _, _ in missing))
        for module, package, name, variables in missing:
            progress.building(name)
            made = Path(scratch) / name
            module.build(package, made, variables, progress.compiled)
            shutil.move(made, folder / name)
    shutil.copyfile(Path(pulumi[PULUMI_SDK]["Dir"]) / "python" / "cmd" / EXEC, folder / EXEC)
