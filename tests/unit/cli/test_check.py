"""`slices check`: what it prints, with and without an account, and how it ends."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from account.commands import CALLERS_ACCOUNT
from account.preflight.requirement import Sight
from account.session import Account, Found, login
from cli import check
from cli.main import main
from plan.make import make_plan
from tests.unit.account.ready import ADDRESS, make_ready, ready_plan
from tests.unit.account.world import ACCOUNT, REGION, ApiError, World, fail, moto, world
from tests.unit.cli.projects import write_project

ROOT = Path(__file__).parents[3]


planned = cache(make_plan)


def slices(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments], catch_exceptions=False)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without credentials, with all programs. Stacks are planned once for all tests."""
    monkeypatch.setattr(Account, "has_credentials", lambda _: False)
    monkeypatch.setattr(check, "make_plan", planned)
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account in which the stack can be built."""
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(check, "make_plan", lambda *_: ready_plan())
    monkeypatch.setattr(Sight, "address", Found(ADDRESS))
    with world(monkeypatch) as account:
        make_ready(account)
        monkeypatch.setattr(check, "Account", lambda _: account)
        monkeypatch.setattr(account, "has_credentials", lambda: True)
        yield account


def statuses(result: Result) -> dict[str, str]:
    return {finding["what"]: finding["status"] for finding in json.loads(result.stdout)["findings"]}


def test_an_account_that_is_ready(online: World) -> None:
    result = slices("acme")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Check of gpu-slices, stack acme, region {REGION}\n\nStack file\n")
    assert f"account {ACCOUNT}, arn:aws:sts::{ACCOUNT}:user/moto" in result.stdout
    assert "MISSING" not in result.stdout
    assert result.stderr == ""


def test_what_is_missing_comes_with_what_mends_it(online: World) -> None:
    moto("iam").delete_role(RoleName="AWSServiceRoleForEC2Spot")
    result = slices("acme")
    assert result.exit_code == 4
    assert (
        "MISSING  the account has Spot's service-linked role, AWSServiceRoleForEC2Spot\n"
        "         Karpenter's first Spot request would fail\n"
        "         aws iam create-service-linked-role --region us-east-1 \\\n"
        "           --aws-service-name spot.amazonaws.com\n"
    ) in result.stdout
    assert "1 missing" in result.stdout.splitlines()[-1]


def test_what_is_missing_weighs_more_than_what_is_not_seen(online: World) -> None:
    online.planted["ec2:DescribeRegions"] = fail(ApiError("UnauthorizedOperation"))
    unseen = slices("acme", "--json")
    assert unseen.exit_code == 5
    (detail,) = [each["detail"] for each in json.loads(unseen.stdout)["findings"] if each["status"] == "unseen"]
    assert detail.startswith("could not be looked at: denied, needs ec2:DescribeRegions (")
    moto("iam").delete_role(RoleName="AWSServiceRoleForEC2Spot")
    assert slices("acme").exit_code == 4


def test_credentials_that_aws_does_not_take_are_told_once(online: World) -> None:
    online.planted["sts:GetCallerIdentity"] = fail(ApiError("ExpiredToken"))
    result = slices("acme", "--json")
    assert result.exit_code == 5
    found = list(statuses(result).values())
    assert found.count("unseen") == 1
    assert found.count("unasked") > 30
    assert {operation for operation, _ in online.asked} == {"sts:GetCallerIdentity"}


def test_json_says_who_asked(online: World) -> None:
    document = json.loads(slices("acme", "--json").stdout)
    assert document["caller"] == {"account": ACCOUNT, "arn": f"arn:aws:sts::{ACCOUNT}:user/moto"}
    assert document["schemaVersion"] == 1
    assert {tuple(finding) for finding in document["findings"]} == {
        ("topic", "what", "status", "detail", "mend", "look")
    }


# --- Without credentials ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("offline")
def test_without_credentials_it_prints_how_to_look() -> None:
    result = slices("dev", "-C", str(ROOT), "--json")
    found = json.loads(result.stdout)
    assert found["caller"] is None
    unasked = [finding for finding in found["findings"] if finding["status"] == "unasked"]
    assert len(unasked) > 30
    assert [finding["what"] for finding in unasked if not finding["look"]] == []
    # The samples' placeholders are there to be replaced.
    assert result.exit_code == 4
    (placeholders,) = [
        finding["detail"] for finding in found["findings"] if finding["what"] == "no placeholder is left"
    ]
    assert "gpu-slices:cluster.publicAccessCidrs[0] = 203.0.113.0/24" in placeholders
    assert "gpu-slices:budget.emails[0] = platform@example.com" in placeholders


@pytest.mark.usefixtures("offline")
def test_nothing_looked_at_is_not_nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "make_plan", lambda *_: ready_plan())
    result = slices("acme")
    assert result.exit_code == 5
    assert "AWS was not asked" in result.stdout


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("columns", [80, 120])
def test_every_command_can_be_pasted_from_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    meant: list[Any] = [list(command) for command in login().mend if command[0] == "aws"]
    for finding in json.loads(slices("dev", "-C", str(ROOT), "--json").stdout)["findings"]:
        if finding["status"] == "unasked":
            meant += [shlex.split(command) for command in finding["look"]]
    text = slices("dev", "-C", str(ROOT)).stdout
    shown = []
    for line in text.replace("\\\n", "").splitlines():
        words = line.strip()
        if words.startswith(("aws ", "curl ")) and line.startswith("         "):
            shown.append(shlex.split(words))
    assert [each for each in shown if each not in meant and each[1] != "is"] == []
    assert [each for each in meant if each not in shown] == []
    too_wide = [line for line in text.splitlines() if len(line) > columns]
    # One word of a command may be wider than the terminal; it is not broken.
    assert all(len(line.split()) <= 2 for line in too_wide if CALLERS_ACCOUNT not in line)


@pytest.mark.usefixtures("offline")
def test_where_an_error_is_the_good_answer_it_says_so() -> None:
    result = slices("dev", "-C", str(ROOT), "--json")
    names = [each for each in json.loads(result.stdout)["findings"] if each["what"].endswith("is not there yet")]
    assert len({each["what"].split()[1] for each in names}) > 4
    assert [each["what"] for each in names if not each["detail"].startswith("Good is ")] == []
    (role,) = [each for each in names if each["what"].startswith("the IAM role")][:1]
    assert role["detail"] == "Good is the error NoSuchEntity: the name is free."
    assert "Good is the error NoSuchEntity: the name is free." in slices("dev", "-C", str(ROOT)).stdout


@pytest.mark.usefixtures("offline")
def test_without_credentials_it_says_what_to_run() -> None:
    said = slices("dev", "-C", str(ROOT)).stdout
    assert "AWS credentials are missing" in said
    assert "         aws sso login" in said.splitlines()


def test_it_is_for_stacks_of_this_project(tmp_path: Path) -> None:
    write_project(tmp_path)
    result = slices("dev", "-C", str(tmp_path))
    assert result.exit_code == 2
    assert "slices check knows what stacks of gpu-slices need; this project is shop" in result.stderr
