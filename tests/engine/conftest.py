"""The real engine for tests: built once, a workspace for each test.

`make test-engine` runs these; they take minutes and need what Go builds. Where that is impossible they are skipped and
say why; with REQUIRE_ENGINE=1 they fail instead, so that CI cannot lose them without notice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from tests.engine import build
from tests.engine.engine import Workspace
from twin import build as twin_build
from twin import launch
from twin.errors import TwinError
from twin.planning import make_plan
from twin.progress import BuildProgress
from twin.state import TwinState
from twin.up import Up

#: Seconds; the slowest of these tests takes a third of it.
_LONGEST = 900.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the engine, and nothing hangs for ever."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(_LONGEST, func_only=True))


@pytest.fixture(scope="session")
def engine_programs() -> Path:
    """`pulumi` and its Kubernetes provider."""
    try:
        with BuildProgress(Console(stderr=True), "Pulumi's engine and Kubernetes provider", "fifteen") as progress:
            return build.ensure_built(progress)
    except TwinError as error:
        _unavailable(error)


@pytest.fixture(scope="session")
def twin_programs() -> Path:
    """The twin's programs."""
    try:
        with BuildProgress(Console(stderr=True)) as progress:
            return twin_build.ensure_built(progress)
    except TwinError as error:
        _unavailable(error)


def _unavailable(error: TwinError) -> NoReturn:
    if os.environ.get("REQUIRE_ENGINE"):
        pytest.fail(str(error))
    pytest.skip(f"THE ENGINE IS NOT TESTED: {error}")


@pytest.fixture
def workspace(engine_programs: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    """Makes a workspace for a stack, with values that a user would have put in place of the samples' placeholders."""

    def make(stack: str) -> Workspace:
        made = Workspace(tmp_path / stack, engine_programs, stack)
        made.replace_placeholders()
        return made

    return make


@pytest.fixture
def ground(twin_programs: Path, tmp_path: Path) -> Iterator[Callable[[Workspace], TwinState]]:
    """Starts what a program is applied to, a control plane, kubelets and AWS, with none of its objects yet."""
    states: list[TwinState] = []

    def start(workspace: Workspace) -> TwinState:
        state = TwinState(tmp_path / ".twin", workspace.stack)
        states.append(state)
        with state.lock():
            Up(state, twin_programs, lambda _: None).begin(lambda: make_plan(workspace.folder, workspace.stack))
        workspace.use_twin(state)
        return state

    yield start
    for state in states:
        launch.stop(state)
