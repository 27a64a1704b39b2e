"""`slices spend`: Cost Explorer's answers as a table, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import spend
from cli.main import main
from tests.unit.account.world import ApiError, NoConnectionError, Parameters, World, fail, world

COSTS, TAGS = "ce:GetCostAndUsage", "ce:ListCostAllocationTags"
TODAY = datetime.now(UTC).date()


def day(ago: int, estimated: bool = False, **usd: str) -> dict[str, Any]:
    """One of Cost Explorer's results: amounts are texts there."""
    first = TODAY - timedelta(days=ago)
    return {
        "TimePeriod": {"Start": str(first), "End": str(first + timedelta(days=1))},
        "Total": {},
        "Groups": [
            {"Keys": [service], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}
            for service, amount in usd.items()
        ],
        "Estimated": estimated,
    }


def tag(status: str | None) -> Mapping[str, Any]:
    listed = [{"TagKey": "gpu-slices/stack", "Type": "UserDefined", "Status": status}] if status else []
    return {"CostAllocationTags": listed}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(monkeypatch) as made:
        monkeypatch.setattr(spend, "Account", lambda _: made)
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {aws:region: us-east-1}")
    return tmp_path


def slices(project: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["spend", "dev", "-C", str(project), *options], catch_exceptions=False)


def test_days_and_services_are_summed(account: World, project: Path) -> None:
    pages: Mapping[str | None, Mapping[str, Any]] = {
        None: {"ResultsByTime": [day(3, EC2="8.5", EKS="2.4"), day(1, True, EC2="1.25")], "NextPageToken": "2"},
        # A page may end within a day.
        "2": {"ResultsByTime": [day(1, True, EKS="2.4")]},
    }
    account.planted[COSTS] = lambda asked: pages[asked.get("NextPageToken")]
    result = slices(project, "--days", "3")
    assert result.exit_code == 0, result.output
    first, second, third = (str(TODAY - timedelta(days=ago)) for ago in (3, 2, 1))
    lines = [line.split() for line in result.output.splitlines()]
    assert [first, "10.90", "█" * 30] in lines
    assert [second, "0.00"] in lines
    assert [third, "*", "3.65", "█" * 10] in lines
    assert lines.index(["EC2", "9.75"]) < lines.index(["EKS", "4.80"])
    assert "Together 14.55 USD, 4.85 a day." in result.output
    assert "still changes the days marked *" in result.output


def test_a_stack_on_a_cluster_that_is_there_has_its_spend_by_the_same_tag(account: World, project: Path) -> None:
    stack = "config: {aws:region: us-east-1, gpu-slices:cluster: {existing: prod}}"
    (project / "Pulumi.dev.yaml").write_text(stack)
    account.planted[COSTS] = lambda _: {"ResultsByTime": [day(1, EC2="1.25")]}
    result = slices(project, "--days", "1")
    assert result.exit_code == 0, result.output
    assert "Together 1.25 USD" in result.output


def test_only_the_stack_and_whole_days_before_today_are_asked_for(account: World, project: Path) -> None:
    def answer(asked: Parameters) -> Mapping[str, Any]:
        return {"ResultsByTime": [day(1, EC2="1")]}

    account.planted[COSTS] = answer
    slices(project)
    (asked,) = [parameters for operation, parameters in account.asked if operation == COSTS]
    assert asked["TimePeriod"] == {"Start": str(TODAY - timedelta(days=14)), "End": str(TODAY)}
    assert asked["Filter"]["Tags"]["Key"] == "gpu-slices/stack"
    assert asked["Filter"]["Tags"]["Values"] == ["dev"]
    # Money that was seen proves the tag active: nobody asks for it.
    assert [operation for operation, _ in account.asked] == [COSTS]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("Active", "Nothing was spent, or the figures are not there yet"),
        ("Inactive", "the tag is no active cost allocation tag"),
        (None, "Billing has never seen the tag"),
    ],
)
def test_no_money_is_told_from_no_tag(account: World, project: Path, status: str | None, said: str) -> None:
    account.planted[COSTS] = lambda _: {"ResultsByTime": [day(1)]}
    account.planted[TAGS] = lambda _: tag(status)
    result = slices(project)
    assert result.exit_code == 0
    assert said in " ".join(result.output.split())
    assert ("update-cost-allocation-tags-status" in result.output) == (status != "Active")


def test_who_may_not_see_the_tags_is_told_that_nobody_knows(account: World, project: Path) -> None:
    account.planted[COSTS] = lambda _: {"ResultsByTime": []}
    account.planted[TAGS] = fail(ApiError("AccessDeniedException"))
    result = slices(project)
    assert result.exit_code == 5
    text = " ".join(result.output.split())
    assert "which of the two could not be looked at: denied, needs ce:ListCostAllocationTags" in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApiError("AccessDeniedException", "User not enabled for cost explorer access"), "must be switched on once"),
        (ApiError("LimitExceededException"), "try again later"),
        (ApiError("DataUnavailableException"), "ce:GetCostAndUsage failed"),
        (ApiError("ExpiredTokenException"), "ce:GetCostAndUsage"),
        (NoConnectionError(), "no connection for ce:GetCostAndUsage"),
    ],
)
def test_what_cannot_be_seen_is_said(account: World, project: Path, error: Exception, said: str) -> None:
    account.planted[COSTS] = fail(error)
    result = slices(project)
    assert result.exit_code == 5
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("days", ["0", "366"])
def test_days_are_those_that_cost_explorer_keeps(project: Path, days: str) -> None:
    assert slices(project, "--days", days).exit_code == 2
