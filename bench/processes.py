"""Runs a command as a person would, in a process of its own, and says what it took."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cli.errors import POLICY_ERROR

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """Seconds of wall time, and of the processors with all that it started; the largest memory in MiB; its output."""

    wall: float
    cpu: float
    memory_mib: int
    output: str


def run(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] = os.environ,
    good: Collection[int] = (0, POLICY_ERROR),
) -> Run:
    """Run it once. Ends the measurement if it fails: so many models break the ceiling of GPUs, rightly, and no more."""
    variables = {**environment, "PYTHONPATH": str(ROOT)}
    # Without bytecode each start would compile the SDKs again, which is not what a user meets.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, cwd=directory, env=variables, stdout=printed, stderr=printed)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read().decode()
    if process.returncode not in good:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, output)


def machine() -> dict[str, str]:
    """Where and when a figure was taken: it belongs to every result that is kept."""
    processor = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": f"{os.cpu_count()} CPUs, {processor}"}


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
