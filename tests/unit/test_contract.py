"""Names that rooms share are spelt once, in `gpu/contract.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu import contract

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("account", "adopt", "apps", "bench", "cli", "components", "config", "gpu", "plan", "policy", "stacks", "tools"),
    "twin",
)
NAMES = {name: value for name, value in vars(contract).items() if name.isupper() and isinstance(value, str)}
OURS = {value.removeprefix(contract.OURS) for value in NAMES.values() if value.startswith(contract.OURS)} - {""}
#: A key of ours, and no path such as /etc/gpu-slices/x.
KEY = re.compile(rf"(?<![\w/.]){contract.OURS}")


def literals(source: str) -> Iterator[str]:
    """Texts of a module, without docstrings."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def spelt(source: str) -> list[str]:
    """Names of the contract that a module spells itself: any of ours, and others' as whole texts."""
    return [text for text in literals(source) if KEY.search(text) or text in NAMES.values()]


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_module_spells_a_name_of_the_contract(room: str) -> None:
    modules = {path.relative_to(ROOT) for path in (ROOT / room).rglob("*.py")} - {Path("gpu/contract.py")}
    found = {str(path): spelt((ROOT / path).read_text(encoding="utf-8")) for path in modules}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Of gpu-slices/pool."""\nX = 1', []),
        ('X = "gpu-slices/pool"', ["gpu-slices/pool"]),
        ('print(f"write gpu-slices/{x}")', ["write gpu-slices/"]),
        ('X = "nvidia.com/gpu"', ["nvidia.com/gpu"]),
        ('X = "/etc/gpu-slices/mark"', []),
    ],
)
def test_the_rule_sees_a_name(source: str, expected: list[str]) -> None:
    assert spelt(source) == expected


def test_each_name_is_defined_once() -> None:
    """But for `gpu-slices/model`, which is a label with one meaning and an annotation with another."""
    values = [value for name, value in NAMES.items() if name != "MODEL_ANNOTATION"]
    assert len(set(values)) == len(values)


def test_the_architecture_names_all_of_ours() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    public = text.partition("## Public names")[2].partition("\n## ")[0]
    assert OURS - set(re.findall(r"`([a-z-]+)`", public)) == set()
