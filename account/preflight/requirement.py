"""What must be true of an account, how to look at it, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, assert_never

from account.commands import Command
from account.session import Absent, Account, Answer, Found, Identity, Unseen, public_address
from config.schema import StackConfig
from gpu.contract import STACK_TAG
from plan.make import Plan

#: Questions that are under way at the same time: the whole check takes seconds, and no API is asked in bursts.
_AT_ONCE = 8


@dataclass(frozen=True)
class Ok:
    """It is so. detail: what was seen."""

    detail: str = ""


@dataclass(frozen=True)
class Missing:
    """It is not so. mend: commands that make it so, where commands can."""

    detail: str
    mend: Sequence[Command] = ()


@dataclass(frozen=True)
class Note:
    """Worth knowing; it stops no `up`."""

    detail: str
    mend: Sequence[Command] = ()


Status = Literal["ok", "missing", "note", "unseen", "unasked"]
Verdict = Ok | Missing | Note | Unseen


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One thing that must be true before the first `up`.

    what: the thing, as a statement.
    look: commands with which a person looks.
    good: which answer of theirs is the good one, where that is not plain: an error may be.
    judge: the verdict, or what asks AWS for it.
    """

    topic: str
    what: str
    look: Sequence[Command] = ()
    good: str = ""
    judge: Verdict | Callable[[Sight], Verdict]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A requirement and its verdict; None where nobody asked."""

    requirement: Requirement
    verdict: Verdict | None

    @property
    def status(self) -> Status:
        """The verdict in a word."""
        match self.verdict:
            case Ok():
                return "ok"
            case Missing():
                return "missing"
            case Note():
                return "note"
            case Unseen():
                return "unseen"
            case None:
                return "unasked"
            case _:
                assert_never(self.verdict)

    @property
    def detail(self) -> str:
        """What was seen, why nothing could be, or how to read what the commands that look answer."""
        if self.verdict is None:
            return self.requirement.good
        if isinstance(self.verdict, Unseen):
            return f"{self.verdict}. {self.requirement.good}".removesuffix(". ")
        return self.verdict.detail

    @property
    def mend(self) -> Sequence[Command]:
        """Commands that mend it."""
        if isinstance(self.verdict, Unseen):
            return self.verdict.login.mend if self.verdict.login else ()
        return self.verdict.mend if isinstance(self.verdict, Missing | Note) else ()


class Sight:
    """The account seen with a stack in mind: answers that several requirements need are asked for once.

    plan: None where the cluster is there, and nothing is asked of what the stack would build.
    """

    def __init__(self, plan: Plan | None, config: StackConfig, account: Account) -> None:
        self.plan = plan
        self.config = config
        self.account = account

    @cached_property
    def identity(self) -> Answer[Identity]:
        """Whose credentials these are."""
        return self.account.identity()

    @cached_property
    def address(self) -> Answer[str]:
        """The public address of this machine."""
        return public_address()

    @cached_property
    def cluster(self) -> Answer[dict[str, Any]]:
        """The cluster of the stack's name, as EKS describes it."""
        name = self.config.cluster_name
        return only(
            self.account.ask("eks", "describe_cluster", name=name, absent=["ResourceNotFoundException"]), "cluster"
        )

    @property
    def up(self) -> bool | Unseen:
        """Whether the stack stands there already: a cluster with its name and its tag."""
        match self.cluster:
            case Found(cluster):
                return bool(cluster.get("tags", {}).get(STACK_TAG) == self.config.stack)
            case Absent():
                return False
            case Unseen() as unseen:
                return unseen

    @cached_property
    def zones(self) -> Answer[list[dict[str, Any]]]:
        """All zones of the region, also those that are not open to the account."""
        return self.account.collect(
            "ec2", "describe_availability_zones", "AvailabilityZones[]", AllAvailabilityZones=True
        )

    @cached_property
    def instance_types(self) -> Answer[dict[str, dict[str, Any]]]:
        """The stack's instance types that the region has, by name, as EC2 describes them."""
        # By filter: a type that the region does not have would otherwise fail the whole call.
        answer = self.account.collect("ec2", "describe_instance_types", "InstanceTypes[]", Filters=self._type_filter)
        match answer:
            case Found(types):
                return Found({each["InstanceType"]: each for each in types})
            case other:
                return other

    @cached_property
    def offerings(self) -> Answer[set[tuple[str, str]]]:
        """Instance type and zone id, for those types of the stack that a zone offers."""
        answer = self.account.collect(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings[]",
            LocationType="availability-zone-id",
            Filters=self._type_filter,
        )
        match answer:
            case Found(offers):
                return Found({(each["InstanceType"], each["Location"]) for each in offers})
            case other:
                return other

    @property
    def _type_filter(self) -> list[dict[str, Any]]:
        figures = self.plan.figures if self.plan else None
        assert figures is not None, "only stacks of this project are looked at"
        gpus = {t.name for pool in figures.pools for t in pool.types}
        return [{"Name": "instance-type", "Values": sorted(gpus | {*self.config.cluster.system_nodes.instance_types})}]


def only(answer: Answer[Any], key: str) -> Answer[Any]:
    """The part of an answer under a key."""
    return Found(answer.value[key]) if isinstance(answer, Found) else answer


def findings(requirements: Sequence[Requirement], sight: Sight | None) -> Iterator[tuple[int, Finding]]:
    """Every requirement's position and verdict, as they come. sight: None where AWS is not asked."""
    asking = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for index, requirement in enumerate(requirements):
            if not callable(requirement.judge):
                yield index, Finding(requirement=requirement, verdict=requirement.judge)
            elif sight is None:
                yield index, Finding(requirement=requirement, verdict=None)
            else:
                asking[pool.submit(requirement.judge, sight)] = index
        for future in as_completed(asking):
            index = asking[future]
            yield index, Finding(requirement=requirements[index], verdict=future.result())
