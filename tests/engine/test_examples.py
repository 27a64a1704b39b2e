"""The programs below `examples/` on the real engine: a first preview, judged by the pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from plan.make import make_plan
from tests.engine.engine import ROOT, Workspace

FOLDER = ROOT / "examples"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
def test_a_preview_registers_what_the_plan_says(name: str, engine_programs: Path, tmp_path: Path) -> None:
    made = Workspace(tmp_path / name, engine_programs, "dev", program=FOLDER / name)
    done = made.preview(expect=0)
    assert done.mandatory == []
    planned = {each.urn for each in make_plan(FOLDER / name, "dev").recording.resources}
    created = {urn for urn in done.steps() if "::pulumi:pulumi:Stack::" not in urn}
    assert created
    assert created == {urn for urn in planned if "::pulumi:pulumi:Stack::" not in urn}
