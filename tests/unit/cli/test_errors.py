"""Errors: set for people on a terminal, left as they are where a machine may read them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cli.errors import fitted

ROOT = Path(__file__).parents[3]
KEYS = ", ".join(f"key{number}" for number in range(40))
LONG = f"error: 1 problem\n\n  gpu-slices:pools[0].x = 1\n    is not a key here: did you mean key1? Keys are {KEYS}"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_fit_and_go_on_further_in(width: int) -> None:
    lines = fitted(LONG, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[:3] == LONG.splitlines()[:3]
    assert lines[3].startswith("    is not")
    assert len(lines) > 5
    assert all(line.startswith("      key") for line in lines[4:])
    assert " ".join(" ".join(lines).split()) == " ".join(LONG.split())


@pytest.mark.parametrize(
    "command",
    [
        "`slices up a-stack --timings -C /somewhere/else/in/the/tree`",
        "pulumi up -s a-stack-with-a-name --cwd /somewhere/else/in/the/tree",
        "aws ec2 describe-volumes --region us-east-1 --filters Name=tag:a,Values=b",
    ],
)
@pytest.mark.parametrize("before", ["", "x ", "a text before it that is quite as long as that, "])
def test_a_command_is_never_broken(command: str, before: str) -> None:
    line = f"error: {before}apply it: {command}"
    assert any(command in part for part in fitted(line, 60).splitlines())


def test_what_fits_stays_as_it_is() -> None:
    text = "error: a.yaml:3\n    key:   [1,\n           ^\n"
    assert fitted(text, 80) == text


def _slices(stderr: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cli", "plan", f"no-stack-{'-'.join(map(str, range(60)))}", "-C", str(ROOT)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr, env={**os.environ, "COLUMNS": "80"}
    )


def test_a_pipe_gets_the_lines_as_they_are() -> None:
    _, said = _slices(subprocess.PIPE).communicate()
    assert len(said.decode().splitlines()) == 2


def test_a_terminal_gets_lines_that_fit() -> None:
    ours, theirs = pty.openpty()
    process = _slices(theirs)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # Linux: nobody has the other side any more
        while chunk := os.read(ours, 65536):
            said += chunk
    process.wait()
    os.close(ours)
    lines = said.decode().splitlines()
    assert len(lines) > 2
    assert lines[0].startswith("error: no stack")
