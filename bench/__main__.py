"""Measures `slices plan`: `python -m bench`.

Every figure is the median of several new processes, as a person would start them, with compiled bytecode. Wall time
depends on what else the machine does, so the processor time of the process stands beside it.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import versions
from cli.errors import POLICY_ERROR

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("cli", "components", "config", "gpu", "plan", "policy", "stacks")
SIZES = (10, 100, 250, 500)
SLICES = [sys.executable, "-m", "cli"]


@dataclass(frozen=True)
class Measured:
    """Medians of several runs: seconds of wall and processor time; the largest memory in MiB; lines of output."""

    wall: float
    cpu: float
    memory_mib: int
    output: str


def main() -> int:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="processes per figure (default: 5)")
    runs = parser.parse_args().runs
    for room in ROOMS:
        compileall.compile_dir(ROOT / room, quiet=1)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, "
        f"median of {runs} runs\n"
    )
    _commands(runs)
    _growth("models", _with_models, runs)
    _growth("workloads", _with_workloads, runs)
    return 0


def _commands(runs: int) -> None:
    as_slices = "import atexit, gc; gc.disable(); atexit.register(gc.freeze); import "
    imports = [sys.executable, "-c", f"{as_slices}cli.commands"]
    sdks = f"{as_slices}pulumi, pulumi_aws.ec2, pulumi_kubernetes.core.v1, pulumi_eks"
    print(f"{'':34}{'wall s':>8}{'CPU s':>8}{'MiB':>6}")
    for title, command in (
        ("slices --help", [*SLICES, "--help"]),
        ("slices plan dev", [*SLICES, "plan", "dev"]),
        ("slices plan prod", [*SLICES, "plan", "prod"]),
        ("  of it: imports of the command", imports),
        ("  of it: Pulumi's SDKs alone", [sys.executable, "-c", sdks]),
    ):
        measured = _measure(command, ROOT, runs)
        print(f"{title:34}{measured.wall:8.2f}{measured.cpu:8.2f}{measured.memory_mib:6}")


def _growth(what: str, make: Any, runs: int) -> None:
    print(f"\n{what:>10}{'resources':>11}{'wall s':>8}{'CPU s':>8}{'MiB':>6}{'CPU ms per added ' + what[:-1]:>28}")
    before: tuple[int, float] | None = None
    with tempfile.TemporaryDirectory() as directory:
        project = _project(Path(directory))
        for size in SIZES:
            _write_stack(project, make(size))
            measured = _measure([*SLICES, "plan", "bench", "-C", str(project)], project, runs)
            count = measured.output.split(" resources:", 1)[0].rsplit("\n", 1)[-1]
            added = f"{(measured.cpu - before[1]) / (size - before[0]) * 1000:28.2f}" if before else ""
            print(f"{size:10}{count:>11}{measured.wall:8.2f}{measured.cpu:8.2f}{measured.memory_mib:6}{added}")
            before = (size, measured.cpu)


def _project(directory: Path) -> Path:
    """The program of this checkout with a stack of its own."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, directory / name)
    return directory


def _write_stack(project: Path, config: Mapping[str, Any]) -> None:
    document = {"config": {"aws:region": "us-east-1", **{f"gpu-slices:{key}": value for key, value in config.items()}}}
    (project / "Pulumi.bench.yaml").write_text(yaml.safe_dump(document))


def _pools(slots: int) -> list[dict[str, Any]]:
    sharing = {"strategy": "time-slicing", "replicas": 3}
    per_pool = -(-slots // 9)
    return [
        {
            "name": f"p{i}",
            "instanceFamilies": ["g6"],
            "gpusPerNode": [1],
            "maxGpus": max(per_pool, 1),
            "sharing": sharing,
        }
        for i in range(3)
    ]


def _with_models(count: int) -> dict[str, Any]:
    names = ("mistral:7b", "llama2:7b", "llama3.2:3b", "qwen2.5:3b", "phi3:mini")
    models = [{"name": f"m{i:03}", "model": names[i % 5], "pool": f"p{i % 3}"} for i in range(count)]
    return {"pools": _pools(count), "models": models}


def _with_workloads(count: int) -> dict[str, Any]:
    container = {"name": "main", "image": versions.PAUSE_IMAGE, "slots": 1}
    workloads = [{"name": f"w{i:03}", "pool": f"p{i % 3}", "containers": [container]} for i in range(count)]
    return {"pools": _pools(count), "workloads": workloads}


def _measure(command: Sequence[str], directory: Path, runs: int) -> Measured:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Without bytecode each start would compile the SDKs again, which is not what a user meets.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    walls, cpus, memory, output = [], [], 0, ""
    for run in range(runs + 1):
        start = time.perf_counter()
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(command, cwd=directory, env=environment, stdout=printed, stderr=printed)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            output = printed.read().decode()
        if process.returncode not in (0, POLICY_ERROR):  # so many models break the ceiling of GPUs, rightly
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-2000:]}")
        memory = max(memory, usage.ru_maxrss // 1024)
        if run:  # the first one fills caches
            walls.append(wall)
            cpus.append(usage.ru_utime + usage.ru_stime)
    return Measured(statistics.median(walls), statistics.median(cpus), memory, output)


if __name__ == "__main__":
    sys.exit(main())
