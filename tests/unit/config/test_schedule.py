"""Schedules of CronJobs: what Kubernetes takes, and how often it runs in a year."""

import pytest

from config.schedule import ScheduleError, parse_schedule


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("0 3 * * *", 365.25),
        ("@daily", 365.25),
        ("@hourly", 365.25 * 24),
        ("*/15 * * * *", 365.25 * 96),
        ("30 3 1 * *", 12),
        ("30 3 1 jan,jul *", 2),
        ("0 0 29 2 *", 0.25),
        ("0 0 31 2 *", 0),
        ("0-10/5 8-18/2 ? * *", 365.25 * 3 * 6),
        # A number with a step goes on to the end: 5, 25, 45.
        ("5/20 0 1 1 *", 3),
        # Names in whatever case, and four years that begin on a Saturday have 209 of them.
        ("0 0 * * SAT", 209 / 4),
        ("@every 1h", 365.25 * 24),
        ("@every 1h30m", 365.25 * 16),
        ("@every 1.5h", 365.25 * 16),
        ("@every 90m0s500ms", 365.25 * 16),
        ("@every 17532h", 0.5),
    ],
)
def test_runs_in_a_year(text: str, runs: float) -> None:
    assert parse_schedule(text).runs_per_year == runs


def test_of_two_fields_of_days_one_must_fit_unless_one_of_them_is_a_star() -> None:
    """The first of the month, and Mondays: 48 and 209 days in four years from 2028, some of which are both."""
    both = parse_schedule("0 0 1 * 1").runs_per_year * 4
    mondays = parse_schedule("0 0 * * 1").runs_per_year * 4
    assert mondays < both < mondays + 48
    # robfig/cron takes a step of one for a star, and no other (parser.go, getRange).
    assert parse_schedule("0 0 */1 * 1").runs_per_year * 4 == mondays
    assert parse_schedule("0 0 */2 * 1").runs_per_year * 4 > mondays


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7"),
        *("5-1 * * * *", "*/0 * * * *", "-1 * * * *", "1,,2 * * * *", "a * * * *", "* * * foo *", "@often"),
        *("@every", "@every ", "@every 1", "@every 1d", "@every  1h", "@every 1h 30m", "@every -1h", "@every h"),
        *("@every 0s", "@every 999ms", "@every 2562048h", "@Every 1h"),
        *("TZ=UTC * * * * *", "CRON_TZ=UTC * * * * *"),
    ],
)
def test_what_kubernetes_refuses_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text)
