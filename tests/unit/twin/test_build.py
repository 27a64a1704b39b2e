"""Compiling a program, with a compiler that is quickly made up."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from twin import build
from twin.build import Program
from twin.errors import TwinError


class Heard:
    def __init__(self) -> None:
        self.packages: list[str] = []

    def begin(self, packages: int) -> None:
        raise AssertionError(packages)

    def building(self, program: str) -> None:
        raise AssertionError(program)

    def compiled(self, package: str) -> None:
        self.packages.append(package)


def _compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> tuple[Heard, Path]:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(0o755)
    monkeypatch.setattr(build, "_go", lambda: go)
    heard, target = Heard(), tmp_path / "program"
    build._compile(Program("program", "example.com/program"), target, "v1.36.3", heard)
    gc.collect()  # what was left open is an error here
    return heard, target


def test_packages_are_told_and_nothing_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'echo first >&2; echo second >&2; while [ "$1" != -o ]; do shift; done; echo built >"$2"'
    heard, target = _compile(tmp_path, monkeypatch, script)
    assert heard.packages == ["first", "second"]
    assert target.read_text() == "built\n"


def test_why_it_could_not_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TwinError, match=r"^program could not be built:\nno space left on device$"):
        _compile(tmp_path, monkeypatch, "echo no space left on device >&2; exit 1")
