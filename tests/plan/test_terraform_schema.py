"""What Checkov reads has the names and blocks of the AWS provider's own schema: `terraform validate` says so.

A misspelt argument would not fail the scan: Checkov would judge as if it were not there. Terraform and the provider are
not installed by this project. Where they are absent the test skips; where they are, nothing is fetched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from plan.record import Recording
from tests.plan.conftest import STACKS
from tests.plan.variants import varied
from tools.terraform import MAIN_FILE, terraform_document

#: Where a machine keeps providers for Terraform: its own folders (`terraform init`, implied local mirrors), or /opt.
MIRRORS: Final = (
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt",
)
AWS: Final = "registry.terraform.io/hashicorp/aws"

#: What stays wrong by the schema: block, word of the message, and why.
ACCEPTED: Final = (
    ("resource.aws_eks_cluster.cluster", '"role_arn"', "the component makes the cluster's role itself"),
    ("resource.aws_eks_cluster.cluster", '"deletion_protection"', "only providers since 6 know it"),
)


def mirror() -> Path | None:
    """A folder with the AWS provider in it."""
    roots = [Path(place).expanduser() for place in MIRRORS]
    folders = [folder for root in roots if root.is_dir() for folder in (root, *sorted(root.iterdir()))]
    return next((folder for folder in folders if (folder / AWS).is_dir()), None)


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recording], list[str]]:
    """Judges a recording: what is wrong with it by the provider's schema."""
    terraform, providers = shutil.which("terraform"), mirror()
    if terraform is None or providers is None:
        pytest.skip("Terraform and its AWS provider are not on this machine")
    folder = tmp_path_factory.mktemp("terraform")
    settings = folder / "terraform.rc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{providers}" }}\n}}\n')
    environment = {
        **os.environ,
        "TF_CLI_CONFIG_FILE": str(settings),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }

    def run(*arguments: str) -> str:
        command = [terraform, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
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
