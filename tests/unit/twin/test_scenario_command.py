"""`slices scenario`: what is refused before a twin is started for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from twin.scenarios import claims, failures, importance, jobs, lifecycle, packing, serving
from twin.scenarios.run import SCENARIOS

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _no_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a twin was started")

    monkeypatch.setattr("twin.scenarios.run.bring_up", forbidden)


def scenario(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["scenario", "-C", str(ROOT), *arguments])
    return result.exit_code, result.output


def test_without_a_name_all_are_listed() -> None:
    status, output = scenario()
    assert status == 0
    assert [line.partition(" ")[0] for line in output.splitlines() if line[0] != " "] == list(SCENARIOS)


def test_every_script_has_a_name() -> None:
    modules = [claims, failures, importance, jobs, lifecycle, packing, serving]
    functions = [value for module in modules for _, value in inspect.getmembers(module, inspect.isfunction)]
    scripts = {each for each in functions if not each.__name__.startswith("_") and _takes_a_play(each)}
    assert scripts == {scenario.script for scenario in SCENARIOS.values()}


def _takes_a_play(function: Callable[..., None]) -> bool:
    """Alone, or with what has a default: what else takes a play is a part of some script."""
    needed = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    return [each.annotation for each in needed] == ["Play"]


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    status, output = scenario("pak")
    assert status == 1
    assert output.startswith("error: there is no scenario 'pak'; did you mean pack?\nThese there are:\nfrom-zero ")


def test_pods_are_for_scenarios_that_take_them() -> None:
    status, output = scenario("no-capacity", "--pods", "3")
    assert status == 1
    assert output == "error: scenario no-capacity does not take --pods; these do: pack, burst, scoring, mixed\n"


@pytest.mark.parametrize("pods", ["0", "-1", "many"])
def test_at_least_one_pod(pods: str) -> None:
    status, output = scenario("pack", "--pods", pods)
    assert status == 2
    assert "Invalid value for '--pods'" in output
