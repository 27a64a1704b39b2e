"""What can be left of a stack, and how each kind of thing is looked for and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from account.commands import aws, shell_text
from account.session import Absent, Account, Found, Identity, Unseen
from account.teardown.costs import Costs
from account.teardown.marks import Marks, Tags, tags_of
from gpu import prices

Item = Mapping[str, Any]
T = TypeVar("T")

Fate = Literal["left", "ending", "scheduled", "others"]
"""`left`: stays until somebody deletes it. `ending`: AWS is deleting it. `scheduled`: AWS deletes it on a day that is
known, and asks no money until then, as a KMS key. `others`: not the stack's, but it holds something that is."""

#: Calls at the same time, where each thing must be asked about on its own.
_AT_ONCE = 8


@dataclass(frozen=True)
class Call:
    """An operation of AWS by boto3's names, such as `Call("ec2", "describe_vpcs")`."""

    service: str
    operation: str


@dataclass(frozen=True)
class Step:
    """One call that deletes something, or gets something out of the way of a deletion."""

    call: Call
    parameters: Mapping[str, Any]

    def command(self, region: str) -> str:
        """The same for a shell: `aws ec2 delete-volume --region us-east-1 --volume-id vol-1`."""
        options = {re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower(): value for name, value in self.parameters.items()}
        return shell_text(aws(self.call.service, self.call.operation.replace("_", "-"), region=region, **options))


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A thing of the stack that is in the account.

    id: what AWS calls it. name: what people call it, empty where there is no such name.
    why: how it is known as the stack's: a tag, or a name that holds the cluster's.
    state: AWS' word for its state, or when it ends.
    usd_per_month: what it costs while it stands there, None where nothing is known or it costs by use.
    owner: what in the cluster it belongs to, such as `Service default/web`.
    steps: calls that delete it, in order; none where that is not for this command to do.
    by_hand: words of a command that does the same, where the steps are too long for a line.
    arn: empty where it has none.
    """

    kind: str
    id: str
    name: str = ""
    why: str
    state: str = ""
    fate: Fate = "left"
    usd_per_month: float | None = None
    owner: str = ""
    steps: tuple[Step, ...] = field(default=(), hash=False)
    by_hand: tuple[str, ...] = ()
    arn: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Everything by which Pulumi's state may know it."""
        return frozenset(name for name in (self.id, self.name, self.arn) if name)

    def command(self, region: str) -> str:
        """One line for a shell that deletes it; empty where there is none."""
        if self.by_hand:
            return shell_text((*self.by_hand, "--region", region))
        return " && ".join(step.command(region) for step in self.steps)


class UnseenError(Exception):
    """Something could not be looked at. Never leaves the survey, which says it."""

    def __init__(self, unseen: Unseen) -> None:
        super().__init__(str(unseen))
        self.unseen = unseen


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing.

    name: in the plural, as in `NAT gateways`.
    look: yields the stack's things of this kind.
    reads, deletes: every call that looking and deleting make; policies for IAM are made of these.
    data: whether deleting it destroys data that is nowhere else.
    last: whether it goes only when nothing else is left, since others may need it: keys.
    """

    name: str
    look: Callable[[Eyes], Iterator[Leftover]]
    reads: tuple[Call, ...]
    deletes: tuple[Call, ...] = ()
    data: bool = False
    last: bool = False


@dataclass
class Eyes:
    """Asks AWS for one kind of thing, and notes what could not be looked at.

    Only calls that the kind names are made: the policy document would lack others.
    """

    account: Account
    caller: Identity
    marks: Marks
    kind: Kind
    unseen: list[Unseen] = field(default_factory=list)

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.marks.cluster

    @property
    def costs(self) -> Costs:
        """What things cost in the stack's region."""
        return Costs(prices.of(self.marks.region))

    def ask(self, call: Call, *, absent: Sequence[str] = (), **parameters: Any) -> Item | None:
        """AWS' answer, None where there is no such thing. Raises UnseenError."""
        self._check(call)
        match self.account.ask(call.service, call.operation, absent=absent, **parameters):
            case Found(value):
                return value
            case Absent():
                return None
            case Unseen() as unseen:
                raise UnseenError(unseen)

    def collect(self, call: Call, items: str, *, absent: Sequence[str] = (), **parameters: Any) -> list[Any]:
        """The things in AWS' answer, of all its pages; none where there is no such thing. Raises UnseenError."""
        self._check(call)
        match self.account.collect(call.service, call.operation, items, absent=absent, **parameters):
            case Found(value):
                return value
            case Absent():
                return []
            case Unseen() as unseen:
                raise UnseenError(unseen)

    def tagged(self, call: Call, items: str, key: str, *, filters: str = "Filters", **parameters: Any) -> list[Any]:
        """EC2's things that carry any tag that may mark one; which of them do is still to be judged.

        A question for each tag: EC2 answers with few things, however many the account has. key: member that holds the
        id. filters: what the operation calls its filters.
        """
        found: dict[str, Any] = {}
        for name, value in self.marks.pairs:
            parameters[filters] = [{"Name": f"tag:{name}", "Values": [value]}]
            found |= {thing[key]: thing for thing in self.collect(call, items, **parameters)}
        return list(found.values())

    def by_id(
        self, look: Call, items: str, key: str, delete: Call, **more: Callable[[Item], Any]
    ) -> Iterator[Leftover]:
        """EC2's things of the stack that one call with their id deletes. more: of a thing, what the leftover has."""
        for thing in self.tagged(look, items, key):
            given = {name: of(thing) for name, of in more.items()}
            found = self.left(thing[key], tags_of(thing.get("Tags")), steps=(Step(delete, {key: thing[key]}),), **given)
            if found:
                yield found

    def each(self, things: Sequence[T], ask: Callable[[T], Leftover | None]) -> Iterator[Leftover]:
        """What `ask` makes of each thing, several at a time. One that cannot be looked at hides no other."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for found in pool.map(lambda thing: self._or_note(thing, ask), things):
                if found is not None:
                    yield found

    def _or_note(self, thing: T, ask: Callable[[T], Leftover | None]) -> Leftover | None:
        try:
            return ask(thing)
        except UnseenError as error:
            self.unseen.append(error.unseen)
            return None

    def left(self, id_: str, tags: Tags, *, worldwide: bool = False, **more: Any) -> Leftover | None:
        """The thing as a leftover, if its tags mark it as the stack's."""
        why = self.marks.mark(tags, worldwide=worldwide)
        if why is None:
            return None
        return Leftover(kind=self.kind.name, id=id_, why=why, **{"name": tags.get("Name", ""), **more})

    def _check(self, call: Call) -> None:
        if call not in self.kind.reads:
            raise ValueError(f"{self.kind.name}: {call} is not among the calls that the kind names")
