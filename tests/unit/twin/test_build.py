"""Compiling a program, with a compiler that is quickly made up."""

from __future__ import annotations

import fcntl
import gc
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from twin.errors import TwinError
from twin.machine import build
from twin.machine import go as toolchain
from twin.machine.go import GoModule
from twin.machine.progress import BuildProgress


def _build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, hears: Callable[[str], None] | None = None
) -> tuple[list[str], Path]:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(0o755)
    (tmp_path / "go.mod").write_text("module example.com/made-up\n\ngo 1.26\n")
    monkeypatch.setattr(toolchain, "find_go", lambda _: go)
    heard: list[str] = []
    target = tmp_path / "program"
    GoModule(tmp_path).build("example.com/program", target, {"example.com/version": "1"}, hears or heard.append)
    gc.collect()  # what was left open is an error here
    return heard, target


def test_packages_are_told_and_nothing_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'echo first >&2; echo second >&2; while [ "$1" != -o ]; do shift; done; echo built >"$2"'
    heard, target = _build(tmp_path, monkeypatch, script)
    assert heard == ["first", "second"]
    assert target.read_text() == "built\n"


def test_why_it_could_not_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TwinError, match=r"^program could not be built:\nno space left on device$"):
        _build(tmp_path, monkeypatch, "echo no space left on device >&2; exit 1")


def test_a_build_of_another_command_is_waited_for_with_words(tmp_path: Path) -> None:
    other = (tmp_path / "lock").open("w")
    fcntl.flock(other, fcntl.LOCK_EX)

    class Freeing(BuildProgress):
        def waiting(self) -> None:
            super().waiting()
            other.close()

    said = io.StringIO()
    with build.one_build(tmp_path, Freeing(Console(file=said, width=120))):
        pass
    assert said.getvalue() == "Another command builds the twin's programs; this one waits for it.\n"


def test_a_main_of_karpenters_that_needs_no_mending_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later one may have what ours is given: then the mending goes."""
    main = tmp_path / "karpenter" / "kwok" / "main.go"
    main.parent.mkdir(parents=True)
    main.write_text("package main")
    monkeypatch.setattr(build, "_MENDED", {"package": "// mended\npackage"})
    module = build._mended_karpenter(main.parents[1], tmp_path / "ours")
    assert (module.folder / "main.go").read_text() == "// mended\npackage main"
    assert module.pins == build._KARPENTER.pins
    monkeypatch.setattr(build, "_MENDED", {"state.NewCluster(old)": "state.NewCluster(new)"})
    with pytest.raises(TwinError, match=r"kwok/main.go is not what .* mends .*: it lacks state.NewCluster\(old\)$"):
        build._mended_karpenter(main.parents[1], tmp_path / "ours")


def test_an_interrupted_build_ends_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill` reaches this process alone; Go, told the same, ends what it is at, and writes nothing afterwards."""
    ended, compiler = tmp_path / "ended", tmp_path / "compiler.py"
    compiler.write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    print('first', file=sys.stderr, flush=True)\n"
        "    time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        f"    pathlib.Path({str(ended)!r}).touch()\n"
    )

    class Terminated(KeyboardInterrupt):
        pass

    def interrupt(package: str) -> None:
        raise Terminated(package)

    with pytest.raises(Terminated):
        _build(tmp_path, monkeypatch, f"exec {sys.executable} {compiler}", interrupt)
    assert ended.exists()
