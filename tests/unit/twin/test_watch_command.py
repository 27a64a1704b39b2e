"""`slices watch` around its pictures: files, pipes, terminals, and what it says when there is no twin."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.calling import Terminated
from cli.main import main
from tests.patience import PATIENCE
from tests.unit.twin.cluster import everyday
from twin.errors import TwinError
from twin.watch import run
from twin.watch.run import scenes_of, write_picture
from twin.watch.scene import Scene

ROOT = Path(__file__).parents[3]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAUSE_SECONDS", 0.0)


class Some:
    """So many scenes, each dearer than the one before; then the end, or Ctrl-C."""

    def __init__(self, scenes: int = 2, *, interrupted: bool = False) -> None:
        self.left = scenes
        self.interrupted = interrupted

    def scene(self) -> Scene:
        return replace(everyday().scene(), usd=1.0 - self.left / 100, stale="Old…" if self.left == 1 else "")

    def wait(self, seconds: float = 0.0) -> None:
        self.left -= 1
        if self.interrupted and not self.left:
            raise KeyboardInterrupt

    def ended(self) -> str:
        return "" if self.left else "The twin of local was stopped."


# --- One picture ------------------------------------------------------------------------------------------------------


def test_a_picture_replaces_the_last_one_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "twin.svg"
    write_picture(everyday().scene(), str(target))
    link = tmp_path / "link.svg"
    link.symlink_to(target)
    before = target.stat().st_ino
    write_picture(everyday().scene(), str(link))
    assert ElementTree.parse(target).getroot().tag.endswith("svg")
    assert (link.is_symlink(), target.stat().st_ino != before) == (True, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.svg", "twin.svg"]


def test_a_pipe_and_a_device_are_written_to_and_stay_what_they_are() -> None:
    reading, writing = os.pipe()
    write_picture(everyday().scene(), f"/dev/fd/{writing}")
    os.close(writing)
    with os.fdopen(reading, "rb") as reader:
        assert reader.read().startswith(b"<svg")
    write_picture(everyday().scene(), "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("target", ["nowhere/twin.svg", "."])
def test_a_picture_that_cannot_be_written_is_a_plain_error(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TwinError, match="cannot be written"):
        write_picture(everyday().scene(), target)
    assert list(tmp_path.iterdir()) == []


# --- Terminal ---------------------------------------------------------------------------------------------------------


def drawn(source: Some, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=24, highlight=False, markup=False)
    try:
        run._draw(source, console)
    except KeyboardInterrupt:
        assert source.interrupted
    return file.getvalue()


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_terminal_is_left_as_it_was(interrupted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = drawn(Some(interrupted=interrupted), monkeypatch)
    assert out.index(ENTER) < out.index(HIDE) < out.index("Twin of local") < out.rindex(SHOW)
    assert out.rindex(LEAVE) > out.rindex("Twin of local")
    assert (out.count(ENTER), out.count(LEAVE)) == (1, 1)
    assert "Old…" in out


def test_the_end_of_the_twin_is_said_after_the_view(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn(Some(), monkeypatch)
    assert capsys.readouterr().out == "The twin of local was stopped.\n"


def test_scenes_come_until_the_end() -> None:
    assert len(list(scenes_of(Some(5)))) == 5


# --- Pipe -------------------------------------------------------------------------------------------------------------

_PIPED = """
import sys
from rich.console import Console
from tests.unit.twin.test_watch_command import Some
from twin.watch import run
run.PAUSE_SECONDS = 0.01
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(errors="replace")
run._tell(Some(int(sys.argv[1])), Console())
"""


def piped(scenes: int, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _PIPED, str(scenes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}", **environment},
    )


def test_a_pipe_gets_lines_and_the_end() -> None:
    out, error = piped(3).communicate(timeout=PATIENCE)
    lines = out.decode().splitlines()
    assert "$2.216 per hour, $0.9700 since the start" in lines[0]
    assert [line.partition("  ")[2] for line in lines[-2:]] == ["Old…", ""]
    assert lines[-1] == "The twin of local was stopped."
    assert error == b""


def test_a_reader_that_leaves_ends_it_without_a_word_even_when_nothing_changes() -> None:
    with piped(1_000_000) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=PATIENCE) == 0
        assert process.stderr.read() == b""


def test_an_old_encoding_gets_ascii() -> None:
    out, _ = piped(1, PYTHONIOENCODING="latin-1").communicate(timeout=PATIENCE)
    assert out.isascii()
    assert b"Old~" in out


# --- Command ----------------------------------------------------------------------------------------------------------


def slices(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize("options", [[], ["--web"], ["--svg", "-"]])
def test_without_a_twin_it_says_what_to_do_and_leaves_nothing(tmp_path: Path, options: list[str]) -> None:
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    status, output = slices("watch", "dev", "--cwd", str(tmp_path), *options)
    assert (status, output) == (1, "error: there is no twin of dev: `slices up dev` starts one\n")
    assert not (tmp_path / ".twin").exists()


@pytest.mark.parametrize(("target", "said"), [("twin.svg", "Wrote twin.svg\n"), ("-", "")])
def test_it_says_where_a_picture_was_written(target: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not on standard output, which may be the target."""
    monkeypatch.setattr("cli.twin.twin_of", lambda *_: None)
    monkeypatch.setattr("twin.machine.pulse.told", lambda _: contextlib.nullcontext())
    monkeypatch.setattr("twin.watch.run.watch", lambda *_, **__: 0)
    result = CliRunner().invoke(main, ["watch", "dev", "--svg", target])
    assert (result.exit_code, result.stderr, result.stdout) == (0, said, "")


@pytest.mark.parametrize(
    ("error", "options", "status", "said"),
    [
        (KeyboardInterrupt, [], 0, ""),
        (KeyboardInterrupt, ["--web"], 0, ""),
        (Terminated, [], 143, "interrupted\n"),
        (KeyboardInterrupt, ["--svg", "twin.svg"], 130, "interrupted\n"),
        (Terminated, ["--svg", "twin.svg"], 143, "interrupted\n"),
    ],
)
def test_ctrl_c_is_the_end_of_a_view_and_a_picture_that_was_not_written_is_not_told(
    error: type[BaseException], options: list[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(run, "watch", interrupted)
    monkeypatch.setattr("cli.twin.twin_of", lambda *_: None)
    monkeypatch.setattr("twin.machine.pulse.told", lambda _: contextlib.nullcontext())
    result = CliRunner().invoke(main, ["watch", "dev", *options])
    assert (result.exit_code, result.output) == (status, said)


def test_a_picture_that_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, content: bytes) -> None:
        path.open("wb").close()
        raise KeyboardInterrupt(content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(everyday().scene(), str(tmp_path / "twin.svg"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--web", "--svg", "-"], ["--port", "8080"], ["--web", "--port", "0"]])
def test_options_that_do_not_go_together_are_refused(options: list[str]) -> None:
    status, output = slices("watch", *options)
    assert status == 2
    assert "Error: " in output


def test_help_does_not_load_what_a_view_needs() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import main;"
        "assert 'watch' in CliRunner().invoke(main, ['--help']).output;"
        "print([m for m in ('rich', 'starlette', 'uvicorn', 'urllib3', 'twin.watch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"


def test_a_terminal_view_does_not_load_the_server() -> None:
    code = "import sys, twin.watch.run; print([m for m in ('starlette', 'uvicorn', 'pulumi') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"
