"""A twin that `slices up` did not finish, or still makes: every command says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.main import main
from twin import request
from twin.errors import TwinError
from twin.machine import progress
from twin.machine.launch import unfinished
from twin.machine.state import TwinState, write_text
from twin.request import follow
from twin.scenarios.run import SCENARIOS, listing
from twin.status import Report, show


@pytest.fixture
def state(tmp_path: Path) -> TwinState:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    state = TwinState(tmp_path / ".twin", "local")
    state.make()
    return state


def test_it_is_told_from_a_whole_one(state: TwinState) -> None:
    assert unfinished(state) == "the twin of local is not whole: `slices up local` was not finished, run it again"
    with state.lock():
        assert state.busy()
        assert "`slices up local` is still at work" in unfinished(state)
    assert not state.busy()
    write_text(state.finished, "x")
    assert unfinished(state) == ""


@pytest.mark.parametrize("running", [True, False])
def test_status_says_it_first(running: bool, capsys: pytest.CaptureFixture[str]) -> None:
    words = "the twin of local is not whole: `slices up local` was not finished, run it again"
    report = Report("local", running, None, {"etcd": {"pid": 1, "restarts": 0}}, {}, None, 0.0, unfinished=words)
    show(report, Console(width=160))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "The twin of local is not whole: `slices up local` was not finished, run it again."
    assert ("So far: 1 processes." in said) is running
    assert not any("no running twin" in line for line in said)
    assert report.as_json()["unfinished"] == words


def test_status_while_up_is_at_work(state: TwinState) -> None:
    with state.lock():
        result = CliRunner().invoke(main, ["status", "-C", str(state.root.parent)])
    assert "`slices up local` is still at work" in result.output
    result = CliRunner().invoke(main, ["status", "-C", str(state.root.parent)])
    assert "There is no running twin of local" in result.output


def test_request_says_it_instead_of_not_found(state: TwinState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "supervised", lambda _: True)
    with pytest.raises(TwinError, match="`slices up local` was not finished, run it again"):
        follow(state, "mistral", 1.0, until_gone=False)


def test_scenarios_are_listed_in_80_columns() -> None:
    lines = listing().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(SCENARIOS)
    assert " ".join(SCENARIOS["pack"].summary.split()) in " ".join(listing().split())


def test_a_start_says_its_steps_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("twin.machine.progress.time.monotonic", lambda: now[0])
    say = progress.Lines(Console(width=80))
    for seconds, text in ((0, "Control plane is up"), (1, "a is ready"), (2, "b is ready")):
        now[0] = 100.0 + seconds
        say(text)
    assert capsys.readouterr().out.splitlines() == ["  Control plane is up", "  b is ready"]
