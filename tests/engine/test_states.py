"""The real engine judges stacks of all kinds as the analyzer does offline: from a file, in a preview, in an update."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policy.analyzer import judge
from policy.framework import StackRule
from policy.pack import RULES
from tests.day import fixed
from tests.engine.deployments import as_deployment, ids
from tests.engine.engine import Done, Workspace
from tests.engine.state_tables import STATES
from tests.engine.states import ROOT_URN, STACK, State, as_program, merged, recorded

_PROGRAM = Path(__file__).parent / "program"
_CONFIG = "pack.json"
#: At a time; each takes a second of one core.
_ANALYSES = 2

Verdicts = Counter[tuple[str, str, str, str]]
"""Rule, level, URN and message of each."""


@pytest.fixture(autouse=True)
def _the_day_of_the_engine() -> Iterator[None]:
    """The engine starts the pack as a program of its own, which knows today's date and no other."""
    with fixed(datetime.now(UTC).date()):
        yield


def _offline(state: State, made: Mapping[str, str] | None, config: Mapping[str, Any]) -> Verdicts:
    found = judge(recorded(state, made), config)
    return Counter((v.rule, v.level.value, v.urn or ROOT_URN, v.message) for v in found)


def _engine(done: Done) -> Verdicts:
    return Counter((v.rule, v.level, v.urn, v.message) for v in done.violations)


def _analyzed(workspace: Workspace, folder: Path, state: State, *, cluster_answers: bool) -> tuple[str, Verdicts]:
    name = f"{state.name}-{'answers' if cluster_answers else 'silent'}"
    file, config = folder / f"{name}.json", folder / f"{name}-pack.json"
    file.write_text(as_deployment(state, cluster_answers=cluster_answers), encoding="utf-8")
    config.write_text(json.dumps(state.config), encoding="utf-8")
    done = workspace.analyze(file, config)
    assert "summaryEvent" in done.events[-1], f"{name}: {done.text[-3000:]}"
    assert (done.code != 0) == bool(done.mandatory), name
    return name, _engine(done)


@pytest.fixture
def workspace(engine_programs: Path, tmp_path: Path) -> Workspace:
    """For the program that registers what it is told."""
    packages = {resource.type.partition(":")[0] for state in _all() for resource in state.resources}
    return Workspace(tmp_path, engine_programs, STACK, program=_PROGRAM, stubs=packages, pack_config=_CONFIG)


def _all() -> Iterator[State]:
    for state in STATES:
        yield state
        yield state.twin


def _looks_at_the_whole(state: State) -> bool:
    return any(isinstance(rule, StackRule) and rule.name in state.fires for rule in RULES)


def test_every_state_in_a_file(workspace: Workspace, tmp_path: Path) -> None:
    """For rules about the whole stack also without outputs of objects, as when the cluster is not there yet."""
    wanted = [
        (state, answers) for state in STATES for answers in (True, False) if answers or _looks_at_the_whole(state)
    ]
    with ThreadPoolExecutor(_ANALYSES) as pool:
        jobs = [
            (state, pool.submit(_analyzed, workspace, tmp_path, state, cluster_answers=answers))
            for state, answers in wanted
        ]
        found = [(state, *job.result()) for state, job in jobs]
    disagreements = {
        name: (_only(engine, offline), _only(offline, engine))
        for state, name, engine in found
        if engine != (offline := _offline(state, ids(state), state.config))
    }
    assert disagreements == {}, "engine alone, offline alone"
    assert [name for _, name, engine in found if not engine] == []


def _only(these: Verdicts, those: Verdicts) -> list[tuple[str, str, str, str]]:
    return sorted((these - those).elements())


def _use(workspace: Workspace, state: State) -> dict[str, Any]:
    """Let the program be this stack; nothing stops an update. The pack's configuration."""
    config = {"all": "advisory", **state.config}
    (workspace.folder / _CONFIG).write_text(json.dumps(config), encoding="utf-8")
    (workspace.folder / "stack.json").write_text(as_program(state), encoding="utf-8")
    return config


def _planned(workspace: Workspace) -> Verdicts:
    """What `slices plan` says of the same program."""
    command = [sys.executable, "-m", "cli", "plan", workspace.stack, "--json", "--policy-config", _CONFIG]
    done = subprocess.run(
        command, cwd=workspace.folder, env=workspace.plain_environment, capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return Counter((v["rule"], v["level"], v["urn"] or ROOT_URN, v["message"]) for v in found["verdicts"])


def test_all_states_in_one_program_in_preview_and_update(workspace: Workspace, tmp_path: Path) -> None:
    everything = merged(STATES, "everything")
    config = _use(workspace, everything)
    preview = _engine(workspace.preview(expect=0))
    assert preview == _offline(everything, None, config)
    assert preview == _planned(workspace)
    assert {rule for rule, *_ in preview} == {rule.name for rule in RULES}

    update = _engine(workspace.up(expect=0))
    made = {resource["urn"]: resource.get("id", "") for resource in workspace.state()}
    assert update == _offline(everything, made, config)
    assert update == preview
    assert _engine(workspace.preview("--expect-no-changes", expect=0)) == preview

    exported = tmp_path / "exported.json"
    exported.write_text(workspace.run("stack", "export", expect=0).out, encoding="utf-8")
    assert _engine(workspace.analyze(exported, workspace.folder / _CONFIG)) == update


def test_all_twins_in_one_program(workspace: Workspace) -> None:
    twins = merged([state.twin for state in STATES], "twins")
    config = _use(workspace, twins)
    assert _engine(workspace.preview(expect=0)) == _offline(twins, None, config) == _planned(workspace)
