"""Looks for everything that can be left of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from account.session import Account, Identity, Unseen
from account.teardown.cluster import CLUSTER
from account.teardown.kinds import Eyes, Kind, Leftover, UnseenError
from account.teardown.marks import Marks
from account.teardown.table import KINDS

#: Kinds that are looked for at the same time.
_AT_ONCE = 6


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is there, and what could not be looked at, by kind; both in the order of `KINDS`."""

    found: tuple[Leftover, ...]
    unseen: Mapping[str, Sequence[Unseen]]

    @property
    def left(self) -> list[Leftover]:
        """What must be gone, and is not: also what AWS is still deleting."""
        return [thing for thing in self.found if thing.fate in ("left", "ending")]

    @property
    def scheduled(self) -> list[Leftover]:
        """What AWS deletes by itself, on a day that is known."""
        return [thing for thing in self.found if thing.fate == "scheduled"]

    @property
    def others(self) -> list[Leftover]:
        """What is not the stack's and holds something that is."""
        return [thing for thing in self.found if thing.fate == "others"]

    @property
    def cluster(self) -> Leftover | None:
        """The EKS cluster, if it stands."""
        return next((thing for thing in self.found if thing.kind == CLUSTER.name), None)

    @property
    def cluster_is_gone(self) -> bool:
        """Whether AWS said that there is no such cluster."""
        return self.cluster is None and CLUSTER.name not in self.unseen


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where is looked: an account, as whom, and for what."""

    account: Account
    caller: Identity
    marks: Marks

    def survey(self, kinds: Sequence[Kind] = KINDS, tell: Callable[[str], None] = lambda _: None) -> Survey:
        """Look for all kinds, several at a time. tell: hears the name of each kind that has been looked for."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            looks = {kind: pool.submit(self._look, kind, tell) for kind in kinds}
            results = {kind: look.result() for kind, look in looks.items()}
        found = [thing for things, _ in results.values() for thing in things]
        return Survey(
            found=tuple(_without_parts(found)),
            unseen={kind.name: unseen for kind, (_, unseen) in results.items() if unseen},
        )

    def _look(self, kind: Kind, tell: Callable[[str], None]) -> tuple[list[Leftover], list[Unseen]]:
        eyes = Eyes(self.account, self.caller, self.marks, kind)
        found: list[Leftover] = []
        try:
            found.extend(kind.look(eyes))
        except UnseenError as error:
            eyes.unseen.append(error.unseen)
        tell(kind.name)
        return found, eyes.unseen


def _without_parts(found: Sequence[Leftover]) -> Iterator[Leftover]:
    """Without the network interfaces of the stack's own things, which name these and go with them."""
    ids = [thing.id for thing in found if thing.fate != "others"]
    for thing in found:
        if thing.fate != "others" or not any(id_ in thing.name for id_ in ids):
            yield thing
