"""Schedules of CronJobs, as Kubernetes reads them: robfig/cron v3, `ParseStandard` (its parser.go and spec.go)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_DAYS: Final = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
#: What each field is called, its least and greatest number, and names for numbers.
_FIELDS: Final[tuple[tuple[str, int, int, Mapping[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART: Final = re.compile(r"(?:[*?]|([a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?")
_EVERY: Final = "@every "
#: Go's durations (package time, ParseDuration), as far as they are positive, and what a unit has of seconds.
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_AMOUNT: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_DURATION: Final = re.compile(rf"(?:{_AMOUNT.pattern})+")
#: Go counts nanoseconds in 63 bits.
_LONGEST_SECONDS: Final = 2**63 / 1e9
#: Four years have one leap day.
_DAYS_COUNTED: Final = 4 * 365 + 1


class ScheduleError(ValueError):
    """No schedule that Kubernetes takes."""


@dataclass(frozen=True)
class Schedule:
    """Numbers at which a job runs, field by field."""

    fields: tuple[frozenset[int], ...]
    any_day: bool
    """Whether one of the two fields of days holds a star: then both must fit, else one of them."""

    @property
    def runs_per_year(self) -> float:
        """Runs in a year, over four of them; clocks that are put forward and back are left out."""
        minutes, hours, *_ = self.fields
        first = date(2028, 1, 1)
        days = sum(self._falls_on(first + timedelta(days=n)) for n in range(_DAYS_COUNTED))
        return len(minutes) * len(hours) * days / 4

    @property
    def gaps(self) -> tuple[int, ...]:
        """Minutes from each run of a day to the next one; after the last of a day comes the first of the next."""
        minutes, hours, *_ = self.fields
        runs = sorted(60 * hour + minute for hour in hours for minute in minutes)
        return tuple(later - run for run, later in pairwise([*runs, runs[0] + 24 * 60]))

    def _falls_on(self, day: date) -> bool:
        _, _, of_month, months, of_week = self.fields
        fits = (day.day in of_month, day.isoweekday() % 7 in of_week)
        return day.month in months and (all(fits) if self.any_day else any(fits))


@dataclass(frozen=True)
class Every:
    """A job that runs again so many seconds after the last time; the first time so long after it was made."""

    seconds: int

    @property
    def runs_per_year(self) -> float:
        """Runs in a year of 365.25 days."""
        return _DAYS_COUNTED * 86_400 / 4 / self.seconds

    @property
    def gaps(self) -> tuple[float, ...]:
        """Minutes from a run to the next one."""
        return (self.seconds / 60,)


def parse_schedule(text: str) -> Schedule | Every:
    """Reads a schedule. Raises ScheduleError, which says what is wrong as a sentence without its subject."""
    if text.startswith(_EVERY):
        return _every(text.removeprefix(_EVERY))
    words = _DESCRIPTORS.get(text, text).split()
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise ScheduleError("must not begin with a time zone: write timeZone")
    if len(words) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        raise ScheduleError(f'must be five fields ({names}), such as "30 3 * * 1-5", or @daily, or @every 6h')
    fields = tuple(_field(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    stars = [any(part[0] in "*?" and part.partition("/")[2] in ("", "1") for part in w.split(",")) for w in words]
    return Schedule(fields, stars[2] or stars[4])


def _every(duration: str) -> Every:
    found = sum(float(number) * _UNITS[unit] for number, unit in _AMOUNT.findall(duration))
    if not _DURATION.fullmatch(duration) or found >= _LONGEST_SECONDS:
        raise ScheduleError("must name a duration such as @every 1h30m")
    if found < 1:
        raise ScheduleError("must be a second or more: Kubernetes makes a second of what is less")
    # The scheduler leaves out what is less than a second (constantdelay.go).
    return Every(int(found))


def _field(word: str, name: str, least: int, most: int, names: Mapping[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in word.lower().split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ScheduleError(f"holds {part!r} as {name}: write *, a number, a range or a step such as */15")
        first, last, step = match.groups()
        low = least if first is None else _number(first, name, names)
        # A number with a step goes on to the end.
        high = most if first is None or (step and last is None) else low
        high = high if last is None else _number(last, name, names)
        if not least <= low <= high <= most or step in ("0", "00"):
            raise ScheduleError(f"holds {part!r} as {name}: numbers are {least} to {most}, ranges and steps rise")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, name: str, names: Mapping[str, int]) -> int:
    if text.isdecimal():
        return int(text)
    if text not in names:
        raise ScheduleError(f"holds {text!r} as {name}, which is no number and no name")
    return names[text]
