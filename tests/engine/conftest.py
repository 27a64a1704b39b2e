"""The real engine for tests: built once, a workspace for each test.

`make test-engine` runs these; they take minutes and need what Go builds. Where that is impossible they are skipped and
say why; with REQUIRE_ENGINE=1 they fail instead, so that CI cannot lose them without notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.built import build_or_skip, mark_all_below, twin_programs
from tests.engine import build
from tests.engine.engine import Workspace
from twin.machine import launch
from twin.machine.progress import BuildProgress
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.up import Up

_PART = "ENGINE"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the engine."""
    mark_all_below(Path(__file__).parent, "engine", items)


@pytest.fixture(scope="session")
def engine_programs() -> Path:
    """`pulumi` and its Kubernetes provider."""
    progress = BuildProgress(Console(stderr=True), "Pulumi's engine and Kubernetes provider", "fifteen")
    return build_or_skip(_PART, build.ensure_built, progress)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The twin's programs."""
    return twin_programs(_PART)


@pytest.fixture
def workspace(engine_programs: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    """Makes a workspace for a stack, with values that a user would have put in place of the samples' placeholders."""

    def make(stack: str) -> Workspace:
        made = Workspace(tmp_path / stack, engine_programs, stack)
        made.replace_placeholders()
        return made

    return make


@pytest.fixture
def ground(programs: Path, tmp_path: Path) -> Iterator[Callable[[Workspace], TwinState]]:
    """Starts what a program is applied to, a control plane, kubelets and AWS, with none of its objects yet."""
    states: list[TwinState] = []

    def start(workspace: Workspace) -> TwinState:
        state = TwinState(tmp_path / ".twin", workspace.stack)
        states.append(state)
        with state.lock():
            Up(state, programs, lambda _: None).begin(lambda: make_plan(workspace.folder, workspace.stack))
        workspace.use_twin(state)
        return state

    yield start
    for state in states:
        launch.stop(state)
