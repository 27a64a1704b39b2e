"""`slices teardown` as people call it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from account.commands import shell_text
from account.session import login
from account.teardown import permit
from account.teardown.guide import DESTROY_MINUTES, NODE_MINUTES, advise
from account.teardown.marks import Marks
from account.teardown.pulumi_state import Unread
from account.teardown.survey import Place
from account.teardown.table import KINDS
from account.teardown.target import Target
from cli import teardown
from cli.main import main
from components.gpu.gpu_pool import GpuPoolArgs
from components.karpenter.node_class import DELETE_TIMEOUT
from plan.errors import InputError, called_in, slices
from tests.unit.account.planted import play_billing, play_cluster
from tests.unit.account.test_teardown_delete import FEW, plant_key, plant_queue, plant_volume
from tests.unit.account.world import ACCOUNT, REGION, ApiError, World, fail, moto, world

Run = Callable[..., Result]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account without a Pulumi, and few kinds: all of them only take time."""
    with world(monkeypatch) as made:
        monkeypatch.setattr(teardown, "Account", lambda region: made)
        monkeypatch.setattr(teardown, "read_state", lambda *_: Unread("there is no pulumi command"))
        few = tuple(kind for kind in KINDS if kind.name in (*FEW, "budgets"))
        real = Place.survey
        monkeypatch.setattr(Place, "survey", lambda self, kinds=few, **more: real(self, kinds, **more))
        play_billing(made)
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {aws:region: us-east-1}")
    protected = "config: {aws:region: us-east-1, gpu-slices:cluster: {deletionProtection: true}}"
    (tmp_path / "Pulumi.prod.yaml").write_text(protected)

    def invoke(*arguments: str, stack: str = "dev", **more: Any) -> Result:
        return CliRunner(env={"COLUMNS": "80"}).invoke(
            main, ["teardown", stack, "-C", str(tmp_path), *arguments], **more
        )

    return invoke


NAMED = ("--account", ACCOUNT)


def test_an_ended_stack_is_proven(run: Run, account: World) -> None:
    result = run(*NAMED)
    assert result.exit_code == 0, result.output
    assert "Ended: of 38 kinds of things nothing is left." in result.output


def test_what_is_left_is_shown_with_its_cost_and_commands_and_stays(run: Run, account: World, tmp_path: Path) -> None:
    volume, key = plant_volume(), plant_key()
    result = run(*NAMED)
    assert result.exit_code == 4
    assert f"aws ec2 delete-volume --region us-east-1 --volume-id {volume}" in result.output
    assert "0.64 USD/month" in result.output
    assert "1.64 USD/month" in result.output
    assert f"slices teardown dev --account {ACCOUNT} -C {tmp_path} --delete" in result.output
    assert moto("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    assert moto("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    assert not [operation for operation, _ in account.asked if ":Delete" in operation]


def test_what_could_not_be_looked_at_is_said_and_proves_nothing(run: Run, account: World) -> None:
    account.planted["ec2:DescribeSnapshots"] = fail(ApiError("UnauthorizedOperation"))
    result = run(*NAMED)
    assert result.exit_code == 5
    assert "needs ec2:DescribeSnapshots" in result.output
    assert "Not proven: EBS snapshots could not be looked at." in result.output
    assert "Ended" not in result.output


def test_without_credentials_it_guides_and_proves_nothing(run: Run, account: World) -> None:
    account.planted["sts:GetCallerIdentity"] = fail(ApiError("InvalidClientTokenId"))
    result = run()
    assert result.exit_code == 5
    assert "pulumi destroy -s dev" in result.output
    assert "Not proven: nothing was looked at. AWS does not take the credentials of" in result.output
    assert "  aws sso login" in result.output.splitlines()
    assert '--account-id "$(aws sts get-caller-identity --region' in result.output


_UNSET = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN"


@pytest.mark.parametrize(
    ("variables", "error", "problem", "mend"),
    [
        ({}, "NoCredentialsError", "AWS credentials are missing: neither AWS_PROFILE nor", "export AWS_PROFILE=NAME"),
        (
            {"AWS_ACCESS_KEY_ID": "k"},
            "PartialCredentialsError",
            "half of the AWS credentials of AWS_ACC",
            _UNSET,
        ),
        (
            {"AWS_PROFILE": "x"},
            "PartialCredentialsError",
            "half of the AWS credentials of profile x",
            "aws configure list",
        ),
        ({"AWS_PROFILE": "a b"}, "NoCredentialsError", "profile a b has none", "aws sso login --profile 'a b'"),
        ({"AWS_PROFILE": "x"}, "ProfileNotFound", "there is no profile x", "aws configure list-profiles"),
        ({"AWS_PROFILE": "x"}, "SSOTokenLoadError", "login of profile x has expired", "aws sso login --profile x"),
        ({"AWS_PROFILE": "x"}, "ExpiredToken", "login of profile x has expired", "aws sso login --profile x"),
        ({"AWS_ACCESS_KEY_ID": "k"}, "InvalidClientTokenId", "credentials of AWS_ACCESS_KEY_ID", "aws configure list"),
    ],
)
def test_what_is_wrong_with_credentials_is_named_with_what_to_run(
    variables: dict[str, str], error: str, problem: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = login(error)
    assert problem in found.problem
    assert mend in [shell_text(command) for command in found.mend]


def test_every_printed_command_can_be_pasted(tmp_path: Path) -> None:
    """Names of stacks and directories may hold what a shell reads as something else."""
    stack = "a b;$(x)"
    marks = Marks(stack=stack, cluster="c", region=REGION)
    target = Target(stack=stack, directory=tmp_path, marks=marks, protected=True)
    called_in(tmp_path / "it's")
    again = slices(shell_text(("teardown", stack, "--account", "1 2")))
    called_in(Path())
    commands = [line for step in advise(target, Unread("-"), None, again) for line in step.commands]
    words = [shlex.split(line) for line in commands]
    assert ["pulumi", "destroy", "-s", stack] in words
    assert ["slices", "teardown", stack, "--account", "1 2", "-C", f"{tmp_path}/it's"] in words
    with pytest.raises(InputError) as refused:
        permit.refuse_protected(target, Unread("-"))
    assert str(refused.value).endswith("pulumi up -s 'a b;$(x)'")


def test_a_standing_cluster_is_guided_through_its_end_and_nothing_is_deleted(run: Run, account: World) -> None:
    play_cluster(account, "gpu-slices-dev")
    volume = plant_volume()
    result = run(*NAMED)
    assert result.exit_code == 4
    assert "pulumi destroy -s dev" in result.output
    assert "aws ec2 delete-volume" not in result.output
    result = run(*NAMED, "--delete", "--yes", "dev")
    assert result.exit_code == 2
    assert "still stands" in result.output
    assert moto("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]


def test_a_cluster_that_eks_protects_is_refused(run: Run, account: World) -> None:
    play_cluster(account, "gpu-slices-dev", deletionProtection=True)
    result = run(*NAMED)
    assert result.exit_code == 2
    assert "EKS refuses to delete" in result.output


def test_a_protected_stack_and_a_foreign_account_are_refused_before_anything_is_looked_at(
    run: Run, account: World
) -> None:
    for result in (run(*NAMED, stack="prod"), run("--account", "111111111111"), run()):
        assert result.exit_code == 2
    assert {operation for operation, _ in account.asked} <= {"sts:GetCallerIdentity"}


@pytest.mark.parametrize("yes", ["dev2", "DEV", "", "prod"])
def test_another_name_confirms_nothing(yes: str, run: Run, account: World) -> None:
    volume = plant_volume()
    result = run(*NAMED, "--delete", "--yes", yes)
    assert result.exit_code == 2
    assert moto("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]


def test_nobody_to_ask_is_no_consent(run: Run, account: World) -> None:
    volume = plant_volume()
    result = run(*NAMED, "--delete", input="dev\n")
    assert result.exit_code == 2
    assert "--yes" in result.output
    assert moto("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]


def test_confirmed_it_deletes_and_proves(run: Run, account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("account.teardown.delete.time.sleep", lambda _: None)
    plant_volume()
    queue = plant_queue()
    result = run(*NAMED, "--delete", "--yes", "dev")
    assert result.exit_code == 0, result.output
    assert f"SQS queues: {queue} deleted" in result.output
    assert moto("ec2").describe_volumes()["Volumes"] == []


def test_yes_alone_is_refused(run: Run, account: World) -> None:
    assert run("--yes", "dev").exit_code == 2


def test_the_guide_tells_the_times_of_the_program() -> None:
    assert f"{DESTROY_MINUTES}m" == DELETE_TIMEOUT
    assert GpuPoolArgs.__dataclass_fields__["termination_grace_period"].default == f"{NODE_MINUTES}m"
