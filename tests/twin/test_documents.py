"""The twin's commands of README and docs, in the order in which they stand, on a twin of their own."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.commands import BEFORE, DOCUMENTS, checkout, commands, of_the_twin, typed
from tests.twin.pseudoterminal import Terminal

#: Most that a command may take on a busy machine.
_SECONDS = 300.0
#: A scenario by its name: test_scenarios.py and test_claims.py play each of them.
_PLAYED = ".venv/bin/slices scenario "
SHOWN = {
    document: [
        command
        for command in commands(document)
        if (of_the_twin(command) and not command.startswith(_PLAYED)) or command.startswith(BEFORE)
    ]
    for document in DOCUMENTS
}


@pytest.mark.parametrize("document", [each for each, shown in SHOWN.items() if shown], ids=lambda each: each.name)
def test_commands_run_in_their_order(document: Path, programs: Path, tmp_path: Path) -> None:
    assert programs.exists()
    project = checkout(tmp_path)
    # What is shown behind `make down` is for a twin that runs.
    shown = [command for command in SHOWN[document] if command != "make down"]
    try:
        for command in [shown[0], *(command for command in shown if command != shown[0])]:
            if not command.startswith("kubectl") or shutil.which("kubectl"):
                _run(project, command)
    finally:
        _run(project, "make down")
    assert not (project / ".twin" / "local").exists()


def _run(project: Path, command: str) -> None:
    until_stopped = "slices watch" in command and "--svg" not in command
    shell = ["/bin/bash", "-ec", f"cd {shlex.quote(str(project))}; exec {typed(command)}"]
    with Terminal(shell, os.environ, columns=120, lines=40) as terminal:
        if until_stopped:
            terminal.until(lambda output: ("http://" if "--web" in command else "per hour") in output)
            terminal.press("\x03")
        assert terminal.wait(_SECONDS) in ((0, 130) if until_stopped else (0,)), f"{command}\n{terminal.output[-3000:]}"
