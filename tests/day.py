"""The day on which tests judge what has a date: none may begin to fail because another has come (`make test-later`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, tzinfo
from typing import Final

import pytest

import config.load
import plan.figures
import policy.framework
import stacks.pulumi_config

#: A day on which every justification in the stack files holds, and the versions that they name are in support.
TODAY: Final = date(2026, 11, 21)


@contextmanager
def fixed(day: date = TODAY) -> Iterator[None]:
    """Lets the program and the policy pack judge as on a day."""

    class Date(date):
        @classmethod
        def today(cls) -> Date:
            return cls(day.year, day.month, day.day)

    class DateTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> DateTime:
            return cls(day.year, day.month, day.day, 12, tzinfo=tz or UTC)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.load, "date", Date)
        patch.setattr(plan.figures, "date", Date)
        patch.setattr(stacks.pulumi_config, "date", Date)
        patch.setattr(policy.framework, "datetime", DateTime)
        yield
