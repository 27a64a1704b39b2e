"""Commands of README and docs do what they say, in the order in which they stand, or it is said why they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.commands import DOCUMENTS, NOT_RUN, ROOT, TWIN, checkout, commands, of_the_twin, reason, typed
from tests.twin.pseudoterminal import Terminal

#: As if a year had passed, versions of today's stacks are out of support: what documents show is of today.
pytestmark = [
    pytest.mark.parts,
    pytest.mark.skipif("TEST_DAYS_ON" in os.environ, reason="documents are of today"),
]

RUN = {document: [command for command in commands(document) if reason(command) is None] for document in DOCUMENTS}


@pytest.mark.parametrize("document", [each for each, run in RUN.items() if run], ids=lambda document: document.name)
def test_commands_run_in_their_order(document: Path, tmp_path: Path) -> None:
    project = checkout(tmp_path)
    for command in RUN[document]:
        shell = ["/bin/bash", "-ec", f"cd {project}; {typed(command)}"]
        with Terminal(shell, os.environ, columns=120, lines=40) as terminal:
            terminal.press("\n" * 9)  # what is asked for is left as it is suggested
            assert terminal.wait() == 0, f"{command}\n{terminal.output[-3000:]}"


def test_the_first_page_begins_with_a_plan_and_a_stack_of_ones_own() -> None:
    assert RUN[ROOT / "README.md"][:3] == ["make plan STACK=dev", ".venv/bin/slices init mine", "make plan STACK=mine"]


def test_commands_are_not_given_what_the_tests_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test-parts ARGS=-rs` hands its words on to every make below it, in two ways."""
    given = {"ARGS": "-rs", "STACK": "prod"}
    for name, words in {"MAKEFLAGS": " -- ARGS=-rs STACK=prod", "MAKELEVEL": "1", **given}.items():
        monkeypatch.setenv(name, words)
    assert typed("make up").split() == [".venv/bin/slices", "up", "local"]
    assert typed("make plan STACK=dev").split() == [".venv/bin/slices", "plan", "dev"]


def test_every_reason_is_one_of_a_command() -> None:
    every = [command for document in DOCUMENTS for command in commands(document)]
    assert len(every) > 50
    for beginning in (*NOT_RUN, *TWIN):
        assert any(command.startswith(beginning) for command in every), f"no document shows {beginning}"
    assert any(of_the_twin(command) for command in every)


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
