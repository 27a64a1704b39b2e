"""The example's job as processes of its own, which tests kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]


@dataclass
class Job:
    """A running process of the job: what it has said, line by line."""

    process: subprocess.Popen[str]
    output: Path
    started: float = field(default_factory=time.monotonic)

    def said(self) -> str:
        """Everything, on both outputs."""
        return self.output.read_text(encoding="utf-8")

    def steps(self) -> dict[int, float]:
        """Steps that it has done, and when, by the clock that all processes of a machine share."""
        return {int(step): float(at) for step, at in re.findall(r"^step (\d+) at ([\d.]+)$", self.said(), re.MULTILINE)}

    def wait_for(self, text: str) -> None:
        """Wait until it says something."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            assert time.monotonic() < deadline, f"never said {text!r}: {self.said()}"
            time.sleep(0.01)

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and wait for the end: the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def result(self) -> str:
        """What came out. Waits for it."""
        assert self.process.wait(PATIENCE) == 0, self.said()
        (found,) = re.findall(r"^result (\w+)$", self.said(), re.MULTILINE)
        return str(found)


@contextmanager
def running(
    folder: Path, environment: Mapping[str, str], *, steps: int = 300, step_seconds: float = 0.01
) -> Iterator[Job]:
    """A process of the job; killed at the end where it still runs."""
    output = folder / f"{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "checkpoint.example", "--steps", str(steps), "--step-seconds", str(step_seconds)]
    own = {**os.environ, "PYTHONPATH": str(ROOT / "apps"), "PYTHONUNBUFFERED": "1", **environment}
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=own, stdout=file, stderr=subprocess.STDOUT, text=True)
    try:
        yield Job(process, output)
    finally:
        process.kill()
        process.wait()
