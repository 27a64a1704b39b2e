"""What the twin's commands refuse, and how they say it, without a twin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from cli.main import main
from twin.errors import TwinError
from twin.machine import launch
from twin.plan import Model
from twin.prices import played
from twin.request import _Story
from twin.up import Up
from twin.view import PodView, view


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (project / "Pulumi.local.yaml").write_text("config: {}\n")
    return project


def slices(project: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*arguments, "-C", str(project)])
    return result.exit_code, result.output


@pytest.mark.parametrize("command", [["up"], ["down"], ["status"], ["watch"], ["request", "m", "--stack"]])
@pytest.mark.parametrize("stack", ["..", ".", "", "../../kept", "{kept}", "a\n", "x" * 101])
def test_a_stack_is_no_path(command: list[str], stack: str, project: Path) -> None:
    """`down` removes the folder of that name, and `up` does when it fails."""
    kept = project.parent / "kept"
    kept.mkdir()
    (project / ".twin").mkdir()
    status, output = slices(project, *command, stack.format(kept=kept))
    assert status == 2
    assert "is no name of a stack" in output
    assert kept.is_dir()
    assert sorted(path.name for path in project.iterdir()) == [".twin", "Pulumi.local.yaml", "Pulumi.yaml"]


def test_an_unknown_stack_is_told_before_anything_is_built(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: pytest.fail("the twin's programs were built"))
    told = "error: no stack 'locl'; did you mean local?\nstacks of this project: local\n"
    assert slices(project, "up", "locl") == (2, told)
    assert slices(project, "scenario", "--json", "pack", "--stack", "locl") == (2, told)
    assert not (project / ".twin").exists()


@pytest.mark.parametrize(
    "command", [["status"], ["watch"], ["down"], ["request", "m", "--stack"], ["open", "dialogue"]], ids=" ".join
)
def test_no_twin_is_offered_of_a_stack_that_there_is_not(project: Path, command: list[str]) -> None:
    told = "error: no stack 'locl'; did you mean local?\nstacks of this project: local\n"
    assert slices(project, *command, "locl") == (2, told)
    assert not (project / ".twin").exists()


def test_what_is_left_of_a_twin_goes_without_its_stack_file(project: Path) -> None:
    (project / ".twin" / "gone").mkdir(parents=True)
    assert slices(project, "down", "gone") == (0, "The twin of gone is gone (0 processes ended).\n")
    (project / "Pulumi.local.yaml").unlink()
    assert slices(project, "down", "--all") == (0, "There is no twin.\n")


def test_more_models_than_the_twin_plays_are_told_with_the_limit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = "".join(f"    - {{name: m{i}, model: 'llama3.2:3b', pool: shared}}\n" for i in range(5000))
    (project / "Pulumi.local.yaml").write_text(f"config:\n  gpu-slices:models:\n{models}")
    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("nowhere"))
    status, output = slices(project, "up")
    assert status == 2
    assert "stack local has 5,000 models, and the twin plays 1,000 at most: `slices plan local` has" in output
    assert not (project / ".twin").exists()


@pytest.mark.parametrize("error", [FileNotFoundError("run.json"), TwinError("AWS did not start")])
def test_up_says_when_down_came_in_between(error: Exception, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(up: Up, _: object) -> None:
        up.timing.mark("planned")
        launch.stop(up.state)
        raise error

    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("nowhere"))
    monkeypatch.setattr(Up, "run", stopped)
    told = "error: the twin of local was stopped meanwhile: `slices up local` starts it again\n"
    assert slices(project, "up") == (1, told)
    assert not (project / ".twin").exists()


def test_why_a_program_cannot_be_planned_is_not_lost(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unplayable(up: Up, _: object) -> None:
        launch.stop(up.state)
        raise TwinError("the program has no cluster")

    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("nowhere"))
    monkeypatch.setattr(Up, "run", unplayable)
    assert slices(project, "up") == (1, "error: the program has no cluster\n")


def test_down_of_all_says_when_there_is_none(project: Path) -> None:
    assert slices(project, "down", "--all") == (0, "There is no twin.\n")


@pytest.mark.parametrize("hold", ["nan", "inf", "-1", "-1s", "1e400", "soon", ""])
def test_a_request_takes_a_time(hold: str, project: Path) -> None:
    status, output = slices(project, "request", "mistral", f"--hold={hold}")
    assert status == 2
    assert "write seconds, or a duration such as 90s or 2m" in output


def test_a_pod_may_be_expected_on_a_node_without_a_claim() -> None:
    """Karpenter names no claim where a node that stands already, such as a system node, has room."""
    about = {"name": "dialogue-1", "namespace": "models"}
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", **about},
        "reason": "Nominated",
        "message": "Pod should schedule on: node/system-0",
    }
    observed = SimpleNamespace(all=lambda kind: [event] if kind == "Event" else [])
    model = Model(name="dialogue", namespace="models", template={})
    pod = PodView(
        name="dialogue-1",
        namespace="models",
        node="",
        phase="Pending",
        ready=False,
        slots=0,
        resource="",
        reason="",
        owner="dialogue",
    )
    story = _Story(cast(Any, observed), model, played("us-east-1"))
    assert story._nominated(view(played("us-east-1"), [], [], []), pod) == []
