"""The table of models: generated from its source, and nothing in it contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import generate_models
from tools.generate_models import Model


def test_module_and_page_are_those_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_models.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_is_named_and_written_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("gpu", "docs"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(generate_models, "ROOT", tmp_path)
    assert generate_models.main(["--check"]) == 1
    assert "gpu/_model_data.py, docs/models.md. Run `make docs`" in capsys.readouterr().err
    assert generate_models.main([]) == generate_models.main(["--check"]) == 0


@pytest.mark.parametrize("model", generate_models.models(), ids=lambda model: model.name)
def test_every_row_says_where_it_is_from(model: Model) -> None:
    assert "/" in model.raw["config"]
    assert model.raw["gb"] > 0
    assert set(model.raw) <= {"name", "gb", "config", "metadata", "latest", "seen", "note"}


def test_one_tag_of_a_family_is_its_latest() -> None:
    latest = [model.name.partition(":")[0] for model in generate_models.models() if model.raw.get("latest")]
    assert len(latest) == len(set(latest))


@pytest.mark.parametrize(("name", "cells"), [("gemma3:4b", "| 34 (29 with window) | 4 x 512 | 131072 | 20 |")])
def test_the_page_shows_what_the_figures_are_made_of(name: str, cells: str) -> None:
    (line,) = [line for line in generate_models.page(generate_models.models()).splitlines() if f"`{name}`" in line]
    assert cells in line
