"""docs/configuration.md is what the schema says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config import document, document_text
from config.explain import sections_in
from config.load import KEYS, LISTS, SECTIONS
from config.section import Section


def sections() -> Iterator[type[Section]]:
    """Every section of a stack file, also those within others."""
    for section in [*SECTIONS.values(), *LISTS.values()]:
        yield section
        yield from within(section)


def within(section: type[Section]) -> Iterator[type[Section]]:
    """The sections within one, at any depth."""
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            if issubclass(inner, Section):
                yield inner
                yield from within(inner)


def test_the_page_is_fresh() -> None:
    assert document.TARGET.read_text(encoding="utf-8") == document.document(), "run python -m config.document"


def test_rules_are_sentences() -> None:
    assert [rule for rules in document_text.RULES.values() for rule in rules if " " not in rule] == []


def test_the_page_describes_every_key() -> None:
    page = document.document()
    assert list(document_text.KEYS) == list(KEYS)
    assert all(f"\n## gpu-slices:{key}\n" in page for key in KEYS)
    for section in sections():
        for field in section.model_fields.values():
            assert f"\n| `{field.alias}` |" in page


@pytest.mark.parametrize("section", list(sections()), ids=lambda section: section.__name__)
def test_every_key_has_a_text(section: type[Section]) -> None:
    texts = document.field_texts(section)
    assert texts.keys() == section.model_fields.keys()
    assert all(text.endswith((".", "`")) for text in texts.values())


def test_check_says_whether_the_page_is_fresh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(document, "TARGET", tmp_path / "configuration.md")
    assert document.main(["--check"]) == 1
    assert capsys.readouterr().err == "configuration.md is not what the schema says: run python -m config.document\n"
    assert document.main([]) == 0
    assert document.main(["--check"]) == 0
    (tmp_path / "configuration.md").write_text("stale", encoding="utf-8")
    assert document.main(["--check"]) == 1
