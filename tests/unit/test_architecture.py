"""docs/architecture.md names what there is: the places of its table of changes, and what a stack is composed of."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pulumi
import pytest

from stacks import build, ground, pools, serving, watching

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
#: Files and folders in Markdown: `gpu/gpus.py`, `policy/rules/`, `tests/engine/states*.py`.
_PLACE = re.compile(r"`([\w*.-]+(?:/[\w*.-]*)+|[\w*]+\.(?:py|yaml))`")


def section(heading: str) -> str:
    """The text under a heading."""
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


ROWS = [line for line in section("To change something, touch these").splitlines() if line.startswith("| a")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_places_to_touch_are_there(row: str) -> None:
    places = _PLACE.findall(row)
    assert places
    assert [place for place in places if not any(ROOT.glob(place.rstrip("/")))] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in re.findall(r"`make ([a-z-]+)", row) if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_names_within_a_place_are_there(row: str) -> None:
    """A name behind a file, as in `gpu/gpus.py` (`GPUS`), is one of that file."""
    for place, names in re.findall(rf"{_PLACE.pattern} \(((?:`\w+`(?:, )?)+)\)", row):
        text = (ROOT / place).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"\w+", names) if not re.search(rf"\b{name}\b", text)] == [], place


COMPOSED = {
    name
    for module in (build, ground, pools, serving, watching)
    for name, value in inspect.getmembers(module, inspect.isclass)
    if issubclass(value, pulumi.ComponentResource)
}


def test_what_a_stack_is_composed_of_is_in_the_picture() -> None:
    assert len(COMPOSED) > 10
    picture = section("What a stack builds")
    assert {name for name in COMPOSED if not re.search(rf"\b{name}\b", picture)} == set()


def test_what_a_stack_is_composed_of_has_tests() -> None:
    folder = ROOT / "tests" / "unit" / "components"
    tests = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    assert {name for name in COMPOSED if not re.search(rf"\b{name}\(", tests)} == set()
