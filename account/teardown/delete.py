"""Deletes what is left of a stack, in rounds: what AWS does not let go yet is tried again in the next one.

Every round looks anew, so that a run that was broken off is taken up by the next.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from account.session import Absent, Found, Unseen
from account.teardown.kinds import Kind, Leftover, Step
from account.teardown.survey import Place, Survey
from account.teardown.table import KINDS

#: Seconds between rounds, and for how long they go on while nothing goes: NAT gateways, and the network interfaces of
#: load balancers, take minutes.
ROUND_SECONDS = 10.0
PATIENCE_SECONDS = 600.0

_GONE = re.compile(
    r"NotFound|NoSuchEntity|NoSuchHostedZone|NonExistentQueue|QueueDoesNotExist|Gateway\.NotAttached"
    r"|^Unknown(Monitor|Subscription)Exception$"
)
#: Something else must go first, or is about to, or the service failed. EC2 API reference "Error codes"; of the other
#: services every error that their models give for the calls that delete (botocore; a test looks at each of them).
_HELD = frozenset(
    {
        "ConcurrentAccess",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "ConcurrentTagAccess",
        "ConflictException",
        "DeleteConflict",
        "DependencyTimeoutException",
        "DependencyViolation",
        "IncorrectInstanceState",
        "IncorrectState",
        "InternalError",
        "InternalErrorException",
        "InternalException",
        "InternalServerError",
        "InternalServiceError",
        "InvalidGroup.InUse",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "InvalidSnapshot.InUse",
        "InvalidState",
        "KMSInternalException",
        "KMSInvalidStateException",
        "OperationAbortedException",
        "OperationInProgress",
        "RepositoryNotEmptyException",
        "ResourceConflict",
        "ResourceContention",
        "ResourceInUse",
        "ResourceInUseException",
        "ResourceLockedException",
        "ScalingActivityInProgress",
        "ServerException",
        "ServiceFailure",
        "ServiceUnavailableException",
        "StaleTag",
        "VolumeInUse",
    }
)
#: Codes that mean the same in these words only: of an interface that is attached, and of an address that a NAT gateway
#: holds, which needs no other credentials but time (kubernetes/kops#938).
_HELD_WORDS = (
    ("InvalidParameterValue", "currently in use"),
    ("AuthFailure", "permission to access the specified resource"),
)

_LAST = frozenset(kind.name for kind in KINDS if kind.last)


@dataclass(frozen=True)
class _Held:
    """It cannot go yet. detail: AWS' words."""

    detail: str


@dataclass
class Deletion:
    """A deletion of everything that a survey found.

    place: where. keep: names that Pulumi's state knows: what carries one is for `pulumi destroy`.
    tell: hears what has gone, a line each. sleep: waits for so many seconds.
    failed: AWS' words, by what did not go.
    """

    place: Place
    keep: frozenset[str]
    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    failed: dict[Leftover, str] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)

    def run(self, survey: Survey) -> None:
        """Delete what the survey found, until all is gone or nothing goes any more. Can be broken off at any time.

        Raises ValueError while the cluster stands, or where nobody could see whether it does.
        """
        if not survey.cluster_is_gone:
            raise ValueError("the cluster still stands, or nobody knows")
        quiet = 0.0
        while True:
            before = len(self._done)
            refused = self._round(survey)
            here = {thing.kind for thing in survey.left} | survey.unseen.keys()
            survey = self.place.survey([kind for kind in KINDS if kind.name in here])
            waiting = [thing for thing in self._ours(survey) if _key(thing) not in refused]
            if not waiting or (all(thing.kind in _LAST for thing in waiting) and _needs_last(survey)):
                return
            quiet = 0.0 if len(self._done) > before else quiet + ROUND_SECONDS
            if quiet > PATIENCE_SECONDS:
                return
            self.sleep(ROUND_SECONDS)

    def _ours(self, survey: Survey) -> list[Leftover]:
        return [thing for thing in survey.left if self.keep.isdisjoint(thing.names)]

    def _round(self, survey: Survey) -> set[tuple[str, str]]:
        """Try everything once; gives what AWS refused for good, such as for want of a permission."""
        refused = set()
        self.failed = {}
        for kind in KINDS:
            for thing in self._ours(survey):
                if thing.kind != kind.name or thing.fate != "left" or not thing.steps:
                    continue
                if kind.last and _needs_last(survey):
                    self.failed[thing] = "kept until everything else is gone"
                    continue
                match self._delete(kind, thing):
                    case None if _key(thing) not in self._done:
                        self._done.add(_key(thing))
                        self.tell(f"{kind.name}: {thing.id} {'is scheduled for deletion' if kind.last else 'deleted'}")
                    case _Held(detail):
                        self.failed[thing] = detail
                    case Unseen(detail=detail):
                        self.failed[thing] = detail
                        refused.add(_key(thing))
        return refused

    def _delete(self, kind: Kind, thing: Leftover) -> _Held | Unseen | None:
        """None where it is gone, or on its way."""
        for step in thing.steps:
            if step.call not in kind.deletes:
                raise ValueError(f"{kind.name}: {step.call} is not among the calls that the kind names")
            problem = self._do(step)
            if problem:
                return problem
        return None

    def _do(self, step: Step) -> _Held | Unseen | None:
        match self.place.account.ask(step.call.service, step.call.operation, **step.parameters):
            case Found(answer):
                return _Held(text) if (text := _not_done(answer)) else None
            case Absent():
                return None
            case Unseen(cause=cause, detail=detail, code=code) as unseen:
                if _GONE.search(code):
                    return None
                return _Held(detail) if cause in ("throttled", "unreachable") or _is_held(code, detail) else unseen


def _is_held(code: str, detail: str) -> bool:
    return code in _HELD or any(code == each and words in detail for each, words in _HELD_WORDS)


def _not_done(answer: Mapping[str, Any]) -> str:
    """What a call did not do although it answered: some of EC2's and EventBridge's report each thing on its own."""
    for each in answer.get("Unsuccessful") or answer.get("FailedEntries") or ():
        code = each.get("Error", each).get("Code") or each.get("ErrorCode", "")
        if not _GONE.search(code):
            return f"{code} {each.get('Error', each).get('Message') or each.get('ErrorMessage', '')}"
    return ""


def _needs_last(survey: Survey) -> bool:
    """Whether something is left, or may be, that needs what goes last."""
    return bool(survey.unseen) or any(thing.kind not in _LAST for thing in survey.left)


def _key(thing: Leftover) -> tuple[str, str]:
    return (thing.kind, thing.id)
