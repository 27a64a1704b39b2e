"""Measures `slices plan`: `python -m bench`.

Every figure is the median of several new processes, as a person would start them, with compiled bytecode. Wall time
depends on what else the machine does, so the processor time of the process stands beside it. `bench.peers` says with
what it is compared, and what they need.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import versions
from bench.peers import compare
from bench.processes import ROOT, Run, run

ROOMS = ("cli", "components", "config", "gpu", "plan", "policy", "stacks")
SIZES = (10, 100, 500, 2000, 5000)
LARGE = 1000
"""Above it a figure is one run's: half a minute of them would say no more."""
SLICES = [sys.executable, "-m", "cli"]


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
    compare(runs)
    _growth("models", _with_models, runs)
    _growth("workloads", _with_workloads, runs)
    return 0


def _commands(runs: int) -> None:
    as_slices = "import atexit, gc; gc.disable(); atexit.register(gc.freeze); import "
    imports = [sys.executable, "-c", f"{as_slices}cli.commands"]
    sdks = f"{as_slices}pulumi, pulumi_aws, pulumi_kubernetes"
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
            measured = _measure([*SLICES, "plan", "bench", "-C", str(project)], project, 1 if size > LARGE else runs)
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


def _measure(command: Sequence[str], directory: Path, runs: int) -> Run:
    """Medians of several runs, and the largest memory; the first run fills caches."""
    done = [run(command, directory) for _ in range(runs + 1)]
    return Run(
        statistics.median(each.wall for each in done[1:]),
        statistics.median(each.cpu for each in done[1:]),
        max(each.memory_mib for each in done),
        done[-1].output,
    )


if __name__ == "__main__":
    sys.exit(main())
