"""Writes the tables of the dialogue's settings into docs/dialogue.md, from the application's own models.

`python -m tools.dialogue_document`; with `--check` it only says whether they are fresh (exit status 1 if not).
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dialogue import settings
from tools import fresh

TARGET = Path(__file__).parents[1] / "docs" / "dialogue.md"
_BETWEEN = re.compile(r"(?<=<!-- begin settings -->\n).*?(?=<!-- end settings -->)", re.DOTALL)
_MODELS = (
    (settings.Settings, "the service"),
    (settings.Speaker, "each of `speakers`"),
    (settings.Wake, "`wake` of a speaker"),
    (settings.Limits, "`limits`"),
)


def tables() -> str:
    """All tables, in Markdown."""
    return "".join(line + "\n" for model, title in _MODELS for line in _table(model, title))


def _table(model: type[BaseModel], title: str) -> Iterator[str]:
    texts = _texts(model)
    yield f"\n| {title} | default | |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {_default(field.default)} | {texts[name]} |"
    if model is settings.Limits:
        yield ""


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"`{json.dumps(value)}`"
    return f"{value:g}"


def _texts(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field. Raises ValueError where a field has none."""
    (body,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in itertools.pairwise([*body.body, ast.Pass()]):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[field.target.id] = " ".join(words.split())
                case _:
                    raise ValueError(f"{model.__name__}.{field.target.id} has no text below it: write one")
    return found


def main(arguments: list[str]) -> int:
    """Write the tables, or compare them."""
    text = _BETWEEN.sub(lambda _: tables(), TARGET.read_text(encoding="utf-8"))
    return fresh.write(TARGET, text, arguments, "the settings say: run make docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
