"""Brings a plan into the cluster: every object after what it needs, all that can go together at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

from twin.aws.resolve import resolve, unresolved
from twin.errors import GivenUpError, TwinError
from twin.kube.client import ApiError, Kube, NoKindError, Object, UnreachableError
from twin.plan import Planned

#: Seconds after which an object that is not Ready is given up; Karpenter needs one to five.
READY_SECONDS = 60.0
_LOOK = 0.1


class NotReadyError(TwinError):
    """An object did not become Ready; the message holds what its controller says."""


class Applier:
    """Applies planned things. `release` is called for Helm releases, in the same order as everything else."""

    def __init__(
        self,
        kube: Kube,
        values: Mapping[str, str],
        release: Callable[[Planned], None],
        *,
        ready_seconds: float = READY_SECONDS,
        said: Callable[[Planned], None] = lambda _: None,
        errors: Callable[[str, str], list[str]] = lambda *_: [],
        pulse: Callable[[], None] = lambda: None,
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        """values: what stands for the plan's placeholders. said: hears of each thing that is there. errors: what
        controllers' logs say about an object, by kind and name. pulse: called in every wait; what it raises
        ends it. give_up: called when something went wrong, to end the waits of `release`.
        """
        self._kube = kube
        self._values = values
        self._release = release
        self._ready_seconds = ready_seconds
        self._said = said
        self._errors = errors
        self._pulse = pulse
        self._give_up = give_up
        self._failed = threading.Event()

    def apply(self, planned: tuple[Planned, ...]) -> None:
        """Apply everything. Raises the first error, NotReadyError for instance, and leaves the rest undone."""
        done: dict[str, Future[None]] = {}
        # Things come in the order of the program: whatever one waits for was handed in before it, so the oldest thing
        # that is not done never waits, and no number of workers is too small.
        with ThreadPoolExecutor(12) as pool:
            try:
                for thing in planned:
                    after = [done[urn] for urn in thing.after if urn in done]
                    done[thing.urn] = pool.submit(self._one, thing, after)
                finished, _ = wait(done.values(), return_when=FIRST_EXCEPTION)
            except BaseException:  # interrupted: nobody need wait for what is not there yet
                self._fail()
                raise
            if any(future.exception() for future in finished):
                self._fail()
        errors = [error for future in done.values() if (error := future.exception())]
        for error in errors:
            if not isinstance(error, _SkippedError | GivenUpError):
                raise error

    def _fail(self) -> None:
        self._failed.set()
        self._give_up()

    def _look(self) -> None:
        if self._failed.is_set():
            raise GivenUpError
        self._pulse()

    def _one(self, thing: Planned, after: list[Future[None]]) -> None:
        wait(after)
        if self._failed.is_set() or any(future.exception() for future in after):
            raise _SkippedError
        self._look()
        if thing.manifest is None:
            self._release(thing)
        else:
            self._object(thing, resolve(dict(thing.manifest), self._values))
        self._said(thing)

    def _object(self, thing: Planned, manifest: Object) -> None:
        missing = unresolved(manifest)
        if missing:
            raise TwinError(f"{thing.name}: the twin has no value for {', '.join(sorted(set(missing)))}")
        try:
            self._kube.path_of(manifest)
        except NoKindError as error:
            raise TwinError(f"{thing.name}: {error}; no release before it has defined that kind") from error
        apply_one(self._kube, manifest)
        if thing.ready:
            wait_ready(self._kube, manifest, self._ready_seconds, self._look, self._errors)


def apply_one(kube: Kube, manifest: Object) -> None:
    """Apply an object. Raises TwinError that names it, with the server's reason."""
    try:
        kube.apply(manifest)
    except ApiError as error:
        raise TwinError(f"{manifest['kind']} {manifest['metadata']['name']}: {error}") from error


class _SkippedError(Exception):
    """Something that this needs went wrong."""


def wait_ready(
    kube: Kube,
    manifest: Object,
    seconds: float,
    look: Callable[[], None] = lambda: None,
    errors: Callable[[str, str], list[str]] = lambda *_: [],
) -> None:
    """Wait until an object's condition Ready is True. Raises NotReadyError with the controller's own reasons.

    look: called all the while; what it raises ends the wait.
    """
    deadline = time.monotonic() + seconds
    path = kube.path_of(manifest)
    while True:
        look()
        try:
            found: Object = kube.request("GET", path)
        except UnreachableError:  # it may be on its way back
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK)
            continue
        if is_ready(found):
            return
        if time.monotonic() > deadline:
            kind, name = found["kind"], found["metadata"]["name"]
            reasons = "; ".join([*errors(kind, name), why_not(kube, found)])
            raise NotReadyError(f"{kind} {name} is not Ready: {reasons}")
        time.sleep(_LOOK)


def condition(obj: Object, name: str) -> Mapping[str, Any]:
    """A condition of an object; empty when it has none of that type."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == name), {})


def is_ready(obj: Object) -> bool:
    """Whether the condition Ready is True, and not about an older version of the object."""
    ready = condition(obj, "Ready")
    generation = obj["metadata"].get("generation", 0)
    return ready.get("status") == "True" and int(ready.get("observedGeneration", generation)) >= generation


def why_not(kube: Kube, obj: Object) -> str:
    """What the object's controller says: conditions that are not True, and warnings about it."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    said = [
        f"{c['type']}={c['status']} {c.get('reason', '')} {c.get('message', '')}".strip()
        for c in conditions
        if c["status"] != "True"
    ]
    # Ready only sums the others up.
    said = [text for text in said if not text.startswith("Ready=")] or said
    name = obj["metadata"]["name"]
    events = kube.list("v1", "Event", fields=f"involvedObject.name={name},involvedObject.kind={obj['kind']}")
    said += [f"{e.get('reason')}: {e.get('message')}" for e in events if e.get("type") == "Warning"]
    return "; ".join(dict.fromkeys(said)) or "its controller has said nothing"
