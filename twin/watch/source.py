"""Where pictures come from: a running twin, looked at as it changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from twin.agent.meter import read_meter
from twin.errors import TwinError
from twin.kube import Kube
from twin.launch import kube_of, supervised
from twin.observe import Observed
from twin.plan import GpuPool, load_plan
from twin.state import Run, TwinState, load_run
from twin.watch.compose import KINDS, About, compose
from twin.watch.scene import Scene

#: Seconds between two looks at whether the twin is still there.
_LOOK = 1.0


class Source:
    """Scenes of a twin that runs. Use as a context manager."""

    def __init__(self, state: TwinState) -> None:
        """Raises TwinError where there is no running twin."""
        run = load_run(state)
        if run is None or not supervised(state):
            raise TwinError(f"there is no running twin of {state.stack}: `slices up {state.stack}` starts one")
        self._state = state
        self._run: Run = run
        self._kube: Kube = kube_of(state, run)
        self._observed = Observed(self._kube, KINDS)
        self._gpu_pools: Mapping[str, GpuPool] = {}
        self._last: Scene | None = None
        self._looked = 0.0
        self._stale = ""

    def __enter__(self) -> Source:
        """Take the first complete copy. Raises TwinError when the API server does not answer."""
        try:
            self._observed.start()
        except TimeoutError as error:
            self._observed.stop()
            raise TwinError(
                f"the twin of {self._state.stack} runs but does not answer ({error}): `slices status` says more"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observed.stop()

    @property
    def stack(self) -> str:
        """The twin's stack."""
        return self._state.stack

    def gone(self) -> str:
        """Why there will be nothing more to see; empty as long as there may be. Cheap enough for every second."""
        run = load_run(self._state)
        if run is None:
            return f"The twin of {self.stack} was stopped."
        if (run.started, run.ports) != (self._run.started, self._run.ports):
            return f"The twin of {self.stack} was stopped, and another one started."
        if not supervised(self._state):
            return f"The twin of {self.stack} died: `slices up {self.stack}` recovers it."
        return ""

    @property
    def crashed(self) -> bool:
        """Whether the twin went without having been stopped."""
        return load_run(self._state) is not None and not supervised(self._state)

    def wait(self, version: int, seconds: float) -> int:
        """Wait for a change after `version`, at most some seconds; the version now."""
        return self._observed.wait_change(version, seconds)

    def scene(self) -> Scene:
        """The picture now."""
        self._look()
        about = About(
            stack=self.stack,
            started=self._run.started,
            usd=read_meter(self._state.folder)[0],
            gpu_pools=self._gpu_pools,
            stale=self._stale,
        )
        objects = {kind: self._observed.all(kind) for kind in KINDS}
        self._last = compose(objects, about, time.time(), self._last)
        return self._last

    def _look(self) -> None:
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        self._stale = "" if self._kube.ready() else "The API server does not answer: this is the last that it said."
        try:
            self._gpu_pools = {pool.name: pool for pool in load_plan(self._state).gpu_pools}
        except TwinError:  # on its way out
            return
