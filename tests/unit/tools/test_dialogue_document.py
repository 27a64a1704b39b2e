"""The tables of the dialogue's settings: every one, with its text."""

import pytest
from pydantic import BaseModel

from dialogue.settings import Limits, Settings
from tools import dialogue_document


def test_the_page_is_fresh() -> None:
    assert dialogue_document.main(["--check"]) == 0


def test_every_setting_is_there() -> None:
    tables = dialogue_document.tables()
    for name in (*Settings.model_fields, *Limits.model_fields):
        assert f"\n| `{name}` | " in tables
    assert "| `turn_chars` | 8000 | Most characters of one turn" in tables


class Untold(BaseModel):
    value: int = 1


def test_a_setting_without_a_text_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"Untold\.value has no text below it"):
        dialogue_document._texts(Untold)
