"""What Checkov reads has the names and blocks of the AWS provider's own schema: `terraform validate` says so.

A misspelt argument would not fail the scan: Checkov would judge as if it were not there. Terraform and the provider are
not installed by this project. Where they are absent the test skips; where they are, nothing is fetched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any, Final

import pytest

from plan.record import Recording
from tests.plan.conftest import STACKS
from tests.plan.variants import varied
from tools.terraform import MAIN_FILE, terraform_document
from tools.terraform_cli import find_terraform

#: What stays wrong by the schema: block, word of the message, and why.
ACCEPTED: Final = (
    ("resource.aws_eks_cluster.cluster", '"role_arn"', "the component makes the cluster's role itself"),
    ("resource.aws_eks_cluster.cluster", '"deletion_protection"', "only providers since 6 know it"),
)


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recording], list[str]]:
    """Judges a recording: what is wrong with it by the provider's schema."""
    folder = tmp_path_factory.mktemp("terraform")
    terraform = find_terraform(folder)
    if terraform is None:
        pytest.skip("Terraform and its AWS provider are not on this machine")

    def run(*arguments: str) -> str:
        command = [terraform.program, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=terraform.environment, capture_output=True, text=True, check=False, timeout=240
        )
        if arguments[0] == "init":
            assert done.returncode == 0, done.stderr
        return done.stdout

    (folder / "providers.tf.json").write_text(
        json.dumps({"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}}})
    )
    run("init", "-input=false", "-no-color")

    def judge(recording: Recording) -> list[str]:
        (folder / MAIN_FILE).write_text(json.dumps(terraform_document(recording), indent=2))
        return [text for found in json.loads(run("validate", "-json"))["diagnostics"] if (text := _unaccepted(found))]

    return judge


def _unaccepted(found: dict[str, Any]) -> str:
    where = str((found.get("snippet") or {}).get("context") or "")
    what = f"{found['summary']}: {found['detail']}"
    accepted = any(where == block and word in what for block, word, _ in ACCEPTED)
    return "" if accepted or found["severity"] != "error" else f"{where}: {what}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_right_by_the_schema(
    stack: str, recorded: Callable[[str], Recording], validated: Callable[[Recording], list[str]]
) -> None:
    assert validated(recorded(stack)) == []


def test_a_stack_with_everything_is_right_by_the_schema(validated: Callable[[Recording], list[str]]) -> None:
    assert validated(varied("everything")) == []
