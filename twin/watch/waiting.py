"""Pods without a node: why they wait, in the words of Karpenter or the scheduler, and where they are expected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpu.contract import NVIDIA_PREFIX
from twin.kube.client import Object
from twin.view import PodView
from twin.watch.feed import happened, source_of
from twin.watch.words import moment

NOBODY_SAID = "nobody has said why yet"
#: Karpenter's event on a pod for which it has a node, or is buying one (core, `NominatePodEvent`): at most some of them
#: a second are written, so that not every pod has one.
_NOMINATED = "Nominated"
_FAILED = "Failed to schedule pod, "
_OTHER_POOL = "incompatible requirements, key karpenter.sh/nodepool"
_TARGET = re.compile(r"(nodeclaim|node)/([^\s,]+)")


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Pods that wait for the same reason."""

    reason: str
    source: str
    """Who says so: `Karpenter` or `scheduler`."""
    coming: bool
    """Whether Karpenter has a node for them."""
    pods: tuple[str, ...]
    """Namespace and name."""
    owners: tuple[tuple[str, int], ...]
    """What they belong to, and how many pods each has; the most first."""
    slots: int
    """Slots that they ask for."""
    mib: int
    """GPU memory that they claim, in MiB."""
    since: float
    """When the oldest was created, in seconds since 1970."""

    @property
    def hopeless(self) -> bool:
        """Whether Karpenter will not buy a node for them; what the scheduler says may just be early."""
        return self.source == "Karpenter" and not self.coming


@dataclass(frozen=True)
class Guest:
    """A pod that is expected somewhere."""

    owner: str
    pod: str
    mib: int = 0
    """GPU memory that it claims, in MiB; 0 for a pod that takes a slot."""


class Coming:
    """Pods that Karpenter expects on nodes that do not have them yet."""

    def __init__(
        self,
        pending: Iterable[PodView],
        pods: Iterable[Object],
        events: Iterable[Object],
        claims: Sequence[Object],
        nodes: Iterable[Object],
    ) -> None:
        self._created = {
            key_of(pod["metadata"]): moment(pod["metadata"].get("creationTimestamp"))
            for pod in pods
            if not pod["spec"].get("nodeName")
        }
        by_instance = {node["spec"].get("providerID"): str(node["metadata"]["name"]) for node in nodes}
        # A node goes by the name of its claim as long as there is no node.
        self._names = {
            str(claim["metadata"]["name"]): by_instance.get(
                (claim.get("status") or {}).get("providerID"), str(claim["metadata"]["name"])
            )
            for claim in claims
        }
        self.called: Mapping[str, str] = {node: claim for claim, node in self._names.items() if node != claim}
        """Name of the claim by name of its node: short, and the same from the purchase on."""
        self._reserved = {self._names[str(c["metadata"]["name"])]: _asked_for(c) for c in claims}
        self._said: dict[str, str] = {}
        self._guests: dict[str, list[Guest]] = {}
        nominations = self._nominations(events)
        for pod in sorted(pending, key=lambda pod: (pod.owner, pod.name)):
            if (message := nominations.get(pod.key)) is None:
                continue
            self._said[pod.key] = message
            node = self._target(message)
            if node and pod.wants_gpu:
                guests = [Guest(pod.owner, pod.key, pod.mib)] * (1 if pod.mib else pod.slots)
                self._guests.setdefault(node, []).extend(guests)

    def _nominations(self, events: Iterable[Object]) -> dict[str, str]:
        """What Karpenter last said about each pod, where that is the name of a node."""
        newest: dict[str, tuple[float, str]] = {}
        for event in events:
            about = event.get("involvedObject") or {}
            key = key_of(about)
            if about.get("kind") != "Pod" or key not in self._created or not source_of(event).startswith("karpenter"):
                continue
            at = happened(event)
            # A pod may have had a namesake; times are whole seconds.
            if at >= self._created[key] - 1 and at >= newest.get(key, (0.0, ""))[0]:
                newest[key] = (at, str(event.get("message", "")) if event.get("reason") == _NOMINATED else "")
        return {key: message for key, (_, message) in newest.items() if message}

    def _target(self, message: str) -> str:
        found = dict[str, str](_TARGET.findall(message))
        return found.get("node") or self._names.get(found.get("nodeclaim", ""), "")

    def to(self, node: str) -> Sequence[Guest]:
        """Who is expected on a node, once a slot or claim. node: its name, or its claim's where it is to come."""
        return self._guests.get(node, ())

    def reserved(self, node: str) -> int:
        """Slots for whose pods Karpenter has bought a node. node: as above."""
        return self._reserved.get(node, 0)

    def said(self, pod: str) -> str:
        """Karpenter's message that names a node for a pod (namespace and name); empty where there is none."""
        return self._said.get(pod, "")

    def node_for(self, pod: str) -> str:
        """The node, or the claim where there is no node yet, that a pod is expected on; empty where there is none."""
        return self._target(self.said(pod))

    def since(self, pod: str) -> float:
        """When a waiting pod (namespace and name) was created, in seconds since 1970."""
        return self._created.get(pod, 0.0)


def key_of(metadata: Mapping[str, object]) -> str:
    """Namespace and name."""
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def waiting(pending: Iterable[PodView], coming: Coming) -> tuple[Waiting, ...]:
    """Waiting pods by reason: first those for whom there is no node, then those with one on its way; the most first."""
    groups: dict[tuple[bool, str], list[PodView]] = {}
    for pod in pending:
        expected = bool(coming.said(pod.key))
        groups.setdefault((expected, "" if expected else pod.reason), []).append(pod)
    made = [_group(expected, reason, pods, coming) for (expected, reason), pods in groups.items()]
    return tuple(sorted(made, key=lambda each: (each.coming, -len(each.pods), each.reason)))


def _group(expected: bool, reason: str, pods: list[PodView], coming: Coming) -> Waiting:
    keys = tuple(pod.key for pod in pods)
    owners = Counter(pod.owner for pod in pods)
    by_karpenter = expected or reason.startswith(_FAILED)
    text = _together(map(coming.said, keys)) if expected else _telling_first(reason)
    return Waiting(
        reason=text or NOBODY_SAID,
        source="Karpenter" if by_karpenter else "scheduler" if reason else "",
        coming=expected,
        pods=keys,
        owners=tuple(sorted(owners.items(), key=lambda item: (-item[1], item[0]))),
        slots=sum(pod.slots for pod in pods),
        mib=sum(pod.mib for pod in pods),
        since=min(map(coming.since, keys)),
    )


def _together(messages: Iterable[str]) -> str:
    """One message for all, and how many others there are."""
    different = list(dict.fromkeys(messages))
    more = len(different) - 1
    return different[0] + (f" (and {more} other {'node' if more == 1 else 'nodes'})" if more else "")


def _telling_first(reason: str) -> str:
    """Karpenter says of every pool why not. Pools that the pod itself excludes come last: they are no news."""
    if not reason.startswith(_FAILED):
        return reason
    clauses = reason.removeprefix(_FAILED).split("; ")
    return _FAILED + "; ".join(sorted(clauses, key=lambda clause: clause.startswith(_OTHER_POOL)))


def _asked_for(claim: Object) -> int:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return sum(int(quantity) for name, quantity in requests.items() if name.startswith(NVIDIA_PREFIX))
