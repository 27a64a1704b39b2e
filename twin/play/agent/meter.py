"""Counts what the twin's nodes would have cost so far."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gpu.prices import RegionPrices
from twin.kube.observe import Observed
from twin.machine.state import DamagedError, read_json, write_json
from twin.view import view

_SAVE_EVERY = 2.0


class Meter:
    """USD since the twin was started; kept in `meter.json`, so that it goes on after a crash."""

    def __init__(self, folder: Path, observed: Observed, prices: RegionPrices) -> None:
        self._path = folder / "meter.json"
        self._observed = observed
        self._prices = prices
        self._usd, self._gpu_usd = read_meter(folder)
        self._last: float | None = None
        self._saved = 0.0

    def tick(self, now: float) -> None:
        """Add what the time since the last call has cost, once a second at most. now: `time.monotonic()`."""
        if self._last is not None and now - self._last < 1.0:
            return
        if self._last is not None:
            seen = view(self._prices, self._observed.all("Node"), self._observed.all("NodeClaim"), ())
            hours = (now - self._last) / 3600
            self._usd += seen.usd_per_hour * hours
            self._gpu_usd += sum(node.usd_per_hour for node in seen.gpu_nodes) * hours
        self._last = now
        if now - self._saved >= _SAVE_EVERY and self._path.parent.is_dir():
            with contextlib.suppress(OSError):  # a full disk: what is counted is not lost
                write_json(self._path, {"usd": self._usd, "gpuUsd": self._gpu_usd})
            self._saved = now


def read_meter(folder: Path) -> tuple[float, float]:
    """USD so far: of all nodes, and of GPU nodes. Nothing where the count is lost."""
    try:
        found = read_json(folder / "meter.json")
        return float(found["usd"]), float(found["gpuUsd"])
    except (FileNotFoundError, DamagedError):
        return 0.0, 0.0
