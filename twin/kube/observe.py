"""A live copy of the cluster's objects, kept by watches. Whoever wants to know something reads it here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from twin.errors import TwinError
from twin.kube.client import Kube, Object
from twin.kube.stream import watch

#: What the twin looks at, and its API version. Knative's `Service` has the name of Kubernetes' own, so it gets another.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "Node": "v1",
        "Pod": "v1",
        "Event": "v1",
        "Deployment": "apps/v1",
        "NodeClaim": "karpenter.sh/v1",
        "NodePool": "karpenter.sh/v1",
        "NodeOverlay": "karpenter.sh/v1alpha1",
        "EC2NodeClass": "karpenter.k8s.aws/v1",
        "KnativeServing": "operator.knative.dev/v1beta1",
        "KnativeService": "serving.knative.dev/v1",
        "ResourceSlice": "resource.k8s.io/v1",
        "ResourceClaim": "resource.k8s.io/v1",
    }
)
_NAMES = {"KnativeService": "Service"}
_NO_LABELS: Mapping[str, str] = MappingProxyType({})

Change = Callable[[str, str, Object], None]
"""Called with kind, "ADDED", "MODIFIED" or "DELETED", and the object; from the thread of the kind's watch."""


class Observed:
    """Copies of all objects of some kinds. Use as a context manager, or `start` and `stop`."""

    def __init__(
        self,
        kube: Kube,
        kinds: Iterable[str] = KINDS,
        on_change: Change | None = None,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> None:
        """labels: label selectors by kind, where not all objects are wanted: each copy costs the server something."""
        self._kube = kube
        self._labels = labels
        self._kinds = tuple(kinds)
        self._on_change = on_change
        self._stop = threading.Event()
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in self._kinds}
        self._synced = {kind: threading.Event() for kind in self._kinds}
        # Conditions read the copies: the same thread takes the lock again.
        self._changed = threading.Condition(threading.RLock())
        self._version = 0

    def __enter__(self) -> Observed:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, seconds: float = 20.0) -> None:
        """Begin to watch, and wait for the first complete copy. Raises TwinError where none comes.

        A kind that the server does not have yet is an empty copy; it fills as soon as there is such a kind.
        """
        for kind in self._kinds:
            threading.Thread(target=self._follow, args=(kind,), name=f"watch-{kind}", daemon=True).start()
        for kind, synced in self._synced.items():
            if not synced.wait(seconds):
                self.stop()
                raise TwinError(f"the API server sends no list of {kind} within {seconds:.0f} s: is the machine busy?")

    def stop(self) -> None:
        """End the watches; their threads follow when their streams end."""
        self._stop.set()

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind, oldest first."""
        with self._changed:
            objects = list(self._objects[kind].values())
        return sorted(objects, key=lambda o: (o["metadata"].get("creationTimestamp", ""), o["metadata"]["name"]))

    def follows(self, kind: str) -> bool:
        """Whether there are copies of a kind."""
        return kind in self._objects

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """An object; None when there is none."""
        with self._changed:
            return self._objects[kind].get(f"{namespace}/{name}")

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    def wait_change(self, version: int, seconds: float) -> int:
        """Wait for a change after `version`, at most some seconds; the version now."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, seconds)
            return self._version

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition on these copies holds; whether it came to hold in time."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _follow(self, kind: str) -> None:
        for event, obj in watch(
            self._kube, KINDS[kind], _NAMES.get(kind, kind), stop=self._stop, labels=self._labels.get(kind, "")
        ):
            if event == "SYNCED":
                self._synced[kind].set()
                continue
            key = f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
            with self._changed:
                if event == "DELETED":
                    self._objects[kind].pop(key, None)
                else:
                    self._objects[kind][key] = obj
                self._version += 1
                self._changed.notify_all()
            if self._on_change:
                self._on_change(kind, event, obj)
