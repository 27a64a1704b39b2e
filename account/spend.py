"""What a stack really cost, by day and service: Cost Explorer's answer, by the stack's tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

from account.session import Absent, Account, Found, Unseen
from account.teardown.kinds import Call
from gpu.contract import STACK_TAG

_COSTS = Call("ce", "get_cost_and_usage")
_TAGS = Call("ce", "list_cost_allocation_tags")
#: Every call that is made; docs/permissions.md is made of these.
CALLS: Final = (_COSTS, _TAGS)


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day in UTC. by_service: unblended USD by AWS' name of the service. final: whether AWS
    calls the figures so; those of the last days it still changes."""

    day: date
    by_service: Mapping[str, float]
    final: bool

    @property
    def usd(self) -> float:
        """USD of the day."""
        return sum(self.by_service.values())


TagState = Literal["active", "inactive", "never seen"] | Unseen
"""Of the stack's tag as a cost allocation tag. Only the management account of an organisation can see it."""


@dataclass(frozen=True, kw_only=True)
class Spend:
    """days: in order, without gaps, the last one yesterday. tag: asked only where nothing was spent, else active."""

    days: tuple[Day, ...]
    tag: TagState

    @property
    def usd(self) -> float:
        """USD of all days."""
        return sum(day.usd for day in self.days)

    @property
    def by_service(self) -> Mapping[str, float]:
        """USD of all days by service, dearest first."""
        sums: dict[str, float] = {}
        for day in self.days:
            for service, usd in day.by_service.items():
                sums[service] = sums.get(service, 0.0) + usd
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def spend(account: Account, stack: str, days: int, today: date) -> Spend | Unseen:
    """The `days` days before today. Each of Cost Explorer's answers costs 0.01 USD; one is enough for most stacks."""
    found: list[Mapping[str, Any]] = []
    # `End` is the day after the last one (API reference, DateInterval).
    period = {"Start": (today - timedelta(days=days)).isoformat(), "End": today.isoformat()}
    more: dict[str, str] = {}
    while True:
        answer = account.ask(
            _COSTS.service,
            _COSTS.operation,
            region=account.home_region,
            TimePeriod=period,
            Granularity="DAILY",
            Metrics=["UnblendedCost"],
            Filter={"Tags": {"Key": STACK_TAG, "Values": [stack], "MatchOptions": ["EQUALS"]}},
            GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
            **more,
        )
        match answer:
            case Unseen() as unseen:
                return unseen
            case Absent():
                raise AssertionError("no error code means that there is no such thing")
            case Found(value):
                found += value.get("ResultsByTime", [])
        if not value.get("NextPageToken"):
            break
        more = {"NextPageToken": value["NextPageToken"]}
    read = _days(found, today - timedelta(days=days), days)
    spent = any(day.by_service for day in read)
    return Spend(days=read, tag="active" if spent else _tag(account))


def _days(found: list[Mapping[str, Any]], first: date, count: int) -> tuple[Day, ...]:
    """Every day once: pages may split one, and a day without costs may be missing."""
    sums: dict[date, dict[str, float]] = {first + timedelta(days=number): {} for number in range(count)}
    open_days = set()
    for result in found:
        day = date.fromisoformat(result["TimePeriod"]["Start"])
        services = sums.setdefault(day, {})
        if result.get("Estimated"):
            open_days.add(day)
        for group in result.get("Groups", []):
            usd = float(group["Metrics"]["UnblendedCost"]["Amount"])
            (service,) = group["Keys"]
            services[service] = services.get(service, 0.0) + usd
    return tuple(Day(day=day, by_service=sums[day], final=day not in open_days) for day in sorted(sums))


def _tag(account: Account) -> TagState:
    answer = account.collect(
        _TAGS.service, _TAGS.operation, "CostAllocationTags[]", region=account.home_region, TagKeys=[STACK_TAG]
    )
    match answer:
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("no error code means that there is no such thing")
        case Found(tags):
            status = next((tag["Status"] for tag in tags if tag["TagKey"] == STACK_TAG), None)
            return "never seen" if status is None else "active" if status == "Active" else "inactive"
