"""Tests without their programs, or without time, are skipped, or fail where they must not be lost."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.built import build_or_skip
from tests.conftest import pytest_runtest_setup
from twin.errors import TwinError
from twin.machine.progress import BuildProgress


def fails(progress: BuildProgress) -> Path:
    raise TwinError("no Go here")


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)], ids=["skipped", "failed"]
)
def test_what_cannot_be_built(required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_ENGINE", required)
    with pytest.raises(outcome, match="THE ENGINE IS NOT TESTED: no Go here"):
        build_or_skip("ENGINE", fails, BuildProgress(Console(quiet=True)))


def test_what_is_built_is_there(tmp_path: Path) -> None:
    assert build_or_skip("TWIN", lambda _: tmp_path, BuildProgress(Console(quiet=True))) == tmp_path


def test_what_has_no_time_left_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest_runtest_setup()
    monkeypatch.setenv("TESTS_END", str(time.time() + 60))
    pytest_runtest_setup()
    monkeypatch.setenv("TESTS_END", str(time.time() - 1))
    with pytest.raises(pytest.skip.Exception, match=r"^NOT TESTED: the time is over, \.ci/run says why$"):
        pytest_runtest_setup()
