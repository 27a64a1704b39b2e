"""Commands in messages can be pasted by whoever reads them, on the path or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plan.errors import as_called, called_in, slices


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed `slices` that is not on the path, and was called."""
    found = tmp_path / "project" / ".venv" / "bin" / "slices"
    found.parent.mkdir(parents=True)
    found.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(found), "up"])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path / "project")
    return found


@pytest.mark.usefixtures("program")
def test_below_the_current_directory_the_way_is_short() -> None:
    assert slices("down dev") == ".venv/bin/slices down dev"
    assert as_called("none: `slices up a` or `slices down a`; slices are slots") == (
        "none: `.venv/bin/slices up a` or `.venv/bin/slices down a`; slices are slots"
    )


def test_elsewhere_it_is_whole_and_quoted(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert slices("up") == "project/.venv/bin/slices up"
    (tmp_path / "a b").mkdir()
    spaced = (tmp_path / "a b" / "slices").absolute()
    spaced.touch()
    monkeypatch.setattr("sys.argv", [str(spaced)])
    monkeypatch.chdir(tmp_path / "project")
    assert slices("up") == f"'{spaced}' up"


def test_on_the_path_it_is_its_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/nowhere")
    assert slices("up") == "slices up"
    assert as_called("`slices up`") == "`slices up`"


def test_a_module_or_a_test_says_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/pytest"])
    assert slices("up") == "slices up"


def test_for_a_project_elsewhere_its_directory_is_said() -> None:
    called_in(Path("a b"))
    try:
        assert slices("up") == "slices up -C 'a b'"
        assert as_called("`slices up x` or `make up`") == "`slices up x -C 'a b'` or `make up`"
    finally:
        called_in(Path())
    assert slices("up") == "slices up"
