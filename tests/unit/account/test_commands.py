"""Printed commands: a shell reads them as they were meant, and AWS' own models know every word of them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from account.commands import CALLERS_ACCOUNT, Command, aws, shell_text
from account.preflight import requirements
from tests.unit.account.aws_command import problems
from tests.unit.account.ready import ready_plan

ROOT = Path(__file__).parents[3]
WIDE = aws(
    "logs",
    "describe-log-groups",
    region="us-east-1",
    log_group_name_prefix="/aws/eks/a b'c/cluster",
    query="x[?y=='z'].[name,retention]",
)


def test_aws_knows_every_command_that_looks() -> None:
    plan = ready_plan()
    assert plan.figures
    looks = [command for each in requirements(plan, plan.figures) for command in each.look if command[0] == "aws"]
    assert [command for command in looks if "--region" not in command] == []
    assert len({command[1:3] for command in looks}) > 20
    assert [problem for command in looks for problem in problems(command)] == []


@pytest.mark.parametrize(
    "command",
    [
        aws("iam", "get-roles", region="us-east-1"),
        aws("iam", "get-role", region="us-east-1"),
        aws("iam", "get-role", region="us-east-1", role_name="a", path="b"),
        aws("iam", "get-role", region="us-east-1", role_name="a", query="Roles[].Arn"),
    ],
)
def test_the_judge_sees_a_wrong_word(command: Command) -> None:
    assert len(problems(command)) == 1


@pytest.mark.parametrize("width", [None, 20, 40, 71, 111])
@pytest.mark.parametrize("command", [WIDE, ("echo", "a;b", "$HOME", "`x`", "--flag", "--other", "1", "2")])
def test_a_shell_reads_the_words_that_were_meant(command: Command, width: int | None) -> None:
    text = shell_text(command, width)
    script = f"set -- {text}\nprintf '%s\\0' \"$@\""
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert tuple(said.split("\0")[:-1]) == command


def test_an_option_stays_with_its_value() -> None:
    lines = shell_text(WIDE, 60).splitlines()
    assert [line.rstrip("\\ ").split()[0] for line in lines[1:]] == ["--log-group-name-prefix", "--query", "--output"]
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert all(len(line) <= 60 for line in lines)


def test_what_the_shell_is_to_evaluate_is_not_quoted() -> None:
    text = shell_text(
        aws("budgets", "describe-budget", region="us-east-1", account_id=CALLERS_ACCOUNT, budget_name="a b")
    )
    who = "aws sts get-caller-identity --region us-east-1 --query Account --output text"
    assert f"--account-id \"$({who})\" --budget-name 'a b'" in text
    assert shlex.split(text)[6].startswith("$(aws sts")


# --- What the documents show ------------------------------------------------------------------------------------------

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: From `aws SERVICE OPERATION` with at least one option to the end of the code; a mere name is no command.
_SHOWN = re.compile(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)((?: [^-`\s|)][^`\s|)]*)* --[^`\n|)]*)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_the_documents_are_whole(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for service, operation, options in _SHOWN.findall(text):
        words = shlex.split(options)
        assert "--region" in words, f"aws {service} {operation}"
        # These the command has beside what botocore's models know.
        known = [word for word in words if word not in ("--output", "text")]
        assert problems(("aws", service, operation, *known)) == []


def test_the_documents_show_commands() -> None:
    assert sum(len(_SHOWN.findall(path.read_text(encoding="utf-8"))) for path in DOCUMENTS) > 7
