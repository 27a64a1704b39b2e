"""For tests of the twin's commands."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def called_where_the_project_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in messages stand as for somebody in the project: of `-C` tests/unit/cli/test_as_called.py knows."""
    monkeypatch.setattr("cli.calling.called_in", lambda _: None)
