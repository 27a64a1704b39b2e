"""What has changed between two scenes, as sentences: for pipes, logs and terminals that cannot redraw. Pure."""

from __future__ import annotations

from twin.watch import telling
from twin.watch.scene import Box, Scene
from twin.watch.words import clean, clock


def changes(before: Scene | None, after: Scene) -> list[str]:
    """A line for each change, with the time; without a scene before, for everything that is there."""
    said: list[str] = []
    if after.stale and (before is None or before.stale != after.stale):
        said.append(after.stale)
    if before is None or _sum(before) != _sum(after):
        said.append(telling.summary(after))
    said += _waiting(before, after)
    said += _nodes(before, after)
    said += _warnings(before, after)
    return [f"{clock(after.at)}  {clean(text)}" for text in said]


def _sum(scene: Scene) -> tuple[object, ...]:
    taken = (scene.taken, scene.slots, scene.taken_mib, scene.mib)
    return (round(scene.usd_per_hour, 4), *taken, scene.nodes, scene.pending)


def _nodes(before: Scene | None, after: Scene) -> list[str]:
    old, new = _boxes(before), _boxes(after)
    told = {name: telling.box(box) for name, box in old.items()}
    gone = [f"{name}: gone." for name in old if name not in new]
    return gone + [text for name, box in new.items() if (text := telling.box(box)) != told.get(name)]


def _boxes(scene: Scene | None) -> dict[str, Box]:
    return {node.name: node for pool in scene.pools for node in pool.nodes} if scene else {}


def _waiting(before: Scene | None, after: Scene) -> list[str]:
    old = {(each.owners, each.reason) for each in before.waiting} if before else set()
    return [
        f"waits: {telling.who(each.owners)}: {telling.why(each)}"
        for each in after.waiting
        if (each.owners, each.reason) not in old
    ]


def _warnings(before: Scene | None, after: Scene) -> list[str]:
    """New ones, the oldest first; those from before it began are not news."""
    if before is None:
        return []
    old = {entry.key for entry in before.feed}
    return [
        f"{entry.reason}: {telling.about(entry)}: {entry.message}"
        for entry in reversed(after.feed)
        if entry.warning and entry.key not in old
    ]
