"""`slices plan dev` against what others plan with, in pairs: each run of ours beside one of theirs, so that what else
the machine does meets both.

- `cdk synth` of EKS Blueprints with five add-ons (bench/peers/eks-blueprints); needs node and npm, and fetches the
  packages once into .cache/bench. The program alone, without the `cdk` command around it, is a row of its own.
- `terraform plan` of seven resources (bench/peers/terraform); needs `terraform` and the AWS provider on this machine.

Neither checks a policy or a price.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ROOT, Run, run
from tools.terraform_cli import find_terraform

DEFINITIONS = Path(__file__).parent
WORK = ROOT / ".cache" / "bench"
SLICES = (sys.executable, "-m", "cli", "plan", "dev")


@dataclass(frozen=True)
class Peer:
    """A command to compare with, ready to run."""

    title: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]


class MissingError(Exception):
    """Why a peer cannot be run here."""


def compare(runs: int) -> None:
    """Print the ratios: ours divided by theirs, medians of `runs` pairs."""
    print(f"\n{'slices plan dev against':34}{'their wall s':>13}{'ratio':>8}{'their CPU s':>13}{'ratio':>8}")
    for title, prepare in (("cdk synth", _cdk), ("terraform plan", _terraform)):
        try:
            peers = list(prepare())
        except MissingError as error:
            print(f"{title:34}not here: {error}")
            continue
        for peer in peers:
            run(peer.command, peer.directory, peer.environment)  # fills caches
            pairs = [(run(SLICES, ROOT), run(peer.command, peer.directory, peer.environment)) for _ in range(runs)]
            _row(peer.title, pairs)


def _row(title: str, pairs: list[tuple[Run, Run]]) -> None:
    wall = statistics.median(theirs.wall for _, theirs in pairs)
    cpu = statistics.median(theirs.cpu for _, theirs in pairs)
    wall_ratio = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
    cpu_ratio = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
    print(f"{title:34}{wall:13.2f}{wall_ratio:8.2f}{cpu:13.2f}{cpu_ratio:8.2f}")


def _cdk() -> Iterator[Peer]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingError("it needs node and npm")
    folder = _copied("eks-blueprints")
    if not (folder / "node_modules" / "aws-cdk").is_dir():
        _prepare(
            (npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"), folder, os.environ
        )
    cdk = str(folder / "node_modules" / ".bin" / "cdk")
    environment = {**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "1"}
    yield Peer("cdk synth, EKS Blueprints", (cdk, "synth", "--quiet", "--no-notices"), folder, environment)
    yield Peer("  the program alone", (node, "app.js"), folder, environment)


def _terraform() -> Iterator[Peer]:
    folder = _copied("terraform")
    terraform = find_terraform(folder)
    if terraform is None:
        raise MissingError("it needs terraform on PATH, and the AWS provider where Terraform looks for it")
    _prepare((terraform.program, "init", "-input=false", "-no-color"), folder, terraform.environment)
    plan = (terraform.program, "plan", "-refresh=false", "-input=false")
    yield Peer("terraform plan, seven resources", plan, folder, terraform.environment)


def _copied(name: str) -> Path:
    """A peer's definition where its packages and its output may lie."""
    shutil.copytree(DEFINITIONS / name, WORK / name, dirs_exist_ok=True)
    return WORK / name


def _prepare(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise MissingError(f"{' '.join(command[:2])} failed: {said[0] if said else done.returncode}")
