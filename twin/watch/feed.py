"""The cluster's events as a feed for people: newest first, and what happens a hundred times said once."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gpu.contract import GPU_SYSTEM_NAMESPACE
from twin.kube.client import Object
from twin.kube.events import last_seen
from twin.watch.words import moment

#: Events that are looked at; a burst of pods makes three of them for each pod.
_NEWEST = 2000
#: Entries that are kept.
_MOST = 100
#: Seconds between two events of the same kind that are told as one.
_TOGETHER = 5.0
#: Said of every node by the kubelet's and the node controller's routine.
_ROUTINE = frozenset({"RegisteredNode", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"})
#: Namespaces of the platform itself: there only warnings are news.
_PLATFORM = frozenset({"kube-system", GPU_SYSTEM_NAMESPACE})
#: Stations of a node that are worth telling; of pools and node classes only whether they are ready.
_STATIONS = frozenset({"Launched", "Registered", "Initialized"})
_TRANSITION = re.compile(
    r"Status condition transitioned, Type: (\w+), Status: \w+ -> (\w+), Reason: (\w+)(?:, Message: )?"
)
_WORD = re.compile(r"[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that happened, or the same thing several times in a row. Texts are as the controllers wrote them."""

    key: str
    """The same as long as the entry is the same."""
    at: float
    """Of the newest, in seconds since 1970."""
    oldest: float
    """Of the oldest."""
    warning: bool
    source: str
    """Who says it, such as `karpenter`."""
    kind: str
    """Of the object that it is about."""
    name: str
    reason: str
    message: str
    count: int = 1
    """How many objects it has happened to."""


def feed(
    events: Iterable[Object], names: Mapping[str, str] = MappingProxyType({}), most: int = _MOST
) -> tuple[Entry, ...]:
    """The newest entries, newest first. names: what the pictures call a node, by its name in the cluster."""
    entries: list[Entry] = []
    groups: dict[tuple[object, ...], int] = {}
    for event in heapq.nlargest(_NEWEST, filter(_is_news, events), key=last_seen):
        entry = _entry(event)
        alike = _alike(entry)
        place = groups.get(alike)
        if place is not None and entries[place].oldest - entry.at <= _TOGETHER:
            # The key is the oldest one's: a group that grows stays the same entry.
            found = entries[place]
            entries[place] = replace(found, key=entry.key, oldest=entry.at, count=found.count + 1)
        elif len(entries) < most:
            groups[alike] = len(entries)
            entries.append(entry)
    return tuple(_called(entry, names) for entry in entries)


def happened(event: Object) -> float:
    """When an event was last seen, in seconds since 1970; 0 where it does not say."""
    return moment(last_seen(event))


def source_of(event: Object) -> str:
    """Who wrote an event."""
    return str((event.get("source") or {}).get("component") or event.get("reportingComponent") or "")


def _is_news(event: Object) -> bool:
    if event.get("type") == "Warning":
        return True
    about, reason = event.get("involvedObject") or {}, event.get("reason", "")
    kind = about.get("kind", "")
    if about.get("namespace") in _PLATFORM or reason in _ROUTINE:
        return False
    if kind == "ReplicaSet" and reason == "SuccessfulCreate":
        return False  # its Deployment has said so
    if reason in ("DisruptionBlocked", "Unconsolidatable"):
        return kind == "Node" and "initialized" not in event.get("message", "")  # the NodeClaim says the same
    if found := _TRANSITION.match(event.get("message", "")):
        condition, status, _ = found.groups()
        return status == "False" or (condition in _STATIONS if kind == "NodeClaim" else condition == "Ready")
    return True


def _entry(event: Object) -> Entry:
    about = event.get("involvedObject") or {}
    at = happened(event)
    return Entry(
        key=str(event["metadata"].get("uid") or event["metadata"]["name"]),
        at=at,
        oldest=at,
        warning=event.get("type") == "Warning",
        source=source_of(event),
        kind=str(about.get("kind", "")),
        name=str(about.get("name", "")),
        reason=str(event.get("reason", "")),
        message=_TRANSITION.sub(_condition, str(event.get("message", ""))).strip(),
    )


def _called(entry: Entry, names: Mapping[str, str]) -> Entry:
    message = _WORD.sub(lambda word: names.get(word[0], word[0]), entry.message)
    return replace(entry, name=names.get(entry.name, entry.name), message=message)


def _condition(found: re.Match[str]) -> str:
    condition, status, reason = found.groups()
    return f"condition {condition} is {status}" + (f" ({reason}) " if reason != condition else " ")


def _alike(entry: Entry) -> tuple[object, ...]:
    # What went wrong is in a warning's message; of what went well, and of waiting, the newest example will do.
    telling = entry.warning and entry.reason != "FailedScheduling"
    return (entry.reason, entry.kind, entry.source, entry.warning, entry.message if telling else "")
