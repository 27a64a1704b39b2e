"""Where pictures come from: a running twin, looked at as it changes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Protocol

from twin.errors import TwinError
from twin.kube.client import Kube
from twin.kube.observe import Observed
from twin.machine.launch import connect, supervised
from twin.machine.state import TwinState, load_run
from twin.plan import PlannedPool, load_plan
from twin.play.agent.meter import read_meter
from twin.watch.compose import KINDS, About, compose
from twin.watch.scene import Scene

#: Seconds between two looks at what the watches do not tell: whether the twin is there, and dollars.
LOOK_SECONDS = 2.0
#: Seconds between two pictures at least.
PAUSE_SECONDS = 0.5


class Scenes(Protocol):
    """Where scenes come from (`Source`)."""

    def scene(self) -> Scene:
        """The picture now."""

    def wait(self, seconds: float = ...) -> None:
        """Wait until there may be another one."""

    def ended(self) -> str:
        """Why there will be no other; empty as long as there may be."""


class Source:
    """Scenes of a twin that runs. Use as a context manager; threads may share it."""

    def __init__(self, state: TwinState) -> None:
        """Raises TwinError where there is no running twin."""
        self._state = state
        self._kube: Kube = connect(state)
        run = load_run(state)
        assert run is not None  # as `connect` has found
        self._run = run
        self._region = ""
        self._observed = Observed(self._kube, KINDS)
        self._lock = threading.Lock()
        self._scene: Scene | None = None
        self._version = -1
        self._looked = 0.0
        self._stale = ""
        self._gpu_pools: Mapping[str, PlannedPool] = {}
        self._planned = 0

    def __enter__(self) -> Source:
        """Take the first complete copy. Raises TwinError when the API server does not answer."""
        self._observed.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observed.stop()

    def ended(self) -> str:
        """Why there will be nothing more to see; empty as long as there may be: a twin that died may be recovered."""
        stack = self._state.stack
        run = load_run(self._state)
        if run is None:
            return f"The twin of {stack} was stopped."
        if (run.started, run.ports) != (self._run.started, self._run.ports):
            return f"The twin of {stack} was stopped, and another one started."
        return ""

    def wait(self, seconds: float = LOOK_SECONDS) -> None:
        """Wait until there is more to see than in the last scene, at most some seconds."""
        self._observed.wait_change(self._version, seconds)

    def scene(self) -> Scene:
        """The picture now."""
        with self._lock:
            now = time.time()
            if self._scene is None or time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look()
            version = self._observed.version
            # Files of a twin that is being removed say nothing.
            usd = max(read_meter(self._state.folder)[0], self._scene.usd if self._scene else 0.0)
            if self._scene is None or version != self._version:
                about = About(
                    stack=self._state.stack,
                    region=self._region,
                    started=self._run.started,
                    usd=usd,
                    gpu_pools=self._gpu_pools,
                    stale=self._stale,
                )
                self._scene = compose({kind: self._observed.all(kind) for kind in KINDS}, about, now, self._scene)
                self._version = version
            else:
                self._scene = replace(self._scene, at=now, usd=usd, stale=self._stale)
            return self._scene

    def _look(self) -> None:
        self._looked = time.monotonic()
        stack = self._state.stack
        if self._kube.ready():
            self._stale = ""
        elif supervised(self._state):
            self._stale = (
                f"The API server does not answer: this is the last that it said. `slices status {stack}` says more."
            )
        else:
            self._stale = f"The twin of {stack} died: this is how it was last. `slices up {stack}` recovers it."
        with contextlib.suppress(TwinError, OSError):  # on its way out
            planned = self._state.plan.stat().st_mtime_ns
            if planned != self._planned:
                plan = load_plan(self._state)
                self._region, self._gpu_pools = plan.region, {pool.name: pool for pool in plan.gpu_pools}
                self._planned, self._version = planned, -1
